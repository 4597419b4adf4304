//! The outbox file: locked, read to its end, appended to, rewritten.
//!
//! ```text
//! data/clients/<client_id>/outbox        the lines; replaced by rename when it is mostly history
//!                          outbox.lock   held for one operation by one process
//! ```
//!
//! Promises that an append which returned is on disk (file and directory), and that one which
//! failed is not there. Refuses to know what the entries mean.

use super::OutboxError;
use super::lines::{self, Change, Entries, Line};
use recovery::model::ClientId;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long an operation waits for another process. Operations take milliseconds.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_POLL: Duration = Duration::from_millis(5);
/// A file smaller than this is never worth rewriting.
const REWRITE_BYTES_MIN: u64 = 64 * 1024;
/// What an entry may cost in the file before its history is dropped.
const BYTES_PER_ENTRY_MAX: u64 = 4 * 1024;

/// Must an append be on disk before it returns?
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Sync {
    Yes,
    /// What is lost with a power cut may be done again: telling a person twice.
    Later,
}

/// The file and what was read of it. Used only between [`Disk::lock`] and the drop of its guard.
#[derive(Debug)]
pub(crate) struct Disk {
    dir: PathBuf,
    client: ClientId,
    open: Option<Open>,
    pub(crate) entries: Entries,
}

/// Held open, so that its inode number cannot be given to another file while we compare it.
#[derive(Debug)]
struct Open {
    file: File,
    whole_len: u64,
    lines: usize,
    unterminated: bool,
}

