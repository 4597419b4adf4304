//! Is a log whole? Every segment, what others remember of it, the view beside it, and what helps.
//!
//! ```text
//!   views opened  -->  banks folded  -->  gateway folded  -->  segments looked at
//! ```
//!
//! In this order a running service is always ahead of what is known of it, so that a lag is never
//! taken for a loss. Changes nothing; what helps is a command, for a person to run.

mod helps;
mod witnesses;

pub use witnesses::Memory;

use super::Source;
use super::beside::{Beside, Compared};
use super::fold::{Folded, State};
use super::source::{services, verdict};
use crate::errors::{Failure, chain};
use crate::home::{Home, Service};
use serde::Serialize;
use wal::read::{SegmentSurvey, Survey, Verdict, survey_heard};

/// What was found of one log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Checked {
    pub log: String,
    pub directory: String,
    pub ok: bool,
    /// `clean`, `torn`, `corrupt`, `foreign`, `newer`, `behind` or `diverged`.
    pub verdict: &'static str,
    pub segments: Vec<Segment>,
    pub batches: u64,
    pub records: u64,
    pub last_lsn: u64,
    /// The last record that something proves to have been durable.
    pub durable_lsn: u64,
    pub epoch: u64,
    /// What others know of this log.
    pub witnesses: Vec<Memory>,
    pub view: Option<Compared>,
    /// What is wrong beyond the segments.
    pub problems: Vec<String>,
    /// What to do about it, as commands.
    pub next: Vec<String>,
}

/// One segment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Segment {
    pub file: String,
    pub bytes: u64,
    pub used_bytes: u64,
    pub batches: u64,
    pub records: u64,
    pub last_lsn: u64,
    /// `clean`, `torn`, `corrupt`, `foreign` or `newer`.
    pub verdict: &'static str,
    /// Why, in words; empty for a clean one.
    pub why: String,
    /// Where, and which record is expected there.
    pub offset: Option<u64>,
    pub lsn: Option<u64>,
    pub torn_bytes: Option<u64>,
    pub whole_batches_following: Option<u64>,
}

/// What to look at beside the segments.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Depth {
    /// Nothing: the fastest.
    LogOnly,
    /// The views, and what the other logs of the home remember.
    All,
}

/// Whom nobody can name but the log itself.
struct Read {
    source: Source,
    beside: Option<Beside>,
    folded: Option<Folded>,
    /// Why the fold stopped.
    unfolded: Option<String>,
}

/// Checks the logs that are named; without a name, all of the home. `heard` is told of bytes read.
pub fn verify(
    home: &Home,
    named: Option<&str>,
    depth: Depth,
    heard: &mut dyn FnMut(u64),
) -> Result<Vec<Checked>, Failure> {
    let mut wanted = if let Some(name) = named {
        vec![Source::find(home, Some(name))?]
    } else {
        home_is_there(home)?;
        let all = services(home).into_iter();
        all.map(|service| Source::of(home, service)).collect::<Result<_, _>>()?
    };
    if depth == Depth::LogOnly {
        return wanted.iter().map(|source| check(source, None, &[], None, heard)).collect();
    }
    // What others of the home remember is worth hearing only for a log of it.
    let others = wanted.iter().any(|source| source.at_home);
    let mut peers: Vec<Source> = Vec::new();
    if others {
        let not_wanted = services(home).into_iter().filter(|service| {
            !wanted.iter().any(|source| source.at_home && source.service == Some(*service))
        });
        peers.extend(not_wanted.filter_map(|service| Source::of(home, service).ok()));
    }
    let count = wanted.len();
    wanted.extend(peers);
    let mut read: Vec<Read> = wanted.into_iter().map(Read::open).collect();
    let is_bank = |read: &Read| matches!(read.source.service, Some(Service::Bank(_)));
    read.iter_mut().filter(|read| is_bank(read)).for_each(Read::fold);
    read.iter_mut().filter(|read| !is_bank(read)).for_each(Read::fold);
    let memories: Vec<Vec<Memory>> =
        read.iter().map(|one| witnesses::of(one.source(), read.iter().map(Read::known))).collect();
    // Now no log is behind what was heard of it.
    read.iter_mut().filter(|read| is_bank(read)).for_each(Read::fold);
    let mut checked = Vec::new();
    for (one, memories) in read.into_iter().zip(memories).take(count) {
        let Read { source, beside, folded, unfolded } = one;
        let state = folded.map(|folded| folded.state);
        checked.push(check(&source, beside, &memories, state.as_ref().zip(Some(unfolded)), heard)?);
    }
    Ok(checked)
}

/// How many bytes that will be, for whoever shows progress.
pub fn bytes(home: &Home, named: Option<&str>) -> u64 {
    let sources: Vec<Source> = match named {
        Some(name) => Source::find(home, Some(name)).into_iter().collect(),
        None => services(home).into_iter().filter_map(|it| Source::of(home, it).ok()).collect(),
    };
    sources.iter().map(Source::bytes).sum()
}

fn home_is_there(home: &Home) -> Result<(), Failure> {
    if home.all_data().is_dir() {
        return Ok(());
    }
    let what = format!("there is no home at {}", home.root().display());
    Err(Failure::new(crate::errors::Reason::HomeMissing, what))
}

