//! How a world begins: every directory as an init leaves it, every service about to start.

use super::clients::Client;
use super::config::{Config, Options};
use super::node::Node;
use super::{BankService, Event, GatewayService, Place, World};
use crate::fact::{self, BankFact, GatewayFact};
use crate::model::{AccountNumber, BankName, ClientId, Cluster, Currency, Lineage};
use crate::record::{self, Encoded, Fact};
use std::collections::BTreeMap;
use wal::splitmix::SplitMix64;
use wal::{CrashDisk, CreateError, DiskImage, Identity, Lsn};

pub(super) const BANKS: [&str; 6] = ["HDFC", "ICICI", "Axis", "Canara", "Kotak", "BankOfIndia"];
const CLIENTS_MAX: usize = 6;
const CLUSTER: Cluster = Cluster([0xc1; 16]);
const GATEWAY: Lineage = Lineage([0x6a; 16]);
const OPENING_MINOR: i64 = 1000;

/// Whose log it is, in the headers of its segments.
pub(super) const GATEWAY_NODE: u8 = 0;

pub(super) fn bank_node(bank: usize) -> u8 {
    1 + bank as u8
}

fn bank_name(bank: usize) -> BankName {
    BANKS[bank].parse().expect("a bank")
}

fn client_id(client: usize) -> ClientId {
    format!("client{}", client + 1).parse().expect("a client")
}

fn account(client: usize) -> AccountNumber {
    AccountNumber::try_from(10_000_000_000_001 + client as u64).expect("14 digits")
}

/// All directories as they are made, by how many banks there are: made once, copied for each run.
pub struct Template {
    by_banks: BTreeMap<usize, (DiskImage, Vec<DiskImage>)>,
}

impl Default for Template {
    fn default() -> Self {
        Self::new()
    }
}

impl Template {
    pub fn new() -> Self {
        let by_banks = (2..=BANKS.len()).map(|banks| (banks, cluster(banks))).collect();
        Self { by_banks }
    }
}

/// The client's bank, when there are `banks`.
fn home(client: usize, banks: usize) -> usize {
    client % banks
}

fn cluster(banks: usize) -> (DiskImage, Vec<DiskImage>) {
    let mut facts: Vec<GatewayFact> =
        vec![fact::Initialised { cluster: CLUSTER, lineage: GATEWAY }.into()];
    for bank in 0..banks {
        let lineage = Some(lineage(bank));
        facts.push(fact::BankJoined { bank: bank_name(bank), lineage }.into());
    }
    let (currency, opening_minor) = (Currency::INR, OPENING_MINOR);
    for client in 0..CLIENTS_MAX {
        let (account, bank) = (account(client), bank_name(home(client, banks)));
        let owner = client_id(client);
        facts.push(fact::AccountListed { account, bank, owner, currency, opening_minor }.into());
    }
    let gateway = image(GATEWAY, GATEWAY_NODE, &facts);
    let journals = (0..banks).map(|bank| {
        let (cluster, lineage, gateway) = (CLUSTER, lineage(bank), GATEWAY);
        let founded = fact::Founded { cluster, lineage, bank: bank_name(bank), gateway };
        let mut facts: Vec<BankFact> = vec![founded.into()];
        for client in (0..CLIENTS_MAX).filter(|client| home(*client, banks) == bank) {
            let (account, owner) = (account(client), client_id(client));
            facts.push(fact::AccountOpened { account, owner, currency, opening_minor }.into());
        }
        image(lineage, bank_node(bank), &facts)
    });
    (gateway, journals.collect())
}

fn lineage(bank: usize) -> Lineage {
    Lineage([0xb0 + bank as u8; 16])
}

fn image<F: Fact>(lineage: Lineage, node: u8, facts: &[F]) -> DiskImage {
    let disk = CrashDisk::new(1);
    found(&disk, lineage, node, Lsn::ZERO.next(), facts).expect("a sound disk");
    disk.snapshot()
}

/// A log's first batch, numbered from `first` on. `node` is whose log it is.
pub(super) fn found<F: Fact>(
    disk: &CrashDisk,
    lineage: Lineage,
    node: u8,
    first: Lsn,
    facts: &[F],
) -> Result<(), CreateError> {
    let identity = Identity { cluster: CLUSTER.0, node: [node; 16], lineage: lineage.0 };
    let encoded: Vec<Encoded> = facts.iter().map(record::encode).collect();
    let entries: Vec<_> = encoded.iter().map(|fact| fact.entry(0)).collect();
    let options = wal::Options { segment_bytes: 16 << 10 };
    wal::create_at(disk, identity, options, first, &entries)
}

impl<'a, G: GatewayService, B: BankService> World<'a, G, B> {
    pub(super) fn new(seed: u64, options: &'a Options, template: &Template) -> Self {
        let mut random = SplitMix64::new(seed);
        let config = Config::draw(&mut random, options);
        let (gateway, journals) = &template.by_banks[&config.banks];
        let mut disk = |image: &DiskImage| {
            let disk = CrashDisk::new(random.bits());
            disk.restore(image);
            disk
        };
        let gateways = vec![Node::new(disk(gateway), WALL_MS)];
        let banks = journals.iter().map(|image| Node::new(disk(image), WALL_MS)).collect();
        let clients = (0..config.clients).map(|client| Client {
            id: client_id(client),
            account: account(client),
            to_make: config.payments_per_client,
            made: 0,
            wish: None,
        });
        let mut world = Self {
            options,
            clients: clients.collect(),
            names: (0..config.banks).map(bank_name).collect(),
            line_of: vec![0],
            line_of_start: BTreeMap::new(),
            lines: 1,
            drivers: vec![0; config.banks],
            cut_until_ms: vec![0; config.banks],
            last_due_ms: vec![[0; 2]; config.banks],
            config,
            random,
            now_ms: 0,
            queue: BTreeMap::new(),
            sequence: 0,
            gateways,
            banks,
            calls: Vec::new(),
            hellos: BTreeMap::new(),
            hello_number: 0,
            backups: Vec::new(),
            kept_aside: BTreeMap::new(),
            pristine: BTreeMap::new(),
            healing: false,
            meddling: None,
            refused: false,
            truth: super::Truth::default(),
            faults: BTreeMap::new(),
            events: 0,
            violation: None,
            trace: Vec::new(),
            called: BTreeMap::new(),
        };
        world.plan();
        world
    }

    /// What will happen whatever happens.
    fn plan(&mut self) {
        self.start_later(Place::Gateway(0), 0);
        for b in 0..self.banks.len() {
            self.start_later(Place::Bank(b), 0);
        }
        for c in 0..self.clients.len() {
            let at_ms = 5 + self.below(60);
            self.at(at_ms, Event::Wake(c));
        }
        let strike = self.options.faults.iter().copied().filter(|kind| kind.strikes());
        let kinds: Vec<_> = strike.collect();
        for _ in 0..self.config.faults {
            let kind = kinds.get(self.random.below(kinds.len() as u64) as usize).copied();
            let at_ms = 10 + self.below(self.config.trouble_ms);
            if let Some(kind) = kind {
                self.at(at_ms, Event::Trouble(kind));
            }
        }
    }
}

/// A day in 2026, in milliseconds since the Unix epoch.
const WALL_MS: u64 = 1_790_000_000_000;
