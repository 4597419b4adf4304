//! Which log is meant, and how it is read: a service's of a home, or any directory that has one.
//!
//! ```text
//!   "gateway", "HDFC"  -->  home/data/...        no configuration is asked: a log
//!   a path             -->  that directory       says itself whose it is
//! ```
//!
//! It is read without its lock, beside a writer or alone, a segment in memory at a time. Refuses to
//! change a byte.

use crate::errors::{Exit, Failure, Reason, chain};
use crate::home::{Home, Service};
use recovery::model::BankName;
use std::fs;
use std::path::{Path, PathBuf};
use wal::read::{Cursor, FollowError, Survey, Verdict, follow, survey};
use wal::{Disk, Identity, Lsn, Position, ReadError, Record};

/// A log that somebody named.
#[derive(Clone, Debug)]
pub struct Source {
    /// As a command takes it: `gateway`, a bank, or a path.
    pub name: String,
    /// `data/gateway` of a home, or wherever it lies.
    pub directory: PathBuf,
    /// Whom its first header that holds belongs to.
    pub identity: Option<Identity>,
    /// Whose it says it is: `None` where no header holds, or no service of ours wrote it.
    pub service: Option<Service>,
    /// In the home that was looked at, so that others there may know of it.
    pub at_home: bool,
}

/// What a directory of a service is called in its segment headers: `gateway`, `bank_HDFC`, padded
/// with dots.
fn service_of(identity: &Identity) -> Option<Service> {
    let name = std::str::from_utf8(&identity.node).ok()?.trim_end_matches('.');
    if name == "gateway" {
        return Some(Service::Gateway);
    }
    name.strip_prefix("bank_")?.parse().ok().map(Service::Bank)
}

impl Source {
    /// The log that `text` names; without one, the gateway's of this home.
    pub fn find(home: &Home, text: Option<&str>) -> Result<Self, Failure> {
        let text = text.unwrap_or("gateway");
        let service = if text == "gateway" {
            Some(Service::Gateway)
        } else {
            text.parse::<BankName>().ok().map(Service::Bank)
        };
        if let Some(service) = service
            && home.data(service).is_dir()
        {
            return Self::of(home, service);
        }
        let path = Path::new(text);
        if path.is_dir() {
            return Self::at(path);
        }
        let root = home.root().display();
        if !home.root().is_dir() {
            return Err(Failure::new(Reason::HomeMissing, format!("there is no home at {root}")));
        }
        if service == Some(Service::Gateway) {
            return Self::of(home, Service::Gateway);
        }
        let known: Vec<String> = services(home).iter().map(ToString::to_string).collect();
        Err(Failure::plain(Exit::Usage, format!("there is no log called {text}"))
            .todo(format!("Name one of {}, or a directory that holds wal/.", known.join(", "))))
    }

    /// The log of a service of this home.
    pub fn of(home: &Home, service: Service) -> Result<Self, Failure> {
        let mut source = Self::read_identity(&service.to_string(), home.data(service), true)
            .map_err(|failure| match service {
                Service::Gateway => {
                    failure.todo("Make it again: strife rebuild gateway --from-banks")
                }
                _ => failure
                    .todo(format!("Make it again: strife rebuild bank {service} --from-gateway")),
            })?;
        source.service = Some(service);
        Ok(source)
    }

    /// The log in `path`, which is a service's directory or the `wal` in it.
    pub fn at(path: &Path) -> Result<Self, Failure> {
        let is_wal = path.file_name().is_some_and(|name| name == "wal");
        let directory = match path.parent() {
            Some(parent) if is_wal && !path.join("wal").is_dir() => {
                if parent.as_os_str().is_empty() { Path::new(".") } else { parent }
            }
            _ => path,
        };
        let name = path.display().to_string();
        Self::read_identity(&name, directory.to_owned(), false)
            .map_err(|failure| failure.exit(Exit::Usage).todo("Name a directory that holds wal/."))
    }

    fn read_identity(name: &str, directory: PathBuf, at_home: bool) -> Result<Self, Failure> {
        let identity = wal::read::identity(&Disk::new(&directory)).map_err(|error| {
            let told = chain(&error);
            match error {
                ReadError::Missing { .. } => Failure::plain(Exit::Damaged, told)
                    .money("This log is not there; nothing was made in its place."),
                ReadError::Io(_) => Failure::plain(Exit::Unexpected, told),
            }
        })?;
        let service = identity.as_ref().and_then(service_of);
        Ok(Self { name: name.to_owned(), directory, identity, service, at_home })
    }

    pub fn disk(&self) -> Disk {
        Disk::new(&self.directory)
    }

