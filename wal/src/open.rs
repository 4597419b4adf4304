//! Reads a log to its end and says whether a service may start on it. Writes nothing that matters.
//!
//! There are two answers: a log that is whole up to [`Opened::last`], or a refusal that names the
//! file, the byte and the record. There is no third mode.

use std::io;
use std::path::PathBuf;

use crate::build::{LOCK, QUARANTINE, SPARE, clear};
use crate::error::{OpenError, ReplayError, Why};
use crate::frame::Record;
use crate::lsn::Lsn;
use crate::options::Options;
use crate::read::{Files, visit_segment};
use crate::segment::{DIRECTORY, FORMAT, Identity, Position};
use crate::storage::{Storage, told};
use crate::survey::{SegmentSurvey, Segments, Survey, Verdict, survey};

/// What an opening found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenReport {
    /// Segments of the log.
    pub segments: u64,
    /// Whole batches, Marks included.
    pub batches: u64,
    /// Records.
    pub records: u64,
    /// Bytes of headers and batches.
    pub bytes: u64,
    /// Records that were readable but not proven durable: `begin` writes them again.
    pub unproven: u64,
    /// Marks that a crash took; no record was in them.
    pub marks_lost: u64,
    /// What a crash in mid-write left behind the end.
    pub torn: Option<Torn>,
}

/// A write that did not finish, and that no one was told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Sequence number of the segment.
    pub segment: u64,
    /// Where in the file it starts.
    pub offset: u64,
    /// Its length up to the last byte that is not zero.
    pub bytes: u64,
    /// Where `begin` keeps a copy.
    pub quarantine: PathBuf,
}

/// A log that may be started on.
#[derive(Debug)]
pub struct Opened<S: Storage> {
    pub(crate) storage: S,
    pub(crate) lock: S::Lock,
    pub(crate) options: Options,
    pub(crate) identity: Identity,
    pub(crate) survey: Survey,
    pub(crate) report: OpenReport,
}

/// Takes the log, reads all of it, and refuses it if anything durable is missing or wrong.
///
/// `witnessed` is the highest record that anything outside the log knows to have been durable.
pub fn open<S: Storage>(
    storage: S,
    options: Options,
    witnessed: Option<Lsn>,
) -> Result<Opened<S>, OpenError> {
    let Options { segment_bytes } = options;
    if !options.sound() {
        return Err(OpenError::SegmentBytes { segment_bytes });
    }
    let missing = || OpenError::Missing { path: storage.locate(DIRECTORY) };
    match storage.list(DIRECTORY) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
        Err(error) => told(&storage, "list", DIRECTORY, Err(error))?,
    }
    let Some(lock) = told(&storage, "lock", LOCK, storage.lock(LOCK))? else {
        return Err(OpenError::Locked { path: storage.locate(LOCK) });
    };
    for directory in [SPARE, QUARANTINE] {
        told(&storage, "create", directory, storage.create_dir(directory))?;
    }
    clear(&storage, SPARE)?;
    let survey = survey(&mut Files::list(&storage)?, witnessed)?;
    if let Some(unsound) = survey.first_unsound() {
        return Err(refusal(&storage, unsound));
    }
    let Some(identity) = survey.identity else {
        return Err(OpenError::Corrupt {
            why: Why::NoSegment,
            file: storage.locate(DIRECTORY),
            offset: 0,
            lsn: Lsn::new(1),
            whole_batches_following: 0,
        });
    };
    let report = report(&storage, &survey);
    Ok(Opened { storage, lock, options, identity, survey, report })
}

fn refusal<S: Storage>(storage: &S, segment: &SegmentSurvey) -> OpenError {
    let file = storage.locate(&format!("{DIRECTORY}/{}", segment.name));
    match segment.verdict {
        Verdict::Corrupt { why, offset, lsn, whole_batches_following } => {
            OpenError::Corrupt { why, file, offset, lsn, whole_batches_following }
        }
        Verdict::WrongIdentity { expected, found } => {
            OpenError::WrongIdentity { file, expected: Box::new(expected), found: Box::new(found) }
        }
        Verdict::NewerFormat { format } => OpenError::NewerFormat { file, format, newest: FORMAT },
        Verdict::Clean | Verdict::TornTail { .. } => {
            unreachable!("a sound segment is no reason to refuse")
        }
    }
}

fn report<S: Storage>(storage: &S, survey: &Survey) -> OpenReport {
    let sum = |of: fn(&SegmentSurvey) -> u64| survey.segments.iter().map(of).sum();
    let torn = survey.segments.last().and_then(|segment| {
        let Verdict::TornTail { valid_to, bytes } = segment.verdict else { return None };
        let sequence = segment.header?.sequence;
        // The epoch keeps apart what two starts found at the same place.
        let name = format!("{sequence:010}-{valid_to}-{}.torn", survey.epoch);
        Some(Torn {
            segment: sequence,
            offset: valid_to,
            bytes,
            quarantine: storage.locate(&format!("{QUARANTINE}/{name}")),
        })
    });
    OpenReport {
        segments: survey.segments.len() as u64,
        batches: sum(|segment| segment.batches),
        records: sum(|segment| segment.records),
        bytes: sum(|segment| segment.used_len),
        unproven: survey.last.get() - survey.durable_and_readable().get(),
        marks_lost: survey.marks_lost,
        torn,
    }
}

impl<S: Storage> Opened<S> {
    /// Whom the log belongs to.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The highest epoch that wrote to it.
    pub fn epoch(&self) -> u64 {
        self.survey.epoch
    }

    /// The last readable record.
    pub fn last(&self) -> Lsn {
        self.survey.last
    }

    /// The last record that is proven to have been durable before this start. Those up to
    /// [`Opened::last`] become so in [`Opened::begin`]; none may be acted on before.
    pub fn durable(&self) -> Lsn {
        self.survey.durable_and_readable()
    }

    /// What was found.
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// Hands every record to `visit` in order, a segment in memory at a time.
    pub fn replay<E>(
        &self,
        mut visit: impl FnMut(Record<'_>, Position) -> Result<(), E>,
    ) -> Result<(), ReplayError<E>> {
        let mut files = Files::list(&self.storage).map_err(|e| ReplayError::Log(e.into()))?;
        for (index, segment) in self.survey.segments.iter().enumerate() {
            let bytes = files
                .read(index, segment.used_len)
                .map_err(|fault| ReplayError::Log(fault.into()))?;
            let tip = visit_segment(&bytes, &mut visit).map_err(ReplayError::Visitor)?;
            if tip.is_none_or(|tip| tip.offset != segment.used_len) {
                return Err(ReplayError::Log(OpenError::Corrupt {
                    why: Why::BatchHeader,
                    file: self.storage.locate(&format!("{DIRECTORY}/{}", segment.name)),
                    offset: tip.map_or(0, |tip| tip.offset),
                    lsn: tip.map_or(Lsn::ZERO, |tip| tip.next),
                    whole_batches_following: 0,
                }));
            }
        }
        Ok(())
    }
}
