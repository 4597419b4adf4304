//! The only door to a disk, and the only use of `std::fs` for logs.
//!
//! Paths are relative to a service's data directory, with `/` between names, and `""` is that
//! directory itself. A [`Storage`] promises what POSIX does and no more: bytes are safe when
//! `sync_data` of the file has returned, names when `sync_dir` of the directory has.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Fault;

/// A directory in which a log lives.
pub trait Storage: Clone + Send + 'static {
    /// An open file.
    type File: StorageFile;
    /// Held as long as the directory is ours.
    type Lock: Send + 'static;

    /// What people call this file.
    fn locate(&self, path: &str) -> PathBuf;
    /// Takes the lock file, or `None` if someone else holds it.
    fn lock(&self, path: &str) -> io::Result<Option<Self::Lock>>;
    /// Makes a directory; fine if it is there.
    fn create_dir(&self, path: &str) -> io::Result<()>;
    /// The names in a directory, sorted.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;
    /// Makes an empty file that must not be there yet.
    fn create(&self, path: &str) -> io::Result<Self::File>;
    /// Opens a file to read.
    fn open(&self, path: &str) -> io::Result<Self::File>;
    /// Opens a file to read and write.
    fn open_to_write(&self, path: &str) -> io::Result<Self::File>;
    /// Gives a file or directory another name, replacing a file that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, directory: &str) -> io::Result<()>;
}

/// A file in a [`Storage`].
pub trait StorageFile: Send + 'static {
    /// Its length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Up to `len` bytes from its start; fewer if it is shorter.
    fn read_up_to(&self, len: u64) -> io::Result<Vec<u8>>;
    /// Writes some of the bytes, as `pwrite` does.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Makes all that was written durable.
    fn sync_data(&mut self) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&mut self, len: u64) -> io::Result<()>;
}

/// Gives a failed operation its name and its file.
pub(crate) fn told<S: Storage, T>(
    storage: &S,
    verb: &'static str,
    path: &str,
    result: io::Result<T>,
) -> Result<T, Fault> {
    result.map_err(|source| Fault { verb, path: storage.locate(path), source })
}

/// Writes all of `bytes`, however often that takes.
pub(crate) fn write_all(file: &mut impl StorageFile, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut at = 0;
    while at < bytes.len() {
        match file.write_at(&bytes[at..], offset + at as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => at += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A directory of the machine: directories 0700, files 0600.
#[derive(Clone, Debug)]
pub struct Disk {
    root: Arc<PathBuf>,
    syncs: bool,
}

/// A file of a [`Disk`].
#[derive(Debug)]
pub struct DiskFile {
    file: File,
    syncs: bool,
}

impl Disk {
    /// The data directory `directory`. Nothing is made until a log is created in it.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { root: Arc::new(directory.into()), syncs: true }
    }

    /// The same, but what it calls durable is not: [`StorageFile::sync_data`] does nothing. For
    /// measuring what syncing costs, on a directory that is thrown away, and for nothing else.
    pub fn without_sync(directory: impl Into<PathBuf>) -> Self {
        Self { syncs: false, ..Self::new(directory) }
    }

    fn with(&self, file: File) -> DiskFile {
        DiskFile { file, syncs: self.syncs }
    }
}

impl Storage for Disk {
    type File = DiskFile;
    type Lock = File;

    fn locate(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.to_path_buf() } else { self.root.join(path) }
    }

    fn lock(&self, path: &str) -> io::Result<Option<File>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.locate(path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        let made = self.locate(path);
        if made.is_dir() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&made)?;
        if let (true, Some(parent)) = (path.is_empty(), made.parent()) {
            // The data directory's own name must survive too.
            let parent = if parent.as_os_str().is_empty() { ".".as_ref() } else { parent };
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.locate(directory))? {
            // A name that is not text is none of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create(&self, path: &str) -> io::Result<DiskFile> {
        let mut new = OpenOptions::new();
        let new = new.read(true).write(true).create_new(true).mode(0o600);
        new.open(self.locate(path)).map(|file| self.with(file))
    }

    fn open(&self, path: &str) -> io::Result<DiskFile> {
        File::open(self.locate(path)).map(|file| self.with(file))
    }

    fn open_to_write(&self, path: &str) -> io::Result<DiskFile> {
        let opened = OpenOptions::new().read(true).write(true).open(self.locate(path));
        opened.map(|file| self.with(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.locate(from), self.locate(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        std::fs::remove_file(self.locate(path))
    }

    fn sync_dir(&self, directory: &str) -> io::Result<()> {
        File::open(self.locate(directory))?.sync_all()
    }
}

impl StorageFile for DiskFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_up_to(&self, len: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(len.min(self.size()?) as usize);
        let mut file = &self.file;
        file.rewind()?;
        file.take(len).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(&self.file, bytes, offset)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        if self.syncs { self.file.sync_data() } else { Ok(()) }
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
}
