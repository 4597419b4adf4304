//! The first records of every log: who it is, who takes part, and whose money there is.
//!
//! Each opening is a record in two logs, the bank's journal and the gateway's, and those two are
//! compared by every audit.

use super::offline::Offline;
use super::{extend, offline};
use crate::config::Config;
use crate::errors::{Exit, Failure};
use crate::home::{Home, Service, create_private_dir};
use crate::journal::wall_ms;
use crate::users::{Opening, Users};
use recovery::fact::{BankFact, BankJoined, Founded, GatewayFact, Initialised};
use recovery::model::{BankName, ClientId, Cluster, Lineage};
use recovery::record::{self, Encoded};
use recovery::{bank, gateway};
use std::fs;
use std::path::{Path, PathBuf};
use wal::{Disk, Identity, Lsn, Options};

/// What an installation's logs are told apart by.
#[derive(Copy, Clone, Debug)]
struct Birth {
    cluster: Cluster,
    gateway: Lineage,
}

/// Facts of a log's first batch. The rest follow in batches of their own.
const FIRST_FACTS_MAX: usize = 100;

/// Makes a log for the gateway and for each bank of ours, and opens the accounts in them.
pub(super) fn create_all(home: &Home, config: &Config, users: &Users) -> Result<(), Failure> {
    let openings: Vec<(ClientId, Opening)> = users.openings().collect();
    let birth = Birth { cluster: Cluster(rand::random()), gateway: Lineage(rand::random()) };
    let Birth { cluster, gateway } = birth;
    let mut facts: Vec<GatewayFact> = vec![Initialised { cluster, lineage: gateway }.into()];
    for (name, place) in &config.banks {
        let lineage = (!place.foreign).then(|| Lineage(rand::random()));
        if let Some(lineage) = lineage {
            found(home, config, birth, *name, lineage, &openings)?;
        }
        facts.push(BankJoined { bank: *name, lineage }.into());
    }
    facts.extend(openings.iter().map(|(owner, opening)| extend::listed(*owner, *opening).into()));
    let first = Lsn::ZERO.next();
    create::<gateway::State>(home, config, Service::Gateway, (cluster, gateway), first, &facts)
}

/// The journal of a bank that joins later: made now, or found where an interrupted try left it.
pub(super) fn found_or_find(
    home: &Home,
    config: &Config,
    gateway: &gateway::State,
    bank: BankName,
) -> Result<Lineage, Failure> {
    let service = Service::Bank(bank);
    if home.wal(service).exists() {
        let state = offline::append::<bank::State>(home, config, service, |_| Ok(Vec::new()))?;
        let ours = state.cluster == gateway.cluster && state.bank == Some(bank);
        return state.lineage.filter(|_| ours).ok_or_else(|| {
            let what = format!("{bank} holds the journal of another installation");
            Failure::plain(Exit::Configuration, what).todo("Move that directory away first.")
        });
    }
    let birth = gateway.cluster.zip(gateway.lineage);
    let (cluster, lineage) = birth.expect("a gateway's log begins with its identity");
    let own = Lineage(rand::random());
    found(home, config, Birth { cluster, gateway: lineage }, bank, own, &[])?;
    Ok(own)
}

fn found(
    home: &Home,
    config: &Config,
    birth: Birth,
    bank: BankName,
    lineage: Lineage,
    openings: &[(ClientId, Opening)],
) -> Result<(), Failure> {
    let Birth { cluster, gateway } = birth;
    let mut facts: Vec<BankFact> = vec![Founded { cluster, lineage, bank, gateway }.into()];
    let here = openings.iter().filter(|(_, opening)| opening.bank == bank);
    facts.extend(here.map(|(owner, opening)| extend::opened(*owner, *opening).into()));
    let first = Lsn::ZERO.next();
    create::<bank::State>(home, config, Service::Bank(bank), (cluster, lineage), first, &facts)
}

/// The node a log belongs to, for its segment headers: another bank's segment must not verify.
fn node(service: Service) -> [u8; 16] {
    let mut node = [b'.'; 16];
    for (slot, byte) in node.iter_mut().zip(service.file_stem().bytes()) {
        *slot = byte;
    }
    node
}

/// Makes the log of `service` with `facts` in it, numbered from `first` on: aside, whole, and then
/// under its name. What an interrupted try left aside is made anew.
pub(super) fn create<S: Offline>(
    home: &Home,
    config: &Config,
    service: Service,
    birth: (Cluster, Lineage),
    first: Lsn,
    facts: &[S::Fact],
) -> Result<(), Failure> {
    let (cluster, lineage) = birth;
    let identity = Identity { cluster: cluster.0, node: node(service), lineage: lineage.0 };
    let options = Options { segment_bytes: config.wal.segment_bytes };
    let directory = home.data(service);
    let (parent, aside) = aside(&directory);
    create_private_dir(&parent)?;
    let unmade = |error: &dyn std::error::Error| {
        Failure::plain(Exit::Unexpected, format!("cannot make the log of {service}: {error}"))
            .money("No account was opened there.")
    };
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(|error| unmade(&error))?;
    }
    let (born_with, rest) = facts.split_at(facts.len().min(FIRST_FACTS_MAX));
    let encoded: Vec<Encoded> = born_with.iter().map(record::encode).collect();
    let wall_ms = wall_ms();
    let entries: Vec<_> = encoded.iter().map(|fact| fact.entry(wall_ms)).collect();
    let made = wal::create_at(&Disk::new(&aside), identity, options, first, &entries);
    made.map_err(|error| unmade(&error))?;
    if !rest.is_empty() {
        let rest = rest.to_vec();
        offline::append_in::<S>(&aside, &service.to_string(), options, |_| Ok(rest))?;
    }
    fs::rename(&aside, &directory).map_err(|error| unmade(&error))?;
    let sync = fs::File::open(&parent).and_then(|parent| parent.sync_all());
    sync.map_err(|error| unmade(&error))
}

/// Where a log is made before it has its name.
fn aside(directory: &Path) -> (PathBuf, PathBuf) {
    let parent = directory.parent().map(Path::to_owned).unwrap_or_default();
    let mut name = std::ffi::OsString::from(".making-");
    name.push(directory.file_name().unwrap_or_default());
    let aside = parent.join(name);
    (parent, aside)
}
