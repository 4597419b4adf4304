//! Where everything of one installation lies, and who may read it.
//!
//! ```text
//! $STRIFE_HOME   strife.toml  users.json  version
//!   certs/       data/gateway/  data/banks/<BANK>/  data/clients/<client_id>/
//!   logs/        run/  drills/
//! ```
//!
//! Directories are 0700 and files 0600. Nothing here knows what the files say, but for `version`
//! and `run/`, which are its own.

mod certs;
pub mod notify;
mod run;

pub use certs::Party;
pub use run::{RunFile, Running};

use crate::errors::{Failure, Reason};
use recovery::model::{BankName, ClientId};
use std::fmt;
use std::fs;
use std::io;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The layout that this program reads and writes.
pub const LAYOUT_VERSION: u32 = 1;

/// A process of the installation.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Service {
    Gateway,
    Bank(BankName),
    Console,
}

impl Service {
    /// As in `run/<name>.json`: `gateway`, `bank_HDFC`, `console`.
    pub fn file_stem(self) -> String {
        match self {
            Self::Gateway => "gateway".to_owned(),
            Self::Bank(bank) => format!("bank_{bank}"),
            Self::Console => "console".to_owned(),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway => f.pad("gateway"),
            Self::Bank(bank) => f.pad(bank.as_str()),
            Self::Console => f.pad("console"),
        }
    }
}

/// The root of an installation, and every path in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn config_file(&self) -> PathBuf {
        self.root.join("strife.toml")
    }

    pub fn users_file(&self) -> PathBuf {
        self.root.join("users.json")
    }

    pub fn version_file(&self) -> PathBuf {
        self.root.join("version")
    }

    pub fn certs(&self) -> PathBuf {
        self.root.join("certs")
    }

    /// Of everything that is worth a backup.
    pub fn all_data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// `data/gateway` or `data/banks/<BANK>`.
    pub fn data(&self, service: Service) -> PathBuf {
        match service {
            Service::Gateway => self.all_data().join("gateway"),
            Service::Bank(bank) => self.all_data().join("banks").join(bank.as_str()),
            Service::Console => self.all_data().join("console"),
        }
    }

    /// Locked by the one process that may write there.
    pub fn lock(&self, service: Service) -> PathBuf {
        self.data(service).join("LOCK")
    }

    /// The segments in use.
    pub fn wal(&self, service: Service) -> PathBuf {
        self.data(service).join("wal")
    }

    /// The segment prepared ahead.
    pub fn spare(&self, service: Service) -> PathBuf {
        self.data(service).join("spare")
    }

    /// Torn tails that were set aside.
    pub fn quarantine(&self, service: Service) -> PathBuf {
        self.data(service).join("quarantine")
    }

    pub fn snapshots(&self, service: Service) -> PathBuf {
        self.data(service).join("snapshots")
    }

    /// The mirror or the book.
    pub fn database(&self, service: Service) -> PathBuf {
        let name = match service {
            Service::Gateway | Service::Console => "gateway_state.db".to_owned(),
            Service::Bank(bank) => format!("bank_{bank}.db"),
        };
        self.data(service).join(name)
    }

    /// A client's outbox and session.
    pub fn client(&self, client: ClientId) -> PathBuf {
        // A client id may be all dots, and is then no directory's name.
        let name = client.as_str();
        let dots = name.bytes().all(|b| b == b'.');
        let name = if dots { format!("_{name}") } else { name.to_owned() };
        self.all_data().join("clients").join(name)
    }

    pub fn outbox(&self, client: ClientId) -> PathBuf {
        self.client(client).join("outbox")
    }

    pub fn session(&self, client: ClientId) -> PathBuf {
        self.client(client).join("session")
    }

    /// An operator's; apart from the clients', among whom a payer is looked for.
    pub fn operator_session(&self, operator: ClientId) -> PathBuf {
        let name = self.client(operator).file_name().unwrap_or_default().to_owned();
        self.all_data().join("operators").join(name).join("session")
    }

    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// `server.log` for the gateway, `bank_<BANK>.log` for a bank.
    pub fn log_file(&self, service: Service) -> PathBuf {
        let name = match service {
            Service::Gateway => "server.log".to_owned(),
            Service::Bank(_) | Service::Console => format!("{}.log", service.file_stem()),
        };
        self.logs().join(name)
    }

    pub fn client_log_file(&self, client: ClientId) -> PathBuf {
        self.logs().join(format!("client_{client}.log"))
    }

    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    pub fn run_file(&self, service: Service) -> PathBuf {
        self.run().join(format!("{}.json", service.file_stem()))
    }

    pub fn drills(&self) -> PathBuf {
        self.root.join("drills")
    }

    /// Whether nothing was begun here. Certificates may have been brought before all else.
    pub fn is_empty(&self) -> bool {
        let begun =
            |entry: io::Result<fs::DirEntry>| entry.is_ok_and(|it| it.path() != self.certs());
        fs::read_dir(&self.root).map_or(true, |mut entries| !entries.any(begun))
    }

    /// Whether this is ours: it has our marker, of whatever version.
    pub fn is_ours(&self) -> bool {
        fs::read_to_string(self.version_file()).is_ok_and(|text| text.starts_with(MARKER))
    }

    /// Makes the directories that every installation has, and the marker.
    pub fn create(&self) -> Result<(), Failure> {
        for directory in [self.root.clone(), self.logs(), self.run()] {
            create_private_dir(&directory)?;
        }
        let marker = format!("{MARKER}{LAYOUT_VERSION}\n");
        write_private(&self.version_file(), marker.as_bytes())
    }

    /// Refuses a home that is not there, is not ours, or is of another version.
    pub fn open(&self) -> Result<(), Failure> {
        let shown = self.root.display();
        if !self.root.is_dir() || self.is_empty() {
            return Err(Failure::new(Reason::HomeMissing, format!("there is no home at {shown}")));
        }
        let text = fs::read_to_string(self.version_file()).unwrap_or_default();
        let Some(version) = text.strip_prefix(MARKER) else {
            let what = format!("{shown} is not a home of Strife: it has no \"version\" file");
            return Err(Failure::new(Reason::HomeForeign, what));
        };
        if version.trim() != LAYOUT_VERSION.to_string() {
            let version = version.trim();
            let what = format!("{shown} has layout {version}, this program reads {LAYOUT_VERSION}");
            return Err(Failure::new(Reason::HomeForeign, what));
        }
        // Logs and run files may be swept away by whoever cleans a machine.
        create_private_dir(&self.logs())?;
        create_private_dir(&self.run())
    }
}

