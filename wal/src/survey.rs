//! All segments of a log, each with its verdict, and what they prove together.
//!
//! ```text
//!  1. headers: names, identities, dense sequence, who precedes whom
//!  2. each segment's batches, up to where its successor says it ends
//!  3. D, the highest record that any header, batch or witness proves durable
//!  4. what the last segment ends in, judged by the table
//! ```
//!
//! It reads one segment at a time and writes nothing. It goes on past damage, so that a person is
//! told of all of it; [`open`](crate::open) stops at the first.

use std::borrow::Cow;

use crate::error::Why;
use crate::frame::BLOCK;
use crate::lsn::Lsn;
use crate::scan::{Evidence, Judgement, Place, Spot, judge};
use crate::segment::{HeaderFault, Identity, Predecessor, SegmentHeader, file_name, parse_name};
use crate::walk::{Damage, Tip, look_ahead, look_beyond, walk};

/// What is wrong with a segment, if anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Clean,
    /// A crash in mid-write, or a write going on right now, left `bytes` behind `valid_to`.
    TornTail {
        /// Where the log ends.
        valid_to: u64,
        /// How much is behind it.
        bytes: u64,
    },
    /// It cannot be believed.
    Corrupt {
        /// What is wrong.
        why: Why,
        /// At which byte.
        offset: u64,
        /// The record expected there.
        lsn: Lsn,
        /// Whole batches behind it in this segment.
        whole_batches_following: u64,
    },
    /// It belongs to another log.
    WrongIdentity {
        /// Whom the first segment belongs to.
        expected: Identity,
        /// Whom this one belongs to.
        found: Identity,
    },
    /// A later version wrote it.
    NewerFormat {
        /// Its format.
        format: u16,
    },
}

impl Verdict {
    fn at_header(why: Why, lsn: Lsn) -> Self {
        Self::Corrupt { why, offset: 0, lsn, whole_batches_following: 0 }
    }

    /// Whether a service may start on this.
    pub fn sound(&self) -> bool {
        matches!(self, Self::Clean | Self::TornTail { .. })
    }
}

/// One segment, looked at.
#[derive(Clone, Debug)]
pub struct SegmentSurvey {
    /// The file's name in the log's directory.
    pub name: String,
    /// The file's length.
    pub len: u64,
    /// Its header, if it holds.
    pub header: Option<SegmentHeader>,
    /// Where its last readable batch ends.
    pub used_len: u64,
    /// Readable batches, Marks included.
    pub batches: u64,
    /// Readable records.
    pub records: u64,
    /// The last readable record, or the last one before this segment.
    pub last_lsn: Lsn,
    /// What is wrong with it.
    pub verdict: Verdict,
}

/// A whole log, looked at.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Whom it belongs to, if any header holds.
    pub identity: Option<Identity>,
    /// Its segments in order.
    pub segments: Vec<SegmentSurvey>,
    /// The last readable record.
    pub last: Lsn,
    /// The highest record that is proven to have been durable.
    pub durable: Lsn,
    /// The highest epoch seen.
    pub epoch: u64,
    /// Marks that a crash took and that the batch behind them makes up for.
    pub marks_lost: u64,
    /// Up to where the last segment is proven durable; what follows must be made so.
    pub(crate) proven: Option<Tip>,
    /// Whole batches behind that: where, and how long.
    pub(crate) loose: Vec<(u64, u64)>,
}

impl Survey {
    /// The first segment that a service must not start on, links before contents.
    pub fn first_unsound(&self) -> Option<&SegmentSurvey> {
        let unsound = || self.segments.iter().filter(|segment| !segment.verdict.sound());
        let at_header =
            |verdict: &Verdict| !matches!(verdict, Verdict::Corrupt { offset: 1.., .. });
        unsound().find(|segment| at_header(&segment.verdict)).or_else(|| unsound().next())
    }
}

/// Where the bytes of the segments come from.
pub(crate) trait Segments {
    type Error;
    /// The names, in order.
    fn names(&self) -> &[String];
    fn size(&mut self, index: usize) -> Result<u64, Self::Error>;
    /// The first `len` bytes, or all if there are fewer.
    fn read(&mut self, index: usize, len: u64) -> Result<Cow<'_, [u8]>, Self::Error>;
}

/// Whether a file in the log's directory claims to be a segment. Others are none of our business.
pub(crate) fn is_segment(name: &str) -> bool {
    std::path::Path::new(name).extension().is_some_and(|extension| extension == "seg")
}

type Head = Result<(SegmentHeader, u32), Verdict>;

