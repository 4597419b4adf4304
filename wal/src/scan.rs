//! bytes -> clean, torn, or corrupt. Total, pure, fuzzed.
//!
//! A plain log cuts at the first bad record, and so turns rot into silent loss. Here a bad place
//! is *torn* only if a single crash of a writer that keeps one batch in flight explains it:
//!
//! ```text
//!   synced .. synced | Mark (unsynced) | batch in flight | zeros, never written
//! ```
//!
//! Any subset of the sectors of the Mark and the batch may be missing. All else is corrupt: a
//! sector that is there and wrong, a hole with later writes behind it, a record below `D`, the
//! highest that anything proves to have been durable.
//!
//! One thing whole can stand behind a hole: the batch in flight, when the Mark before it is lost.
//! Nothing is missing then, so the batch is kept ([`Judgement::Bridge`]).
//!
//! Rejected: tolerating a wrong byte when no record is lost. Damage that is found is reported.

use std::borrow::Cow;

use crate::lsn::Lsn;
use crate::survey::{self, Segments, Survey};

/// Whether something bounds the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A successor says where it ends: all of it was durable before that was written.
    Sealed,
    /// It is the last. Behind its end are zeros.
    Last,
}

/// What stands where the next batch should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// Nothing: the bound, or zeros to the end.
    End,
    /// A header sector of zeros, and something behind it.
    HeaderLost,
    /// Some bytes of a header, then nothing: a write that stopped in its first 60 bytes.
    HeaderStub,
    /// A header sector that was written and does not hold.
    HeaderWrong,
    /// A header that holds, and fewer written sectors than there were in the whole batch.
    BodyLost,
    /// All sectors are there but the last ends in zeros: a write that stopped short.
    BodyStub,
    /// All of it is there, and it does not hold.
    BodyWrong,
    /// A header that holds, and does not follow from the batch before.
    Misplaced,
}

/// What lies behind that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// Zeros.
    Nothing,
    /// Something, but no whole batch.
    Remains,
    /// A whole batch.
    Whole,
    /// Exactly the batch that would follow, had a Mark stood here, and then zeros.
    Next,
}

/// All that a judgement rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Which segment.
    pub place: Place,
    /// The record expected here, or a later one, is known to have been durable.
    pub covered: bool,
    /// What stands here.
    pub spot: Spot,
    /// A header that holds says that no record is in it.
    pub mark: bool,
    /// What lies behind.
    pub beyond: Beyond,
}

/// What a bad place means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The log ends here, in order.
    Clean,
    /// Only a Mark was lost; the batch behind it follows.
    Bridge,
    /// A write that no one was told of did not finish.
    Torn,
    /// Something is there and wrong.
    Wrong,
    /// It was synced, for later writes follow, and it is not all there.
    Overtaken,
    /// Bytes that a successor vouches for are missing.
    Hole,
    /// A record known to have been durable is missing.
    Lost,
}

/// The decision table. Every row can be disputed; a test enumerates every input.
#[allow(clippy::match_same_arms)] // Rows that end alike have different reasons.
pub fn judge(evidence: Evidence) -> Judgement {
    use Spot::{
        BodyLost, BodyStub, BodyWrong, End, HeaderLost, HeaderStub, HeaderWrong, Misplaced,
    };
    let Evidence { place, covered, spot, mark, beyond } = evidence;
    match (place, covered, spot, mark, beyond) {
        // There and wrong, wherever it is: no crash writes a wrong sector.
        (_, _, HeaderWrong | BodyWrong | Misplaced, _, _) => Judgement::Wrong,

        // A successor bounds it: it was durable to its last byte, and so is its end.
        (Place::Sealed, _, End, _, _) => Judgement::Clean,
        (Place::Sealed, _, HeaderLost | HeaderStub | BodyLost | BodyStub, _, _) => Judgement::Hole,

        // Known to have been durable, and not there.
        (Place::Last, true, End | HeaderLost | HeaderStub | BodyLost | BodyStub, _, _) => {
            Judgement::Lost
        }

        (Place::Last, false, End, _, _) => Judgement::Clean,

        // No more than a Mark can be missing before the batch that continues its chain.
        (Place::Last, false, HeaderLost, _, Beyond::Next)
        | (Place::Last, false, BodyLost | BodyStub, true, Beyond::Next) => Judgement::Bridge,

        // The header sector did not make it. Were what follows from a later sync, some header
        // among it would cover this place, or it would be whole.
        (Place::Last, false, HeaderLost, _, Beyond::Nothing | Beyond::Remains) => Judgement::Torn,
        (Place::Last, false, HeaderStub, _, Beyond::Nothing) => Judgement::Torn,

        // Where the batch ends is known. Behind a Mark the one batch in flight may have left
        // remains; behind a batch there are only zeros, until it is synced.
        (Place::Last, false, BodyLost | BodyStub, _, Beyond::Nothing)
        | (Place::Last, false, BodyLost | BodyStub, true, Beyond::Remains) => Judgement::Torn,

        (Place::Last, false, HeaderLost | BodyLost | BodyStub, _, Beyond::Whole)
        | (Place::Last, false, HeaderStub, _, Beyond::Remains | Beyond::Whole | Beyond::Next)
        | (Place::Last, false, BodyLost | BodyStub, false, Beyond::Remains | Beyond::Next) => {
            Judgement::Overtaken
        }
    }
}

/// Scans a log held in memory: the files of its directory by name, in order of their names.
///
/// `witnessed` is the highest record that anything outside the log knows to have been durable.
pub fn scan(files: &[(String, Vec<u8>)], witnessed: Option<Lsn>) -> Survey {
    let Ok(survey) = survey::survey(&mut Memory::new(files), witnessed);
    survey
}

struct Memory<'a> {
    names: Vec<String>,
    files: Vec<&'a [u8]>,
}

impl<'a> Memory<'a> {
    fn new(files: &'a [(String, Vec<u8>)]) -> Self {
        let files = files.iter().filter(|(name, _)| survey::is_segment(name));
        let (names, files) = files.map(|(name, bytes)| (name.clone(), bytes.as_slice())).unzip();
        Self { names, files }
    }
}

impl Segments for Memory<'_> {
    type Error = std::convert::Infallible;

    fn names(&self) -> &[String] {
        &self.names
    }

    fn size(&mut self, index: usize) -> Result<u64, Self::Error> {
        Ok(self.files[index].len() as u64)
    }

    fn read(&mut self, index: usize, len: u64) -> Result<Cow<'_, [u8]>, Self::Error> {
        let file = self.files[index];
        Ok(Cow::Borrowed(&file[..file.len().min(len as usize)]))
    }
}
