//! Making a backup.

use super::log::Reading;
use super::manifest::{LogEnd, Manifest};
use crate::config::Config;
use crate::errors::{Exit, Failure, Reason};
use crate::home::{Home, Service, create_private_dir, write_private};
use recovery::cut::{self, Peer, Tail};
use recovery::{audit, bank, gateway};
use std::fs;
use std::path::{Path, PathBuf};
use wal::Lsn;

/// Copies `home`, which may be running, into `to`, where nothing may be.
///
/// Everything that was answered before this is called is in the backup. What is in it was folded
/// and audited from the copy itself; where that finds anything, nothing is given the name `to`.
pub fn make(
    home: &Home,
    config: &Config,
    to: &Path,
    now_unix_ms: u64,
) -> Result<Manifest, Failure> {
    if fs::symlink_metadata(to).is_ok() {
        let what = format!("{} is there already", to.display());
        return Err(Failure::new(Reason::HomeExists, what)
            .todo("Name a directory that is not there; an older backup is never written over."));
    }
    let mut manifest = Manifest::new(now_unix_ms);
    let partial = beside(to);
    let copy = Home::new(&partial);
    create_private_dir(&partial)?;
    logs(home, config, &copy, &mut manifest)?;
    for file in [home.config_file(), home.users_file(), home.version_file()] {
        private_copy(home.root(), &file, &partial)?;
    }
    for directory in [home.certs(), home.all_data().join("clients")] {
        if directory.is_dir() {
            tree_copy(home.root(), &directory, &partial)?;
        }
    }
    let foreign = config.banks.iter().filter(|(_, bank)| bank.foreign);
    manifest.foreign_banks = foreign.map(|(name, _)| name.to_string()).collect();
    let manifest = manifest.seal(&partial)?;
    fs::rename(&partial, to)
        .map_err(|error| Failure::unexpected(&format!("name {}", to.display()), &error))?;
    Ok(manifest)
}

/// The logs of all services, cut where they agree, copied and audited.
fn logs(home: &Home, config: &Config, copy: &Home, manifest: &mut Manifest) -> Result<(), Failure> {
    let ours = config.banks.iter().filter(|(_, bank)| !bank.foreign);
    let services: Vec<Service> = ours.map(|(name, _)| Service::Bank(*name)).collect();
    let read = |service: &Service| Reading::of(*service, home.data(*service));
    let mut banks: Vec<Reading<bank::State>> =
        services.iter().map(read).collect::<Result<_, _>>()?;
    let mut gateway: Reading<gateway::State> =
        Reading::of(Service::Gateway, home.data(Service::Gateway))?;
    let ends = agree(&mut gateway, &mut banks)?;
    let gateway = gateway.copy(ends[0], &copy.data(Service::Gateway))?;
    let mut copied = Vec::new();
    for (bank, end) in banks.iter().zip(&ends[1..]) {
        copied.push(bank.copy(*end, &copy.data(bank.service))?);
    }
    let audit = audit::audit(&gateway.state, copied.iter().map(|bank| &bank.state));
    if !audit.ok {
        let first = audit.disagreements.first().map(ToString::to_string).unwrap_or_default();
        return Err(Failure::plain(Exit::Damaged, format!("the logs disagree: {first}"))
            .money("No backup was made of logs that contradict each other.")
            .todo("See all of it: strife audit"));
    }
    manifest.payments = audit.payments;
    manifest.in_doubt = audit.in_doubt.len() as u64;
    let end =
        |service: Service, last: Lsn| LogEnd { service: service.to_string(), last_lsn: last.get() };
    manifest.logs = vec![end(gateway.service, gateway.last())];
    manifest.logs.extend(copied.iter().map(|bank| end(bank.service, bank.last())));
    Ok(())
}

/// Where each log is to end, the gateway's first.
fn agree(
    gateway: &mut Reading<gateway::State>,
    banks: &mut [Reading<bank::State>],
) -> Result<Vec<Lsn>, Failure> {
    let lineage = gateway.state.lineage;
    let names: Vec<_> = banks.iter().map(|bank| bank.state.bank).collect();
    let index = |peer: Peer| match peer {
        Peer::Gateway(other) => (lineage == Some(other)).then_some(0),
        Peer::Bank(bank) => names.iter().position(|name| *name == Some(bank)).map(|at| at + 1),
    };
    let mut tails: Vec<Tail> = vec![gateway.tail(cut::of_gateway, index)?];
    for bank in banks {
        tails.push(bank.tail(cut::of_bank, index)?);
    }
    Ok(cut::latest(&tails))
}

/// A name beside `to` under which it is built.
fn beside(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(format!(".partial-{}", std::process::id()));
    to.with_file_name(name)
}

/// Copies a file to the same place below `to`. One that is not there is not copied.
pub(super) fn private_copy(root: &Path, file: &Path, to: &Path) -> Result<(), Failure> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(Failure::unexpected(&format!("read {}", file.display()), &error));
        }
    };
    let target = to.join(file.strip_prefix(root).unwrap_or(file));
    if let Some(parent) = target.parent() {
        create_private_dir(parent)?;
    }
    write_private(&target, &bytes)
}

/// Copies all files below `directory`.
pub(super) fn tree_copy(root: &Path, directory: &Path, to: &Path) -> Result<(), Failure> {
    let unread = |error| Failure::unexpected(&format!("list {}", directory.display()), &error);
    for entry in fs::read_dir(directory).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        if entry.file_type().map_err(unread)?.is_dir() {
            tree_copy(root, &entry.path(), to)?;
        } else {
            private_copy(root, &entry.path(), to)?;
        }
    }
    Ok(())
}
