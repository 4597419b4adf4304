//! A disk in memory that loses, tears, flips and refuses on command, the same way each time for
//! the same seed.
//!
//! ```text
//!   processes see    cache  --sync_data-->  disk        kill: the cache stays
//!   processes see    live   --sync_dir--->  disk        power cut: only the disk stays, and of
//!                    names                  names       the rest each sector and name by chance
//! ```
//!
//! A sector of 512 bytes is written as a whole or not at all; that is what disks promise and all
//! that the log relies on. Nothing else is promised: not the order of writes, not their number.

mod calls;
mod file;
mod tree;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::tree::Tree;
use crate::frame::SECTOR;
use crate::splitmix::SplitMix64;

/// How a write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFault {
    /// Some sectors are written, then the device fails.
    Io,
    /// Nothing is written: the disk is full.
    NoSpace,
    /// Some sectors are written, and the call says so.
    Short,
}

/// How often each fault has happened. A drill whose fault has count 0 has proven nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Processes killed.
    pub kills: u64,
    /// Power cuts.
    pub power_cuts: u64,
    /// Machines that stopped at a given operation.
    pub stops: u64,
    /// Unsynced sectors that a power cut took.
    pub sectors_lost: u64,
    /// Unsynced sectors that a power cut left.
    pub sectors_kept: u64,
    /// Unsynced creates, renames and removes that a power cut undid, halves counted.
    pub names_lost: u64,
    /// Unsynced creates, renames and removes that a power cut left.
    pub names_kept: u64,
    /// Syncs that failed.
    pub syncs_failed: u64,
    /// Reads that failed.
    pub reads_failed: u64,
    /// Writes that failed.
    pub writes_failed: u64,
    /// Writes that wrote less than they were asked to.
    pub writes_short: u64,
    /// Writes for which there was no space.
    pub writes_without_space: u64,
    /// Bits flipped.
    pub bits_flipped: u64,
    /// Sectors zeroed.
    pub sectors_zeroed: u64,
    /// Files whose contents were replaced.
    pub files_replaced: u64,
    /// Copies put in place of the whole disk.
    pub restores: u64,
}

/// All that is on a disk, as a backup would copy it.
#[derive(Clone, Debug)]
pub struct DiskImage(Tree);

#[derive(Debug)]
struct State {
    tree: Tree,
    random: SplitMix64,
    counts: FaultCounts,
    /// One higher after each crash; older files are those of dead processes.
    generation: u64,
    locked: bool,
    capacity: u64,
    used: u64,
    operations: u64,
    stop_at: Option<u64>,
    stopped: bool,
    /// Faults to come: in how many calls.
    sync_fault: Option<u64>,
    read_fault: Option<u64>,
    write_fault: Option<(u64, WriteFault)>,
}

/// A handle to one disk; clones are handles to the same.
#[derive(Clone, Debug)]
pub struct CrashDisk {
    state: Arc<Mutex<State>>,
}

