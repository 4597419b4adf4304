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

mod contents;
mod links;

use std::borrow::Cow;

use self::links::{head_of, link};
use crate::error::Why;
use crate::frame::BLOCK;
use crate::lsn::Lsn;
use crate::segment::{Identity, SegmentHeader};
use crate::walk::Tip;

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