    /// The view beside it, if its name is known and it is there.
    pub fn view(&self) -> Option<PathBuf> {
        let name = match self.service? {
            Service::Gateway => "gateway_state.db".to_owned(),
            Service::Bank(bank) => format!("bank_{bank}.db"),
            Service::Console => return None,
        };
        Some(self.directory.join(name)).filter(|path| path.is_file())
    }

    /// The file of a segment.
    pub fn segment(&self, name: &str) -> PathBuf {
        self.directory.join("wal").join(name)
    }

    /// All of the segment of that sequence number, if it is there.
    pub fn segment_bytes(&self, sequence: u64) -> Option<Vec<u8>> {
        let prefix = format!("{sequence:010}-");
        let mut entries = fs::read_dir(self.directory.join("wal")).ok()?.flatten();
        let is_it = |entry: &fs::DirEntry| {
            entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix))
        };
        fs::read(entries.find(is_it)?.path()).ok()
    }

    /// The bytes in its segments.
    pub fn bytes(&self) -> u64 {
        let entries = fs::read_dir(self.directory.join("wal"));
        let sizes = entries.into_iter().flatten().filter_map(|entry| entry.ok()?.metadata().ok());
        sizes.map(|metadata| metadata.len()).sum()
    }

    /// Hands every record behind `cursor` to `visit`, up to the last whole batch.
    pub fn follow(
        &self,
        cursor: &mut Cursor,
        visit: impl FnMut(Record<'_>, Position) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        follow(&self.disk(), cursor, visit).map_err(|error| match error {
            FollowError::Visitor(failure) => failure,
            FollowError::Read(error) => self.unreadable(&chain(&error)),
            FollowError::Damaged(error) => self.unreadable(&chain(&error)),
        })
    }

    /// Looks at all of it, and fails unless it is whole to its end. `seen` is the last record that
    /// a reader was given.
    pub fn check(&self, seen: Lsn) -> Result<Survey, Failure> {
        let found = survey(&self.disk(), None).map_err(|error| self.unreadable(&chain(&error)))?;
        if let Some(segment) = found.first_unsound() {
            let file = self.segment(&segment.name);
            let told = verdict(&segment.verdict);
            let failure = self.unreadable(&format!("{}, {told}", file.display()));
            let newer = matches!(segment.verdict, Verdict::NewerFormat { .. });
            let failure = if newer { failure.exit(Exit::Configuration) } else { failure };
            return Err(failure.money(format!("What is shown ends at record {seen}.")));
        }
        Ok(found)
    }

    /// A log that cannot be believed, and where to look on.
    pub fn unreadable(&self, why: &str) -> Failure {
        let name = quoted(&self.name);
        Failure::plain(Exit::Damaged, format!("the log of {} cannot be read: {why}", self.name))
            .money("Nothing was changed.")
            .todo(format!("See what is damaged: strife wal verify {name}"))
    }
}

/// Where a segment cannot be believed and why, in one clause.
pub fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Clean => "clean".to_owned(),
        Verdict::TornTail { valid_to, bytes } => {
            format!("{bytes} torn bytes behind byte {valid_to}")
        }
        Verdict::Corrupt { why, offset, lsn, .. } => {
            format!("byte {offset}, record {lsn}: {why}")
        }
        Verdict::WrongIdentity { .. } => "it belongs to another log".to_owned(),
        Verdict::NewerFormat { format } => {
            format!("a newer version of this program wrote it (format {format})")
        }
    }
}

/// The services whose directories a home has, the gateway first, whether their logs are there.
pub fn services(home: &Home) -> Vec<Service> {
    let banks = fs::read_dir(home.all_data().join("banks")).into_iter().flatten();
    let banks = banks.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut banks: Vec<BankName> = banks.collect();
    banks.sort_unstable();
    std::iter::once(Service::Gateway).chain(banks.into_iter().map(Service::Bank)).collect()
}

/// A word as a shell takes it.
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_header_says_whose_log_it_is() {
        let of = |name: &str| {
            let mut node = [b'.'; 16];
            node[..name.len()].copy_from_slice(name.as_bytes());
            service_of(&Identity { node, ..Identity::default() })
        };
        assert_eq!(of("gateway"), Some(Service::Gateway));
        assert_eq!(of("bank_HDFC"), Some(Service::Bank("HDFC".parse().expect("a bank"))));
        assert_eq!(of("poem"), None);
        assert_eq!(service_of(&Identity { node: [0xff; 16], ..Identity::default() }), None);
    }

    #[test]
    fn a_word_for_a_shell_is_quoted_where_it_must_be() {
        assert_eq!(quoted("/tmp/a-b.c"), "/tmp/a-b.c");
        assert_eq!(quoted("it's here"), r"'it'\''s here'");
    }
}