const MARKER: &str = "strife home ";

/// A directory that only its owner enters, with its parents. One that is there is left as it is.
pub fn create_private_dir(path: &Path) -> Result<(), Failure> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| cannot("make", path, &error))
}

/// Writes a file that only its owner reads, whole or not at all, and durably.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let beside = beside(path);
    let write = || -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => fs::File::open(parent)?.sync_all(),
            _ => Ok(()),
        }
    };
    write().map_err(|error| cannot("write", path, &error))
}

/// The name under which a file is written before it takes its own; no two processes share one.
fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    path.with_file_name(name)
}

fn cannot(verb: &str, path: &Path, error: &io::Error) -> Failure {
    let what = format!("cannot {verb} {}: {error}", path.display());
    let failure = Failure::plain(crate::errors::Exit::Configuration, what);
    failure.todo("Check who owns the home, and the room on its disk.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn home() -> (tempfile::TempDir, Home) {
        let directory = tempfile::tempdir().expect("a directory");
        let home = Home::new(directory.path().join("home"));
        (directory, home)
    }

    #[test]
    fn only_its_owner_reads_a_home() {
        let (_keep, home) = home();
        home.create().expect("made");
        let mode = |path: PathBuf| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(home.root().to_owned()), 0o700);
        assert_eq!(mode(home.run()), 0o700);
        assert_eq!(mode(home.version_file()), 0o600);
        home.open().expect("usable");
    }

    #[test]
    fn a_home_of_another_version_or_of_someone_else_is_refused() {
        let (_keep, home) = home();
        let reason = |home: &Home| home.open().expect_err("refused").reason;
        assert_eq!(reason(&home), Some(Reason::HomeMissing));
        fs::create_dir_all(home.root()).expect("made");
        assert_eq!(reason(&home), Some(Reason::HomeMissing));
        fs::write(home.root().join("thesis.txt"), "mine").expect("written");
        assert_eq!(reason(&home), Some(Reason::HomeForeign));
        assert!(!home.is_ours());
        fs::write(home.version_file(), "strife home 99\n").expect("written");
        assert_eq!(reason(&home), Some(Reason::HomeForeign));
        assert!(home.is_ours());
    }

    #[test]
    fn a_client_id_of_dots_stays_inside_the_home() {
        let home = Home::new("h");
        let path = home.client("..".parse().expect("a client id"));
        assert_eq!(path, Path::new("h/data/clients/_.."));
    }
}
