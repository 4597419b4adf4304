//! Certificates, keys and lists of the revoked, read again when their files change or on SIGHUP.
//!
//! ```text
//! files --look, each second--> changed, and still the same a look later --> read --> watch
//!                                                                     '--> broken: old kept, alarm
//! ```
//!
//! A renewal writes a key and then a certificate; what is read only after it has stood still is
//! never half of one. What cannot be used leaves what is in use as it is, and is told: an `error`
//! line, and `strife_cert_reload_failing` at 1 until the files are good again.

use super::shown::{Dialling, Listening, Server};
use super::{certificate, client_of, lifetime, listening_of};
use crate::errors::Failure;
use crate::home::{Home, Party};
use crate::identity::Role;
use rustls::ClientConfig;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a person is told that a certificate ends soon.
const WARN_EVERY: Duration = Duration::from_hours(12);
/// A certificate that ends within this time is to be renewed.
pub const ENDS_SOON: Duration = Duration::from_hours(30 * 24);

/// What tells one state of the files from another.
type Stamp = Vec<Option<(i64, i64, u64, u64)>>;

type Reload = Box<dyn Fn(&Home) -> Result<(), Failure> + Send>;

/// Everything that one party shows, and what it believes.
struct Kept {
    files: Vec<PathBuf>,
    /// Of what is in use, or was tried and refused.
    tried: Stamp,
    /// Of the last look.
    seen: Stamp,
    reloads: Vec<Reload>,
}

/// Keeps what a process shows and believes up to date with the home.
pub struct Keeper {
    home: Home,
    kept: BTreeMap<Party, Kept>,
}

impl Keeper {
    pub fn new(home: &Home) -> Self {
        Self { home: home.clone(), kept: BTreeMap::new() }
    }

    /// As [`super::server_of`], and kept.
    pub fn server(&mut self, party: Party) -> Result<Server, Failure> {
        let before = stamp(&files(&self.home, party));
        let (now, follows) = watch::channel(listening_of(&self.home, party)?);
        self.keep(party, before, move |home| {
            send::<Listening>(&now, listening_of(home, party)?);
            Ok(())
        });
        Ok(Server::following(follows))
    }

    /// As [`client_of`], and kept.
    pub fn client(&mut self, caller: Party, expected: Role) -> Result<Dialling, Failure> {
        let before = stamp(&files(&self.home, caller));
        let (now, follows) = watch::channel(client_of(&self.home, caller, expected)?);
        self.keep(caller, before, move |home| {
            send::<Arc<ClientConfig>>(&now, client_of(home, caller, expected)?);
            Ok(())
        });
        Ok(Dialling::following(follows))
    }

    fn keep(
        &mut self,
        party: Party,
        before: Stamp,
        reload: impl Fn(&Home) -> Result<(), Failure> + Send + 'static,
    ) {
        let files = files(&self.home, party);
        let (tried, seen) = (before.clone(), before);
        let fresh = || Kept { files, tried, seen, reloads: Vec::new() };
        self.kept.entry(party).or_insert_with(fresh).reloads.push(Box::new(reload));
    }

    /// Looks until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut warn = tokio::time::interval(WARN_EVERY);
        let mut hangup = signal(SignalKind::hangup()).ok();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick() => self.look(),
                _ = warn.tick() => self.each_end(warn_of),
                Some(()) = heard(hangup.as_mut()) => {
                    tracing::info!("told to read the certificates again");
                    self.kept.iter_mut().for_each(|(party, kept)| kept.reload(*party, &self.home));
                }
            }
        }
    }

    fn look(&mut self) {
        for (party, kept) in &mut self.kept {
            let found = stamp(&kept.files);
            let still = found == kept.seen;
            kept.seen = found;
            if still && kept.seen != kept.tried {
                kept.reload(*party, &self.home);
            }
        }
    }

    fn each_end(&self, tell: impl Fn(Party, SystemTime)) {
        for party in self.kept.keys().flat_map(|party| [*party, party.signer()]) {
            let der = certificate(&self.home, party).ok();
            if let Some(lifetime) = der.and_then(|der| lifetime(&der)) {
                tell(party, lifetime.end);
            }
        }
    }
}

impl Kept {
    fn reload(&mut self, party: Party, home: &Home) {
        self.tried = stamp(&self.files);
        let done = self.reloads.iter().try_for_each(|reload| reload(home));
        let failing = if done.is_err() { 1.0 } else { 0.0 };
        metrics::gauge!("strife_cert_reload_failing", "role" => party.kind()).set(failing);
        match done {
            Ok(()) => tracing::info!(party = party.stem(), "certificates were read again"),
            Err(failure) => tracing::error!(
                party = party.stem(),
                "the certificates in use stay as they were, because the new ones cannot be used: \
                 {failure}"
            ),
        }
    }
}

fn send<T>(now: &watch::Sender<T>, next: T) {
    now.send_replace(next);
}

fn files(home: &Home, party: Party) -> Vec<PathBuf> {
    let signer = party.signer();
    let (own, key) = (home.certificate(party), home.key(party));
    vec![own, key, home.certificate(signer), home.revocations(signer)]
}

fn stamp(files: &[PathBuf]) -> Stamp {
    let one = |path: &PathBuf| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.mtime(), meta.mtime_nsec(), meta.ino(), meta.size()))
    };
    files.iter().map(one).collect()
}

fn warn_of(party: Party, end: SystemTime) {
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    if left < ENDS_SOON {
        let (stem, days) = (party.stem(), left.as_secs() / 86_400);
        tracing::warn!(
            party = stem,
            days,
            "a certificate ends soon, and connections with it: strife certs renew {stem}"
        );
    }
}

/// Never, where signals cannot be waited for.
async fn heard(hangup: Option<&mut tokio::signal::unix::Signal>) -> Option<()> {
    match hangup {
        Some(hangup) => hangup.recv().await,
        None => std::future::pending().await,
    }
}
