//! Bringing a backup back: a whole home, or the data directories that a home has lost.

use super::log::{self, Reading};
use super::make::{private_copy, tree_copy};
use super::manifest::Manifest;
use crate::config::Config;
use crate::errors::{Exit, Failure, Reason};
use crate::home::{Home, Service, create_private_dir};
use recovery::model::{BankName, Witness};
use recovery::{bank, gateway};
use std::path::Path;
use wal::Lsn;

/// What was brought back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    pub manifest: Manifest,
    /// The data directories, by their service's name.
    pub logs: Vec<String>,
    /// Why a start will refuse what was restored all the same, if it will.
    pub old: Option<String>,
}

/// Brings back what is missing in `home` from the backup in `from`, after checking every byte of
/// it.
///
/// A home that is not there is restored whole, as it stood when the backup was made. In one that is
/// there, only data directories that are missing are restored, and those only when nobody in it
/// remembers more than the backup holds, or `even_if_old`.
pub fn restore(home: &Home, from: &Path, even_if_old: bool) -> Result<Restored, Failure> {
    let manifest = Manifest::verified(from)?;
    let source = Home::new(from);
    let whole = home.is_empty() && !home.certs().exists();
    if !whole {
        home.open()?;
    }
    let config = Config::load(&source.config_file(), Vec::new())?;
    let missing: Vec<Service> = services(&config)
        .filter(|service| !home.data(*service).exists() && source.data(*service).exists())
        .collect();
    if missing.is_empty() {
        let what = format!("nothing is missing in {}", home.root().display());
        return Err(Failure::new(Reason::HomeExists, what).todo(
            "To go back to the backup as a whole, stop everything and move the home aside first.",
        ));
    }
    let old = if whole { None } else { refused(home, &source, &config, &missing)? };
    if let (Some(what), false) = (&old, even_if_old) {
        return Err(too_old(what, &missing));
    }
    for service in &missing {
        match service {
            Service::Bank(_) => bring::<bank::State>(&source, home, *service, &manifest)?,
            Service::Gateway | Service::Console => {
                bring::<gateway::State>(&source, home, *service, &manifest)?;
            }
        }
    }
    if whole {
        the_rest(home, &source)?;
    }
    let logs = missing.iter().map(ToString::to_string).collect();
    Ok(Restored { manifest, logs, old })
}

fn services(config: &Config) -> impl Iterator<Item = Service> {
    let ours = config.banks.iter().filter(|(_, bank)| !bank.foreign);
    std::iter::once(Service::Gateway).chain(ours.map(|(name, _)| Service::Bank(*name)))
}

/// The log of a service, through the record at which the manifest says it ends.
fn bring<S: recovery::replay::Fold>(
    source: &Home,
    home: &Home,
    service: Service,
    manifest: &Manifest,
) -> Result<(), Failure> {
    let listed = manifest.logs.iter().find(|log| log.service == service.to_string());
    let last = listed.map_or(0, |log| log.last_lsn);
    log::copy::<S>(service, &source.data(service), Lsn::new(last), &home.data(service))?;
    Ok(())
}

/// All that is no log; what makes it a home comes last.
fn the_rest(home: &Home, source: &Home) -> Result<(), Failure> {
    for directory in [source.certs(), source.all_data().join("clients")] {
        if directory.is_dir() {
            tree_copy(source.root(), &directory, home.root())?;
        }
    }
    for directory in [home.logs(), home.run()] {
        create_private_dir(&directory)?;
    }
    for file in [source.users_file(), source.version_file(), source.config_file()] {
        private_copy(source.root(), &file, home.root())?;
    }
    Ok(())
}

/// Who in `home` remembers more than the backup of a missing log holds, in words.
fn refused(
    home: &Home,
    source: &Home,
    config: &Config,
    missing: &[Service],
) -> Result<Option<String>, Failure> {
    let place = |service: Service| {
        let owner = if missing.contains(&service) { source } else { home };
        owner.data(service)
    };
    let gateway: Reading<gateway::State> = Reading::of(Service::Gateway, place(Service::Gateway))?;
    for service in services(config) {
        let Service::Bank(name) = service else { continue };
        let bank: Reading<bank::State> = Reading::of(service, place(service))?;
        let lost = [Service::Gateway, service].iter().any(|side| missing.contains(side));
        let gap = if lost { gap(&gateway.state, &bank.state, name) } else { None };
        if gap.is_some() {
            return Ok(gap);
        }
    }
    Ok(None)
}

/// What one of the two remembers and the other does not hold.
fn gap(gateway: &gateway::State, bank: &bank::State, name: BankName) -> Option<String> {
    let lineage = gateway.lineage?;
    let fence = bank.fences.get(&lineage).copied().flatten();
    let of_gateway =
        fence.map(|fence| Witness { lineage, start_id: fence.start_id, lsn: fence.lsn });
    if let Some(witness) = of_gateway.filter(|witness| !gateway.holds(witness)) {
        let (seen, last) = (witness.lsn, gateway.last);
        return Some(format!(
            "{name} remembers record {seen} of the gateway's log, which here ends at {last}"
        ));
    }
    let known = gateway.banks.iter().find(|bank| bank.name == name)?;
    let witness = known.witness.filter(|witness| !bank.holds_record(witness))?;
    let (seen, last) = (witness.lsn, bank.last);
    Some(format!(
        "the gateway remembers record {seen} of {name}'s journal, which here ends at {last}"
    ))
}

fn too_old(what: &str, missing: &[Service]) -> Failure {
    let rebuild = match missing {
        [Service::Bank(bank)] => format!("strife rebuild bank {bank} --from-gateway"),
        _ => "strife rebuild gateway --from-banks".to_owned(),
    };
    Failure::plain(Exit::Damaged, format!("the backup is older than what is left: {what}"))
        .money("Payments since then would be forgotten on one side only. Nothing was restored.")
        .todo(format!(
            "Make the lost log again from the others: {rebuild}. To have the old one back all \
             the same, to look at: --even-if-old"
        ))
}
