//! The decision table of `wal::scan`, every input of it, against the rules as a reader of the
//! format would state them.

use wal::scan::{Beyond, Evidence, Judgement, Place, Spot, judge};

const PLACES: [Place; 2] = [Place::Sealed, Place::Last];
const SPOTS: [Spot; 8] = [
    Spot::End,
    Spot::HeaderLost,
    Spot::HeaderStub,
    Spot::HeaderWrong,
    Spot::BodyLost,
    Spot::BodyStub,
    Spot::BodyWrong,
    Spot::Misplaced,
];
const BEYONDS: [Beyond; 4] = [Beyond::Nothing, Beyond::Remains, Beyond::Whole, Beyond::Next];

fn every_input() -> impl Iterator<Item = Evidence> {
    PLACES.into_iter().flat_map(|place| {
        SPOTS.into_iter().flat_map(move |spot| {
            BEYONDS.into_iter().flat_map(move |beyond| {
                [(false, false), (false, true), (true, false), (true, true)]
                    .map(move |(covered, mark)| Evidence { place, covered, spot, mark, beyond })
            })
        })
    })
}

/// The rules in the order in which they win, each a sentence with one answer.
fn stated(e: Evidence) -> Judgement {
    let written_and_wrong = matches!(e.spot, Spot::HeaderWrong | Spot::BodyWrong | Spot::Misplaced);
    let unfinished_body = matches!(e.spot, Spot::BodyLost | Spot::BodyStub);
    // A sector that is there and wrong was not left by a crash.
    if written_and_wrong {
        return Judgement::Wrong;
    }
    // Below a successor's bound everything was durable.
    if e.place == Place::Sealed {
        return if e.spot == Spot::End { Judgement::Clean } else { Judgement::Hole };
    }
    // What is known to have been durable must be there.
    if e.covered {
        return Judgement::Lost;
    }
    if e.spot == Spot::End {
        return Judgement::Clean;
    }
    // Only a Mark can be missing before the batch in flight.
    let may_be_mark = e.spot == Spot::HeaderLost || (e.mark && unfinished_body);
    if may_be_mark && e.beyond == Beyond::Next {
        return Judgement::Bridge;
    }
    // Nothing was written behind an unfinished write, or only the rest of it, or, behind a Mark,
    // the rest of the batch in flight.
    let explained = e.beyond == Beyond::Nothing || (may_be_mark && e.beyond == Beyond::Remains);
    if explained { Judgement::Torn } else { Judgement::Overtaken }
}

#[test]
fn the_table_says_what_the_rules_say_for_every_input() {
    let mut inputs = 0;
    for evidence in every_input() {
        assert_eq!(judge(evidence), stated(evidence), "{evidence:?}");
        inputs += 1;
    }
    assert_eq!(inputs, 256);
}

#[test]
fn nothing_known_to_be_durable_is_ever_called_torn_or_clean() {
    for evidence in every_input().filter(|e| e.covered && e.place == Place::Last) {
        let judgement = judge(evidence);
        assert!(matches!(judgement, Judgement::Lost | Judgement::Wrong), "{evidence:?}");
    }
}

#[test]
fn nothing_in_a_sealed_segment_is_ever_torn() {
    for evidence in every_input().filter(|e| e.place == Place::Sealed) {
        assert!(!matches!(judge(evidence), Judgement::Torn | Judgement::Bridge), "{evidence:?}");
    }
}

#[test]
fn no_batch_with_records_is_torn_when_later_writes_follow_its_end() {
    for evidence in every_input().filter(|e| !e.mark && e.beyond != Beyond::Nothing) {
        if matches!(evidence.spot, Spot::BodyLost | Spot::BodyStub) {
            assert_ne!(judge(evidence), Judgement::Torn, "{evidence:?}");
        }
    }
}