impl Read {
    fn open(source: Source) -> Self {
        let beside = Beside::open(&source);
        Self { source, beside, folded: None, unfolded: None }
    }

    fn fold(&mut self) {
        let folded = self.folded.get_or_insert_with(|| Folded::new(&self.source));
        self.unfolded = folded.advance(&self.source, None).err().map(|failure| failure.what);
    }

    fn source(&self) -> &Source {
        &self.source
    }

    fn known(&self) -> (&Source, Option<&State>) {
        (&self.source, self.folded.as_ref().map(|folded| &folded.state))
    }
}

/// Looks at one log, with all that is known of it from elsewhere.
fn check(
    source: &Source,
    beside: Option<Beside>,
    memories: &[Memory],
    folded: Option<(&State, Option<String>)>,
    heard: &mut dyn FnMut(u64),
) -> Result<Checked, Failure> {
    let disk = source.disk();
    let by_view = beside.as_ref().and_then(|beside| beside.witnessed(source));
    let by_peers = memories.iter().filter(|memory| memory.same_log).map(|memory| memory.lsn);
    let witnessed = by_peers.map(wal::Lsn::new).chain(by_view).max();
    let seen =
        survey_heard(&disk, witnessed, heard).map_err(|error| source.unreadable(&chain(&error)))?;
    let sum = |of: fn(&SegmentSurvey) -> u64| seen.segments.iter().map(of).sum();
    let mut checked = Checked {
        log: source.name.clone(),
        directory: source.directory.display().to_string(),
        ok: true,
        verdict: worst(&seen),
        segments: seen.segments.iter().map(|segment| Segment::of(source, segment)).collect(),
        batches: sum(|segment| segment.batches),
        records: sum(|segment| segment.records),
        last_lsn: seen.last.get(),
        durable_lsn: seen.durable.get(),
        epoch: seen.epoch,
        witnesses: memories.to_vec(),
        view: None,
        problems: Vec::new(),
        next: Vec::new(),
    };
    checked.ok = seen.first_unsound().is_none() && !seen.segments.is_empty();
    if seen.segments.is_empty() {
        checked.problems.push("the log holds no segment".to_owned());
    }
    let mut copies = None;
    if checked.ok {
        if let Some((state, unfolded)) = folded {
            checked.contents(source, beside, state, unfolded);
        }
    } else {
        copies = beside;
    }
    checked.next = helps::next(source, &checked, &seen, copies.as_ref(), witnessed, &disk);
    Ok(checked)
}

impl Checked {
    /// What a log that is whole says, against all that is known of it.
    fn contents(
        &mut self,
        source: &Source,
        beside: Option<Beside>,
        state: &State,
        unfolded: Option<String>,
    ) {
        self.problems.extend(unfolded);
        for memory in self.witnesses.iter().filter(|memory| memory.same_log) {
            if !memory.is_held_by(state) {
                self.problems.push(format!(
                    "{} remembers record {} of start {}, which this log lacks: it is an older copy",
                    memory.who, memory.lsn, memory.start_id
                ));
            }
        }
        if !self.problems.is_empty() {
            (self.ok, self.verdict) = (false, "behind");
        }
        if let Some(beside) = beside {
            let compared = beside.compare(source, state);
            if !compared.diverged.is_empty() {
                self.ok = false;
                self.verdict = if self.problems.is_empty() { "diverged" } else { self.verdict };
            }
            self.view = Some(compared);
        }
    }
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Clean => "clean",
        Verdict::TornTail { .. } => "torn",
        Verdict::Corrupt { .. } => "corrupt",
        Verdict::WrongIdentity { .. } => "foreign",
        Verdict::NewerFormat { .. } => "newer",
    }
}

fn worst(seen: &Survey) -> &'static str {
    let unsound = seen.first_unsound().map(|segment| word(&segment.verdict));
    let last = seen.segments.last().map_or("corrupt", |segment| word(&segment.verdict));
    unsound.unwrap_or(last)
}

impl Segment {
    fn of(source: &Source, segment: &SegmentSurvey) -> Self {
        let (mut offset, mut lsn, mut torn_bytes, mut following) = (None, None, None, None);
        match segment.verdict {
            Verdict::TornTail { valid_to, bytes } => {
                (offset, torn_bytes) = (Some(valid_to), Some(bytes));
                lsn = Some(segment.last_lsn.get() + 1);
            }
            Verdict::Corrupt { offset: at, lsn: expected, whole_batches_following, .. } => {
                (offset, lsn) = (Some(at), Some(expected.get()));
                following = Some(whole_batches_following);
            }
            Verdict::Clean | Verdict::WrongIdentity { .. } | Verdict::NewerFormat { .. } => {}
        }
        let is_clean = segment.verdict == Verdict::Clean;
        Self {
            file: source.segment(&segment.name).display().to_string(),
            bytes: segment.len,
            used_bytes: segment.used_len,
            batches: segment.batches,
            records: segment.records,
            last_lsn: segment.last_lsn.get(),
            verdict: word(&segment.verdict),
            why: if is_clean { String::new() } else { verdict(&segment.verdict) },
            offset,
            lsn,
            torn_bytes,
            whole_batches_following: following,
        }
    }
}