impl Disk {
    /// Makes the directory; opens nothing yet.
    pub(crate) fn new(dir: &Path, client: ClientId) -> Result<Self, OutboxError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|source| OutboxError::io("create", dir, source))?;
        Ok(Self { dir: dir.to_owned(), client, open: None, entries: Entries::default() })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join("outbox")
    }

    /// Waits for the lock. Dropping the returned file releases it, as does the end of the process.
    pub(crate) fn lock(&self) -> Result<File, OutboxError> {
        let path = self.dir.join("outbox.lock");
        let opened = options().write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(|source| OutboxError::io("open", &path, source))?;
        let end = Instant::now() + LOCK_WAIT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < end => {
                    std::thread::sleep(LOCK_POLL);
                }
                Err(TryLockError::WouldBlock) => return Err(OutboxError::Busy { path }),
                Err(TryLockError::Error(source)) => {
                    return Err(OutboxError::io("lock", &path, source));
                }
            }
        }
    }

    /// Reads what other processes have written since the last time.
    pub(crate) fn refresh(&mut self) -> Result<(), OutboxError> {
        let path = self.path();
        let fail = |source| OutboxError::io("read", &path, source);
        let now = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.open = None;
                self.entries = Entries::default();
                return Ok(());
            }
            Err(error) => return Err(fail(error)),
        };
        let same = match &self.open {
            Some(open) => {
                let then = open.file.metadata().map_err(fail)?;
                let grown = now.len() >= open.whole_len;
                (then.dev(), then.ino()) == (now.dev(), now.ino()) && grown
            }
            None => false,
        };
        if !same {
            let file = options().read(true).write(true).open(&path).map_err(fail)?;
            self.open = Some(Open { file, whole_len: 0, lines: 0, unterminated: false });
            self.entries = Entries::default();
        }
        self.read_on()
    }

    fn read_on(&mut self) -> Result<(), OutboxError> {
        let path = self.path();
        let Some(open) = &mut self.open else { return Ok(()) };
        let mut bytes = Vec::new();
        let read = open.file.seek(SeekFrom::Start(open.whole_len));
        let read = read.and_then(|_| open.file.read_to_end(&mut bytes));
        read.map_err(|source| OutboxError::io("read", &path, source))?;
        let scan = lines::scan(&bytes).map_err(|mut damage| {
            damage.line += open.lines;
            damage.offset += open.whole_len;
            OutboxError::Damaged { path: path.clone(), damage }
        })?;
        open.whole_len += scan.whole_len as u64;
        open.lines += scan.lines.len();
        if !scan.lines.is_empty() {
            open.unterminated = scan.unterminated;
        }
        for line in scan.lines {
            match line {
                Line::Outbox { client, .. } if client != self.client => {
                    return Err(OutboxError::OtherClient { path, client });
                }
                Line::Outbox { .. } => {}
                Line::Changes(changes) => {
                    self.entries.apply_all(changes);
                }
            }
        }
        Ok(())
    }

    /// Appends one line, or leaves the file as it was.
    pub(crate) fn append(&mut self, changes: Vec<Change>, sync: Sync) -> Result<(), OutboxError> {
        if changes.is_empty() {
            return Ok(());
        }
        if self.open.as_ref().is_none_or(|open| open.whole_len == 0) {
            return self.begin_file(changes);
        }
        let path = self.path();
        let fail = |source| OutboxError::io("append to", &path, source);
        let Some(open) = &mut self.open else { return Ok(()) };
        let mut bytes = if open.unterminated { vec![b'\n'] } else { Vec::new() };
        let line = Line::Changes(changes);
        bytes.extend(lines::encode(&line).map_err(|error| fail(error.into()))?);
        if let Err(source) = open.write(&bytes, sync) {
            // What was refused must not come back as a payment later.
            let undone = open.file.set_len(open.whole_len).and_then(|()| open.file.sync_all());
            self.open = None;
            return Err(match undone {
                Ok(()) => fail(source),
                Err(_) => OutboxError::HalfWritten { path, source },
            });
        }
        open.whole_len += bytes.len() as u64;
        open.lines += 1;
        open.unterminated = false;
        if let Line::Changes(changes) = line {
            self.entries.apply_all(changes);
        }
        let live_max = self.entries.len() as u64 * BYTES_PER_ENTRY_MAX;
        let mostly_history = open.whole_len > REWRITE_BYTES_MIN.max(live_max);
        if mostly_history && self.rewrite().is_err() {
            // The append stands; only the tidying failed. Read the file again next time.
            self.open = None;
        }
        Ok(())
    }

    fn begin_file(&mut self, changes: Vec<Change>) -> Result<(), OutboxError> {
        self.entries.apply_all(changes);
        self.rewrite().inspect_err(|_| {
            // What was refused must not come back as a payment later.
            let _ = fs::remove_file(self.dir.join("outbox"));
            self.open = None;
            self.entries = Entries::default();
        })
    }

    /// Writes the entries aside and renames them into place.
    pub(crate) fn rewrite(&mut self) -> Result<(), OutboxError> {
        let (path, aside) = (self.path(), self.dir.join("outbox.new"));
        let fail = |source| OutboxError::io("write", &aside, source);
        let puts = self.entries.iter().map(|entry| Change::Put(Box::new(entry.clone()))).collect();
        let mut bytes = Vec::new();
        for line in [lines::header(self.client), Line::Changes(puts)] {
            bytes.extend(lines::encode(&line).map_err(|error| fail(error.into()))?);
        }
        let opened = options().read(true).write(true).create(true).truncate(true).open(&aside);
        let mut file = opened.map_err(fail)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(fail)?;
        let renamed = fs::rename(&aside, &path).and_then(|()| File::open(&self.dir)?.sync_all());
        renamed.map_err(|source| OutboxError::io("replace", &path, source))?;
        let whole_len = bytes.len() as u64;
        self.open = Some(Open { file, whole_len, lines: 2, unterminated: false });
        Ok(())
    }

    /// Keeps a copy of a damaged file beside it, and every entry that still reads.
    pub(crate) fn salvage(&mut self, now_unix_ms: u64) -> Result<PathBuf, OutboxError> {
        let path = self.path();
        let copy = self.dir.join(format!("outbox.damaged-{now_unix_ms}"));
        let bytes = fs::read(&path).map_err(|source| OutboxError::io("read", &path, source))?;
        fs::copy(&path, &copy).map_err(|source| OutboxError::io("write", &copy, source))?;
        self.entries = Entries::default();
        for line in lines::salvage(&bytes) {
            if let Line::Changes(changes) = line {
                self.entries.apply_all(changes);
            }
        }
        self.rewrite().map(|()| copy)
    }
}

impl Open {
    /// Over whatever a torn append left behind the last whole line.
    fn write(&mut self, bytes: &[u8], sync: Sync) -> io::Result<()> {
        if self.file.metadata()?.len() > self.whole_len {
            self.file.set_len(self.whole_len)?;
        }
        self.file.seek(SeekFrom::Start(self.whole_len))?;
        self.file.write_all(bytes)?;
        match sync {
            Sync::Yes => self.file.sync_data(),
            Sync::Later => Ok(()),
        }
    }
}

/// Readable by the owner only: it says who was paid how much.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}