impl CrashDisk {
    /// An empty disk. `seed` decides what the faults leave behind.
    pub fn new(seed: u64) -> Self {
        let state = State {
            tree: Tree::new(),
            random: SplitMix64::new(seed),
            counts: FaultCounts::default(),
            generation: 0,
            locked: false,
            capacity: u64::MAX,
            used: 0,
            operations: 0,
            stop_at: None,
            stopped: false,
            sync_fault: None,
            read_fault: None,
            write_fault: None,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process is gone. What it wrote is in the page cache, not synced; its files are dead.
    pub fn kill(&self) {
        let mut state = self.state();
        state.counts.kills += 1;
        state.reset();
    }

    /// The power is gone. Each sector and name that was not synced survives by chance.
    pub fn power_cut(&self, seed: u64) {
        let state = &mut *self.state();
        state.counts.power_cuts += 1;
        state.tree.power_cut(seed, &mut state.counts);
        state.reset();
    }

    /// The `n`-th operation from now (1 is the next) that changes anything is the last: what it
    /// writes is not synced, a sync does nothing, and all later ones fail, until a kill or a
    /// power cut that comes after it.
    pub fn stop_at_operation(&self, n: u64) {
        let mut state = self.state();
        state.stop_at = Some(state.operations + n);
    }

    /// Operations so far that changed anything.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The `n`-th sync of a file or directory from now fails, and marks its pages clean.
    pub fn fail_nth_sync(&self, n: u64) {
        self.state().sync_fault = Some(n);
    }

    /// The `n`-th read from now fails.
    pub fn fail_nth_read(&self, n: u64) {
        self.state().read_fault = Some(n);
    }

    /// The `n`-th write from now fails in this way.
    pub fn fail_nth_write(&self, n: u64, fault: WriteFault) {
        self.state().write_fault = Some((n, fault));
    }

    /// Forgets the faults to come.
    pub fn clear_faults(&self) {
        let mut state = self.state();
        (state.sync_fault, state.read_fault, state.write_fault) = (None, None, None);
        state.stop_at = None;
    }

    /// How many bytes all files may take together.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity = bytes;
    }

    /// How many bytes all files take together.
    pub fn used(&self) -> u64 {
        self.state().used
    }

    /// How often each fault has happened.
    pub fn counts(&self) -> FaultCounts {
        self.state().counts
    }

    /// Flips one bit of a file.
    pub fn flip_bit(&self, path: &str, byte: u64, bit: u8) -> io::Result<()> {
        self.state().counts.bits_flipped += 1;
        self.damage(path, |bytes| {
            if let Some(byte) = bytes.get_mut(byte as usize) {
                *byte ^= 1 << (bit % 8);
            }
        })
    }

    /// Zeroes one 512-byte sector of a file.
    pub fn zero_sector(&self, path: &str, sector: u64) -> io::Result<()> {
        self.state().counts.sectors_zeroed += 1;
        self.damage(path, |bytes| {
            bytes
                .chunks_mut(SECTOR)
                .nth(sector as usize)
                .into_iter()
                .flatten()
                .for_each(|b| *b = 0);
        })
    }

    /// Replaces a file's contents, on disk too.
    pub fn replace(&self, path: &str, contents: &[u8]) -> io::Result<()> {
        self.state().counts.files_replaced += 1;
        self.damage(path, |bytes| *bytes = contents.to_vec())
    }

    fn damage(&self, path: &str, harm: impl Fn(&mut Vec<u8>)) -> io::Result<()> {
        let state = &mut *self.state();
        let id = state.tree.find(path)?;
        state.tree.file(id)?.damage(harm);
        state.used = state.tree.sweep();
        Ok(())
    }

    /// A file's bytes as processes see them.
    pub fn contents(&self, path: &str) -> io::Result<Vec<u8>> {
        let state = &mut *self.state();
        let id = state.tree.find(path)?;
        Ok(state.tree.file(id)?.cache.clone())
    }

    /// The paths of all files.
    pub fn paths(&self) -> Vec<String> {
        self.state().tree.files().into_iter().map(|(path, _)| path).collect()
    }

    /// A copy of all files, as processes see them.
    pub fn snapshot(&self) -> DiskImage {
        DiskImage(self.state().tree.clone())
    }

    /// Puts a copy in place of all that is there, also on another disk. It is all durable.
    pub fn restore(&self, image: &DiskImage) {
        let state = &mut *self.state();
        state.tree = image.0.clone();
        for node in &mut state.tree.nodes {
            node.settle();
        }
        state.counts.restores += 1;
        state.reset();
    }
}

impl State {
    fn reset(&mut self) {
        self.generation += 1;
        if std::mem::take(&mut self.stopped) {
            self.stop_at = None;
        }
        self.locked = false;
        self.used = self.tree.sweep();
    }

    /// Counts an operation that changes something. `Ok(true)` if it is the last.
    fn operate(&mut self) -> io::Result<bool> {
        self.alive()?;
        self.operations += 1;
        if self.stop_at.is_some_and(|at| self.operations >= at) {
            self.counts.stops += 1;
            self.stopped = true;
        }
        Ok(self.stopped)
    }

    fn alive(&self) -> io::Result<()> {
        if self.stopped { Err(io::Error::other("the machine is off")) } else { Ok(()) }
    }

    /// Does what the call asked; if it was the last, no one hears that it was done.
    fn finish<T>(last: bool, value: T) -> io::Result<T> {
        if last { Err(io::Error::other("the machine is off")) } else { Ok(value) }
    }

    fn grow(&mut self, from: usize, to: usize) -> io::Result<()> {
        let used = self.used.saturating_add(to as u64).saturating_sub(from as u64);
        if to > from && used > self.capacity {
            self.counts.writes_without_space += 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.used = used;
        Ok(())
    }
}

/// Counts down to a fault. True when it is due.
fn due(fault: &mut Option<u64>) -> bool {
    let Some(n) = fault else { return false };
    *n = n.saturating_sub(1);
    let due = *n == 0;
    if due {
        *fault = None;
    }
    due
}

fn input_output() -> io::Error {
    io::Error::from_raw_os_error(5)
}
