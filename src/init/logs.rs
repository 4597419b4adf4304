//! The first records of every log: who it is, who takes part, and whose money there is.
//!
//! Each opening is a record in two logs, the bank's journal and the gateway's, and those two are
//! compared by every audit.

use crate::config::Config;
use crate::errors::{Exit, Failure, chain};
use crate::home::{Home, Service, create_private_dir};
use crate::journal::wall_ms;
use crate::users::{Opening, Users};
use recovery::fact::{
    AccountListed, AccountOpened, BankFact, BankJoined, Founded, GatewayFact, Initialised,
};
use recovery::model::{BankName, ClientId, Cluster, Lineage};
use recovery::record::{self, Encoded, Fact};
use wal::{CreateError, Disk, Identity, Options};

/// What an installation's logs are told apart by.
#[derive(Copy, Clone, Debug)]
struct Birth {
    cluster: Cluster,
    gateway: Lineage,
}

/// Makes a log for the gateway and for each bank of ours, and opens the accounts in them.
pub(super) fn create_all(home: &Home, config: &Config, users: &Users) -> Result<(), Failure> {
    let openings: Vec<(ClientId, Opening)> = users.openings().collect();
    let birth = Birth { cluster: Cluster(rand::random()), gateway: Lineage(rand::random()) };
    let mut banks = Vec::new();
    for (name, place) in &config.banks {
        let lineage = (!place.foreign).then(|| Lineage(rand::random()));
        if let Some(lineage) = lineage {
            found(home, config, birth, *name, lineage, &openings)?;
        }
        banks.push((*name, lineage));
    }
    begin(home, config, birth, &banks, &openings)
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
    facts.extend(openings.iter().filter(|(_, opening)| opening.bank == bank).map(
        |(owner, opening)| {
            let Opening { account, currency, balance_minor: opening_minor, .. } = *opening;
            AccountOpened { account, owner: *owner, currency, opening_minor }.into()
        },
    ));
    create(home, config, Service::Bank(bank), cluster, lineage, &facts)
}

fn begin(
    home: &Home,
    config: &Config,
    birth: Birth,
    banks: &[(BankName, Option<Lineage>)],
    openings: &[(ClientId, Opening)],
) -> Result<(), Failure> {
    let Birth { cluster, gateway } = birth;
    let mut facts: Vec<GatewayFact> = vec![Initialised { cluster, lineage: gateway }.into()];
    facts.extend(
        banks.iter().map(|(bank, lineage)| BankJoined { bank: *bank, lineage: *lineage }.into()),
    );
    facts.extend(openings.iter().map(|(owner, opening)| {
        let Opening { account, bank, currency, balance_minor: opening_minor } = *opening;
        AccountListed { account, bank, owner: *owner, currency, opening_minor }.into()
    }));
    create(home, config, Service::Gateway, cluster, gateway, &facts)
}

/// The node a log belongs to, for its segment headers: another bank's segment must not verify.
fn node(service: Service) -> [u8; 16] {
    let mut node = [b'.'; 16];
    for (slot, byte) in node.iter_mut().zip(service.file_stem().bytes()) {
        *slot = byte;
    }
    node
}

fn create<F: Fact>(
    home: &Home,
    config: &Config,
    service: Service,
    cluster: Cluster,
    lineage: Lineage,
    facts: &[F],
) -> Result<(), Failure> {
    let identity = Identity { cluster: cluster.0, node: node(service), lineage: lineage.0 };
    let options = Options { segment_bytes: config.wal.segment_bytes };
    let encoded: Vec<Encoded> = facts.iter().map(record::encode).collect();
    let wall_ms = wall_ms();
    let entries: Vec<_> = encoded.iter().map(|fact| fact.entry(wall_ms)).collect();
    let directory = home.data(service);
    if let Some(parent) = directory.parent() {
        create_private_dir(parent)?;
    }
    let disk = Disk::new(directory);
    wal::create(&disk, identity, options, &entries).map_err(|error| {
        let exit = match error {
            CreateError::AlreadyThere { .. } | CreateError::Locked { .. } => Exit::Configuration,
            _ => Exit::Unexpected,
        };
        Failure::plain(exit, format!("cannot make the log of {service}: {}", chain(&error)))
            .money("No account was opened there.")
    })
}
