//! A damaged batch put back from the view's second copy, where that has it byte for byte.
//!
//! Without being told to, it says what it would do. The damaged file is kept in `quarantine/`, what
//! was done becomes a fact of the log itself, and no record is ever dropped: a log of which
//! anything would stay wrong is left as it is.

use super::Source;
use super::beside::Beside;
use super::source::{quoted, verdict};
use crate::errors::{Exit, Failure, chain};
use crate::home::Service;
use crate::init;
use serde::Serialize;
use wal::mend::{MendError, Mending, Patch, plan};
use wal::{OpenError, Options};

/// A repair, done or planned.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Repair {
    pub log: String,
    pub applied: bool,
    pub patches: Vec<PutBack>,
    /// The damaged files, as they were.
    pub kept: Vec<String>,
}

/// One batch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PutBack {
    pub file: String,
    pub offset: u64,
    pub bytes: u64,
    pub first_lsn: u64,
    /// 0 for a Mark, which holds no record and was computed.
    pub records: u32,
    /// Where it comes from.
    pub from: String,
}

/// Plans a repair of `source`, and does it if `apply`.
pub fn repair(source: &Source, apply: bool, options: Options) -> Result<Repair, Failure> {
    let beside = Beside::open(source);
    let mending = planned(source, beside.as_ref())?;
    let view = beside.map(|beside| beside.file.display().to_string()).unwrap_or_default();
    let put_back = |patch: &Patch| PutBack {
        file: patch.file.display().to_string(),
        offset: patch.offset,
        bytes: patch.bytes,
        first_lsn: patch.first_lsn.get(),
        records: patch.records,
        from: if patch.records == 0 { "computed".to_owned() } else { view.clone() },
    };
    let mut done = Repair {
        log: source.name.clone(),
        applied: false,
        patches: mending.patches.iter().map(put_back).collect(),
        kept: Vec::new(),
    };
    if !apply || done.patches.is_empty() {
        return Ok(done);
    }
    let service = source.service.ok_or_else(|| {
        Failure::plain(Exit::Usage, "the log does not say which service it is of")
            .money("Nothing was changed.")
            .todo("Copy it into a home, and repair it there.")
    })?;
    let patches = mending.patches.clone();
    let kept = mending.apply(&source.disk()).map_err(|error| unmended(source, &error))?;
    init::record_mended(&source.directory, service, options, &patches, &kept)?;
    done.applied = true;
    done.kept = kept.iter().map(|path| path.display().to_string()).collect();
    Ok(done)
}

fn planned(source: &Source, beside: Option<&Beside>) -> Result<Mending, Failure> {
    let witnessed = beside.and_then(|beside| beside.witnessed(source));
    let copies = |segment| match beside {
        Some(beside) => beside.copies(segment),
        None => Ok(Vec::new()),
    };
    plan(&source.disk(), witnessed, copies).map_err(|error| match error {
        MendError::Read(error) => source.unreadable(&chain(&error)),
        MendError::Copy(error) => Failure::plain(Exit::Damaged, chain(&error))
            .money("The second copy cannot be read. Nothing was changed."),
        MendError::Beyond(seen) => {
            let wrong = seen.first_unsound();
            let file = wrong.map(|it| source.segment(&it.name).display().to_string());
            let file = file.unwrap_or_else(|| source.directory.display().to_string());
            let why = wrong.map_or_else(|| "no segment".to_owned(), |it| verdict(&it.verdict));
            let what = format!("no second copy holds what is wrong in {file}: {why}");
            let name = quoted(&source.name);
            Failure::plain(Exit::Damaged, what)
                .money("Nothing was changed: a part of it mended would still be damaged.")
                .todo(format!("See what helps: strife wal verify {name}"))
        }
    })
}

fn unmended(source: &Source, error: &OpenError) -> Failure {
    let told = chain(error);
    match error {
        OpenError::Locked { .. } => Failure::plain(Exit::Configuration, told)
            .money("Nothing was changed: a log is repaired while its service is stopped.")
            .todo(match source.service {
                Some(Service::Bank(_) | Service::Gateway) if source.at_home => {
                    "Stop everything (strife up ends with ^C), and say it again.".to_owned()
                }
                _ => "Stop whatever uses this directory, and say it again.".to_owned(),
            }),
        _ => Failure::plain(Exit::Unexpected, told)
            .money("Each segment is as it was or mended; the damaged ones are in quarantine/.")
            .todo("Make room or mend the disk, and say it again."),
    }
}
