//! What a process can ask of a crash disk, and how it is refused.

use std::io;
use std::path::PathBuf;
use std::sync::MutexGuard;

use super::file::FileNode;
use super::tree::{DirNode, Id, Node};
use super::{CrashDisk, State, WriteFault, due, input_output};
use crate::frame::SECTOR;
use crate::storage::{Storage, StorageFile};

/// The lock file of a [`CrashDisk`], held.
#[derive(Debug)]
pub struct CrashLock {
    disk: CrashDisk,
    generation: u64,
}

impl Drop for CrashLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.generation == self.generation {
            state.locked = false;
        }
    }
}

/// An open file of a [`CrashDisk`].
#[derive(Debug)]
pub struct CrashFile {
    disk: CrashDisk,
    generation: u64,
    id: Id,
}

impl Storage for CrashDisk {
    type File = CrashFile;
    type Lock = CrashLock;

    fn locate(&self, path: &str) -> PathBuf {
        PathBuf::from(path)
    }

    fn lock(&self, _path: &str) -> io::Result<Option<CrashLock>> {
        let mut state = self.state();
        state.alive()?;
        if state.locked {
            return Ok(None);
        }
        state.locked = true;
        Ok(Some(CrashLock { disk: self.clone(), generation: state.generation }))
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        state.alive()?;
        if state.tree.find(path).is_ok() {
            return Ok(());
        }
        let last = state.operate()?;
        state.tree.create(path, Node::Dir(DirNode::default()))?;
        State::finish(last, ())
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let state = self.state();
        state.alive()?;
        let id = state.tree.find(directory)?;
        Ok(state.tree.dir(id)?.live.keys().cloned().collect())
    }

    fn create(&self, path: &str) -> io::Result<CrashFile> {
        let mut state = self.state();
        let last = state.operate()?;
        let id = state.tree.create(path, Node::File(FileNode::default()))?;
        let generation = state.generation;
        State::finish(last, CrashFile { disk: self.clone(), generation, id })
    }

    fn open(&self, path: &str) -> io::Result<CrashFile> {
        let mut state = self.state();
        state.alive()?;
        let id = state.tree.find(path)?;
        state.tree.file(id)?;
        Ok(CrashFile { disk: self.clone(), generation: state.generation, id })
    }

    fn open_to_write(&self, path: &str) -> io::Result<CrashFile> {
        self.open(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let last = state.operate()?;
        state.tree.rename(from, to)?;
        State::finish(last, ())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        let last = state.operate()?;
        let len = state.tree.remove(path)?;
        state.used = state.used.saturating_sub(len);
        State::finish(last, ())
    }

    fn sync_dir(&self, directory: &str) -> io::Result<()> {
        let mut state = self.state();
        if state.operate()? {
            return State::finish(true, ());
        }
        if due(&mut state.sync_fault) {
            state.counts.syncs_failed += 1;
            return Err(input_output());
        }
        state.tree.sync_dir(directory)
    }
}

impl CrashFile {
    /// The disk, unless the process that opened this file is dead.
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.generation != self.generation {
            return Err(io::Error::other("the process that opened this file is dead"));
        }
        Ok(state)
    }
}

impl StorageFile for CrashFile {
    fn size(&self) -> io::Result<u64> {
        let mut state = self.state()?;
        state.alive()?;
        Ok(state.tree.file(self.id)?.cache.len() as u64)
    }

    fn read_up_to(&self, len: u64) -> io::Result<Vec<u8>> {
        let mut state = self.state()?;
        state.alive()?;
        if due(&mut state.read_fault) {
            state.counts.reads_failed += 1;
            return Err(input_output());
        }
        let bytes = &state.tree.file(self.id)?.cache;
        Ok(bytes[..bytes.len().min(usize::try_from(len).unwrap_or(usize::MAX))].to_vec())
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut guard = self.state()?;
        let state = &mut *guard;
        let last = state.operate()?;
        let at = offset as usize;
        let fault = match &mut state.write_fault {
            Some((n, fault)) => {
                let fault = *fault;
                *n = n.saturating_sub(1);
                (*n == 0).then_some(fault)
            }
            None => None,
        };
        if fault.is_some() {
            state.write_fault = None;
        }
        let sectors = bytes.len().div_ceil(SECTOR) as u64;
        let part = state.random.below(sectors) as usize * SECTOR;
        let count = match fault {
            None => bytes.len(),
            Some(WriteFault::NoSpace) => {
                state.counts.writes_without_space += 1;
                return Err(io::ErrorKind::StorageFull.into());
            }
            Some(WriteFault::Io) => part,
            Some(WriteFault::Short) => part.max(1).min(bytes.len()),
        };
        let old = state.tree.file(self.id)?.cache.len();
        state.grow(old, old.max(at + count))?;
        state.tree.file(self.id)?.write(&bytes[..count], at);
        match fault {
            Some(WriteFault::Io) => {
                state.counts.writes_failed += 1;
                Err(input_output())
            }
            Some(WriteFault::Short) => {
                state.counts.writes_short += 1;
                State::finish(last, count)
            }
            Some(WriteFault::NoSpace) | None => State::finish(last, count),
        }
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let mut guard = self.state()?;
        let state = &mut *guard;
        if state.operate()? {
            return State::finish(true, ());
        }
        if due(&mut state.sync_fault) {
            state.counts.syncs_failed += 1;
            state.tree.file(self.id)?.sync_badly(&mut state.random);
            return Err(input_output());
        }
        state.tree.file(self.id)?.sync();
        Ok(())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        let mut guard = self.state()?;
        let state = &mut *guard;
        let last = state.operate()?;
        let old = state.tree.file(self.id)?.cache.len();
        state.grow(old, len as usize)?;
        state.tree.file(self.id)?.set_len(len as usize);
        State::finish(last, ())
    }
}
