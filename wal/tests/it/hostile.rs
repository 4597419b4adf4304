//! Bytes that no writer wrote, and what the fuzzer kept (`wal/fuzz`).

use proptest::prelude::*;
use wal::scan::scan;
use wal::{Salt, parse_batch};

use crate::support::{IDENTITY, four_segments, sound};

#[path = "../../fuzz/harness.rs"]
mod harness;

#[test]
fn what_the_fuzzer_kept_is_still_survived() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/scan");
    let mut replayed = 0;
    for input in corpus.read_dir().unwrap() {
        harness::harm_and_scan(&std::fs::read(input.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed > 0, "the corpus is there");
}

#[test]
fn an_empty_directory_of_segments_is_no_sound_log() {
    assert!(scan(&[], None).segments.is_empty());
}

fn cases() -> ProptestConfig {
    ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn scan_never_panics_on_arbitrary_bytes(
        bytes in proptest::collection::vec(any::<u8>(), 0..20_000),
        sequence in 0..4_u64,
    ) {
        let name = format!("{sequence:010}-{:020}.seg", 1);
        let survey = scan(&[(name, bytes)], None);
        prop_assert!(!sound(&survey));
    }

    #[test]
    fn a_batch_is_never_parsed_from_arbitrary_bytes(
        bytes in proptest::collection::vec(any::<u8>(), 0..9000),
        salt: u64,
    ) {
        prop_assert!(parse_batch(&bytes, Salt(salt), 4096).is_err());
    }

    #[test]
    fn arbitrary_bytes_over_a_log_never_pass_for_records(
        file in 0..4_usize,
        at in 0..28_672_usize,
        bytes in proptest::collection::vec(any::<u8>(), 1..2000),
    ) {
        let whole = four_segments(IDENTITY, b'a', true);
        let mut files = whole.clone();
        for (byte, new) in files[file].1.iter_mut().skip(at).zip(bytes) {
            *byte = new;
        }
        let survey = scan(&files, None);
        prop_assert!(!sound(&survey) || survey.last == scan(&whole, None).last);
    }

    #[test]
    fn arbitrary_harm_is_refused_or_started_on(
        data in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        harness::harm_and_scan(&data);
    }
}
