//! What a backup says of itself: `backup.json`, written last.

use crate::errors::{Exit, Failure};
use crate::home::write_private;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The layout of a backup that this program writes and reads.
const FORMAT: u32 = 1;
const NAME: &str = "backup.json";

/// What is in a backup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// Of the program that made it.
    pub version: String,
    /// When the copying began, in milliseconds since the Unix epoch.
    pub made_unix_ms: u64,
    pub payments: u64,
    /// Not over when the copy was made: settled at the first start.
    pub in_doubt: u64,
    pub logs: Vec<LogEnd>,
    /// Banks of others, whose data is theirs to keep.
    pub foreign_banks: Vec<String>,
    pub files: Vec<Listed>,
}

/// Where the copy of a log ends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogEnd {
    /// `gateway`, or the bank's name.
    pub service: String,
    pub last_lsn: u64,
}

/// A file of the backup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listed {
    /// Below the backup's directory, with `/` between names.
    pub path: String,
    pub bytes: u64,
    /// In lower-case hexadecimal.
    pub sha256: String,
}

impl Manifest {
    pub(super) fn new(made_unix_ms: u64) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            made_unix_ms,
            payments: 0,
            in_doubt: 0,
            logs: Vec::new(),
            foreign_banks: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Lists every file below `root`, as it reads back, and writes the manifest beside them.
    pub(super) fn seal(mut self, root: &Path) -> Result<Self, Failure> {
        self.files = listed(root, root).map_err(|error| {
            Failure::unexpected(&format!("read back {}", root.display()), &error)
        })?;
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        let text = serde_json::to_string_pretty(&self)
            .map_err(|error| Failure::unexpected("write JSON", &error))?;
        write_private(&root.join(NAME), text.as_bytes())?;
        Ok(self)
    }

    /// Reads the manifest in `root` and compares every file with what it says.
    pub fn verified(root: &Path) -> Result<Self, Failure> {
        let path = root.join(NAME);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let what = format!("{} is no backup: {NAME}: {error}", root.display());
            Failure::plain(Exit::Configuration, what)
                .todo("A backup that was broken off has no backup.json and is none: make another.")
        })?;
        let manifest: Self = serde_json::from_str(&text)
            .map_err(|error| damaged(&format!("{}: {error}", path.display())))?;
        if manifest.format != FORMAT {
            let what = format!("the backup has format {}, this program reads {FORMAT}", {
                manifest.format
            });
            return Err(Failure::plain(Exit::Configuration, what)
                .todo(format!("Restore it with strife {}.", manifest.version)));
        }
        for file in &manifest.files {
            let found = digest(&root.join(&file.path))
                .map_err(|error| damaged(&format!("{}: {error}", file.path)))?;
            if found != (file.bytes, file.sha256.clone()) {
                return Err(damaged(&format!("{} is not as it was written", file.path)));
            }
        }
        Ok(manifest)
    }
}

fn damaged(what: &str) -> Failure {
    Failure::plain(Exit::Damaged, format!("the backup is damaged: {what}"))
        .money("Nothing was restored and nothing was changed.")
        .todo("Take an older backup, or another copy of this one.")
}

fn listed(root: &Path, directory: &Path) -> io::Result<Vec<Listed>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(listed(root, &entry.path())?);
            continue;
        }
        let path = entry.path();
        let (bytes, sha256) = digest(&path)?;
        let below = path.strip_prefix(root).map_err(io::Error::other)?;
        files.push(Listed { path: below.to_string_lossy().into_owned(), bytes, sha256 });
    }
    Ok(files)
}

/// Length and SHA-256 of a file.
fn digest(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
        bytes += count as u64;
    }
    let hex = hash.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    Ok((bytes, hex))
}