pub(crate) fn survey<S: Segments>(
    segments: &mut S,
    witnessed: Option<Lsn>,
) -> Result<Survey, S::Error> {
    let names = segments.names().to_vec();
    let mut heads = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        heads.push(head_of(name, &segments.read(index, BLOCK as u64)?));
    }
    link(&mut heads);
    let headers = || heads.iter().flatten().map(|(header, _)| header);
    let mut survey = Survey {
        identity: headers().next().map(|header| header.identity),
        segments: Vec::with_capacity(names.len()),
        last: Lsn::ZERO,
        durable: headers().map(SegmentHeader::proves).max().max(witnessed).unwrap_or_default(),
        epoch: 0,
        marks_lost: 0,
        proven: None,
        loose: Vec::new(),
    };
    for (index, name) in names.into_iter().enumerate() {
        let len = segments.size(index)?;
        let mut one = SegmentSurvey {
            name,
            len,
            header: None,
            used_len: 0,
            batches: 0,
            records: 0,
            last_lsn: survey.last,
            verdict: Verdict::Clean,
        };
        match &heads[index] {
            Err(verdict) => one.verdict = *verdict,
            Ok((header, crc)) => {
                one.header = Some(*header);
                let next = heads.get(index + 1).and_then(|next| next.as_ref().ok());
                let bound = next.map(|(next, _)| next.predecessor);
                let bytes = segments.read(index, bound.map_or(header.capacity, |b| b.used_len))?;
                let last = index + 1 == heads.len();
                survey.examine(&mut one, header, *crc, &bytes, bound, last);
            }
        }
        survey.last = survey.last.max(one.last_lsn);
        survey.segments.push(one);
    }
    Ok(survey)
}

fn head_of(name: &str, block: &[u8]) -> Head {
    let Some((_, first_lsn)) = parse_name(name) else {
        return Err(Verdict::at_header(Why::Name, Lsn::ZERO));
    };
    let corrupt = |why| Err(Verdict::at_header(why, first_lsn));
    match SegmentHeader::decode(block) {
        Ok((header, crc)) if file_name(header.sequence, header.first_lsn) == name => {
            Ok((header, crc))
        }
        Ok(_) => corrupt(Why::Renamed),
        Err(HeaderFault::Newer { format }) => Err(Verdict::NewerFormat { format }),
        Err(HeaderFault::Checksum { stored, found }) => {
            corrupt(Why::SegmentHeader { stored, found })
        }
        Err(HeaderFault::NotAHeader) => corrupt(Why::NotAHeader),
    }
}

/// Turns each header that does not follow from the one before it into a verdict.
fn link(heads: &mut [Head]) {
    let expected = heads.iter().flatten().next().map(|(header, _)| header.identity);
    let mut sequence = 1;
    for head in heads {
        let Ok((header, _)) = head else {
            sequence += 1;
            continue;
        };
        let found = header.identity;
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            *head = Err(Verdict::WrongIdentity { expected, found });
            sequence += 1;
            continue;
        }
        let lsn = header.first_lsn;
        let why = if header.sequence != sequence {
            Some(Why::Sequence { expected: sequence })
        } else if !follows_from_its_predecessor(header) {
            Some(Why::NotAHeader)
        } else {
            None
        };
        sequence = header.sequence.saturating_add(1);
        if let Some(why) = why {
            *head = Err(Verdict::at_header(why, lsn));
        }
    }
}

fn follows_from_its_predecessor(header: &SegmentHeader) -> bool {
    let Predecessor { sequence, last_lsn, used_len, .. } = header.predecessor;
    let block = BLOCK as u64;
    let bounded = if header.sequence == 1 {
        header.predecessor == Predecessor::default()
    } else {
        sequence == header.sequence - 1 && used_len >= block && used_len.is_multiple_of(block)
    };
    let room = header.capacity.is_multiple_of(block) && header.capacity >= 2 * block;
    bounded && room && header.first_lsn == last_lsn.plus(1) && header.born_lsn >= last_lsn
}

impl Survey {
    fn examine(
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
        let evidence = |tip: &Tip, damage: &Option<Damage>, beyond, durable| Evidence {
            place: if bound.is_some() { Place::Sealed } else { Place::Last },
            covered: last && durable >= tip.next,
            spot: damage.map_or(Spot::End, |damage| damage.spot),
            mark: damage.is_some_and(|damage| damage.mark),
            beyond,
        };
        let (beyond, bridge) = match &damage {
            None => (crate::scan::Beyond::Nothing, None),
            Some(damage) => look_beyond(bytes, salt, &tip, damage, ahead),
        };
        let mut judgement = judge(evidence(&tip, &damage, beyond, self.durable));
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
            let (proven, loose): (Vec<_>, Vec<_>) = spans
                .into_iter()
                .filter(|header| header.records > 0)
                .partition(|header| header.first_lsn <= self.durable);
            self.proven = Some(proven.last().map_or(start, Tip::after));
            self.loose =
                loose.iter().map(|header| (header.offset, u64::from(header.batch_len))).collect();
        }
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
