//! One segment's batches, and the judgement on where they end.

use super::{SegmentSurvey, Survey, Verdict};
use crate::error::Why;
use crate::frame::BatchHeader;
use crate::lsn::Lsn;
use crate::scan::{Beyond, Evidence, Judgement, Place, Spot, judge};
use crate::segment::{Predecessor, SegmentHeader};
use crate::walk::{Damage, Tip, look_ahead, look_beyond, walk};

impl Survey {
    /// Walks the segment and fills in `one`; `bound` is what its successor says of it.
    pub(super) fn examine(
        &mut self,
        one: &mut SegmentSurvey,
        header: &SegmentHeader,
        crc: u32,
        bytes: &[u8],
        bound: Option<Predecessor>,
        last: bool,
    ) {
        let salt = header.salt;
        let start = Tip::start(header, crc, self.epoch);
        let mut spans = Vec::new();
        let (mut batches, mut records, mut durable) = (0, 0, Lsn::ZERO);
        let (mut tip, mut damage) = walk(bytes, salt, start, |batch| {
            batches += 1;
            records += u64::from(batch.header.records);
            durable = durable.max(batch.header.durable_lsn);
            if last {
                spans.push(batch.header);
            }
        });
        let ahead = damage.map(|_| look_ahead(bytes, salt, &tip)).unwrap_or_default();
        self.durable = self.durable.max(durable).max(ahead.durable);
        let (beyond, bridge) = match &damage {
            None => (Beyond::Nothing, None),
            Some(damage) => look_beyond(bytes, salt, &tip, damage, ahead),
        };
        let mut judgement = judge(Evidence {
            place: if bound.is_some() { Place::Sealed } else { Place::Last },
            covered: last && self.durable >= tip.next,
            spot: damage.map_or(Spot::End, |damage| damage.spot),
            mark: damage.is_some_and(|damage| damage.mark),
            beyond,
        });
        if let (Judgement::Bridge, Some(batch)) = (judgement, bridge) {
            (tip, damage, judgement) = (Tip::after(&batch.header), None, Judgement::Clean);
            batches += 1;
            records += u64::from(batch.header.records);
            spans.push(batch.header);
            self.marks_lost += 1;
        }
        (one.batches, one.records) = (batches, records);
        (one.used_len, one.last_lsn) = (tip.offset, tip.next.previous());
        self.epoch = self.epoch.max(tip.epoch);
        one.verdict = self.verdict(judgement, &tip, damage, bytes, ahead.whole);
        if one.verdict.sound()
            && let Some(why) = bounds_fault(one.len, header, &tip, bound)
        {
            let (offset, lsn) = (tip.offset, tip.next);
            one.verdict = Verdict::Corrupt { why, offset, lsn, whole_batches_following: 0 };
        }
        if last {
            self.part_proven_from_loose(&start, spans);
        }
    }

    /// The last Mark stays outside the bound: it was not synced, and a power cut may still take it.
    fn part_proven_from_loose(&mut self, start: &Tip, batches: Vec<BatchHeader>) {
        let (proven, loose): (Vec<_>, Vec<_>) = batches
            .into_iter()
            .filter(|header| header.records > 0)
            .partition(|header| header.first_lsn <= self.durable);
        self.proven = Some(proven.last().map_or(*start, Tip::after));
        self.loose =
            loose.iter().map(|header| (header.offset, u64::from(header.batch_len))).collect();
    }

    fn verdict(
        &self,
        judgement: Judgement,
        tip: &Tip,
        damage: Option<Damage>,
        bytes: &[u8],
        whole_batches_following: u64,
    ) -> Verdict {
        let why = match judgement {
            Judgement::Clean | Judgement::Bridge => return Verdict::Clean,
            Judgement::Torn => {
                let valid_to = tip.offset;
                let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at as u64 + 1);
                return Verdict::TornTail { valid_to, bytes: end.saturating_sub(valid_to) };
            }
            Judgement::Wrong => damage.map_or(Why::BatchHeader, |damage| damage.why),
            Judgement::Overtaken => Why::Overtaken,
            Judgement::Hole => Why::Hole,
            Judgement::Lost => Why::Lost { durable: self.durable },
        };
        Verdict::Corrupt { why, offset: tip.offset, lsn: tip.next, whole_batches_following }
    }
}

/// What is wrong with where a segment ends, though all in it holds.
fn bounds_fault(
    len: u64,
    header: &SegmentHeader,
    tip: &Tip,
    bound: Option<Predecessor>,
) -> Option<Why> {
    let Some(Predecessor { used_len, last_lsn, last_chain, .. }) = bound else {
        let capacity = header.capacity;
        return (len < capacity).then_some(Why::SuccessorLost { len, capacity });
    };
    if len < used_len {
        return Some(Why::Cut { len, used_len });
    }
    let ends_so = (used_len, last_lsn, last_chain) == (tip.offset, tip.next.previous(), tip.chain);
    (!ends_so).then_some(Why::Predecessor { used_len, last_lsn })
}
