//! A small installation's logs, written by hand: every byte of them is the same each time.
//!
//! Six payments between two banks over two starts of the gateway, with its SQLite views:
//!
//! ```text
//!   rent-8   250.00  committed, over
//!   gift-1   5.00    interrupted by the restart, aborted, over
//!   tea-9    9999000 refused by the payer's bank, over
//!   loan-2   75.50   committed, ICICI has not posted it     in doubt at the end
//!   book-3   12.00   begun, one vote                        in doubt at the end
//!   self-4   1.00    within one bank, committed, over
//! ```

use recovery::fact::*;
use recovery::model::*;
use recovery::record::{self, Fact};
use std::path::{Path, PathBuf};
use strife::config::{Config, Flags};
use strife::home::Service;
use strife::view;
use tempfile::TempDir;
use wal::{Disk, Identity, Log, Options};

/// The logs' own clock.
pub(crate) const EPOCH_MS: u64 = 1_786_000_000_000;
const CLUSTER: Cluster = Cluster([0xc1; 16]);
pub(crate) const GATEWAY: Lineage = Lineage([0x6a; 16]);
const OPTIONS: Options = Options { segment_bytes: 32 << 10 };

pub(crate) fn bank(name: &str) -> BankName {
    name.parse().expect("a bank")
}

pub(crate) fn lineage_of(name: &str) -> Lineage {
    Lineage([name.as_bytes()[0]; 16])
}

pub(crate) fn payment(epoch: u64, number: u64) -> GlobalId {
    GlobalId { origin: GATEWAY.origin(), epoch, number }
}

fn account(number: u64) -> AccountNumber {
    AccountNumber::try_from(10_000_000_000_000 + number).expect("an account")
}

/// `payer` and `payee` are clients 1 (HDFC), 2 (ICICI) and 3 (HDFC).
fn order(id: &str, payer: u64, payee: u64, minor: i64) -> Order {
    let at = |number| bank(if number == 2 { "ICICI" } else { "HDFC" });
    let client = format!("client{payer}").parse().expect("a client");
    Order {
        reference: Reference { client, transaction: id.parse().expect("an id") },
        terms: Terms {
            payer: account(payer),
            payee: account(payee),
            amount: minor.try_into().expect("an amount"),
            currency: Currency::INR,
            memo: "for August".parse().expect("a memo"),
        },
        payer_bank: at(payer),
        payee_bank: at(payee),
    }
}

/// A log that is being written, with a clock that goes on by itself.
struct Pen {
    directory: PathBuf,
    log: Option<Log<Disk>>,
    epoch: u64,
    clock_ms: u64,
}

impl Pen {
    fn create<F: Fact>(directory: PathBuf, stem: &str, lineage: Lineage, facts: &[F]) -> Self {
        let mut node = [b'.'; 16];
        node[..stem.len()].copy_from_slice(stem.as_bytes());
        let identity = Identity { cluster: CLUSTER.0, node, lineage: lineage.0 };
        let encoded: Vec<_> = facts.iter().map(record::encode).collect();
        let entries: Vec<_> = encoded.iter().map(|fact| fact.entry(EPOCH_MS)).collect();
        wal::create(&Disk::new(&directory), identity, OPTIONS, &entries).expect("made");
        Self { directory, log: None, epoch: 0, clock_ms: EPOCH_MS }
    }

    /// At this many milliseconds since the beginning.
    fn at(&mut self, ms: u64) -> &mut Self {
        self.clock_ms = EPOCH_MS + ms;
        self
    }

    fn start<F: Fact>(&mut self, started: impl Fn(u64, StartId, String) -> F) -> &mut Self {
        self.log = None;
        self.epoch += 1;
        let opened = open(&self.directory);
        let id = StartId([self.epoch as u8; 16]);
        let fact = record::encode(&started(self.epoch, id, "0.1.0".to_owned()));
        let begun = opened.begin(self.epoch, fact.entry(self.clock_ms));
        self.log = Some(begun.expect("begun").0);
        self
    }

    /// One batch.
    fn write<F: Fact>(&mut self, facts: &[F]) -> &mut Self {
        let log = self.log.as_mut().expect("started");
        for fact in facts {
            log.append(record::encode(fact).entry(self.clock_ms)).expect("appended");
        }
        log.sync().expect("synced");
        self
    }

    fn mark(&mut self) -> &mut Self {
        self.log.as_mut().expect("started").mark().expect("marked");
        self
    }
}

/// Opens a log. A process that another test is just starting may hold its lock for an instant.
pub(crate) fn open(directory: &Path) -> wal::Opened<Disk> {
    for _ in 0..500 {
        match wal::open(Disk::new(directory), OPTIONS, None) {
            Err(wal::OpenError::Locked { .. }) => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            opened => return opened.expect("sound"),
        }
    }
    panic!("{} stays locked", directory.display());
}

fn gateway_started(epoch: u64, start_id: StartId, version: String) -> GatewayFact {
    Started { epoch, start_id, version }.into()
}

fn bank_started(epoch: u64, start_id: StartId, version: String) -> BankFact {
    BankStarted { epoch, start_id, version }.into()
}

/// The installation.
pub(crate) struct Logs {
    _keep: TempDir,
    pub(crate) home: strife::home::Home,
}

impl Logs {
    pub(crate) fn write() -> Self {
        let keep = tempfile::tempdir().expect("a directory");
        let home = strife::home::Home::new(keep.path().join("home"));
        home.create().expect("made");
        std::fs::create_dir_all(home.all_data().join("banks")).expect("made");
        write_bank(&home.data(Service::Bank(bank("HDFC"))), "HDFC");
        write_bank(&home.data(Service::Bank(bank("ICICI"))), "ICICI");
        write_gateway(&home.data(Service::Gateway));
        let logs = Self { _keep: keep, home };
        for service in Self::services() {
            logs.make_view(service);
        }
        let none = logs.home.config_file();
        let mut config = Config::load(&none, Flags::new()).expect("the defaults");
        config.banks.retain(|name, _| ["HDFC", "ICICI"].contains(&name.as_str()));
        std::fs::write(none, config.to_toml()).expect("written");
        logs
    }

    /// Whose logs they are.
    pub(crate) fn services() -> [Service; 3] {
        [Service::Gateway, Service::Bank(bank("HDFC")), Service::Bank(bank("ICICI"))]
    }

    /// Fills the mirror or the book from its log.
    pub(crate) fn make_view(&self, service: Service) {
        let disk = Disk::new(self.home.data(service));
        let last = wal::read::survey(&disk, None).expect("read").last.get();
        let path = self.home.database(service);
        let lineage = match service {
            Service::Bank(name) => lineage_of(name.as_str()),
            Service::Gateway | Service::Console => GATEWAY,
        };
        let identity = view::Identity { cluster: CLUSTER, lineage };
        match service {
            Service::Bank(name) => {
                let mut book = strife::bank::book::open(&path, identity, name, last).expect("book");
                view::catch_up(&disk, last, &mut book.view).expect("applied");
            }
            Service::Gateway | Service::Console => {
                let mut mirror = strife::gateway::mirror::open(&path, identity, last).expect("it");
                view::catch_up(&disk, last, &mut mirror.view).expect("applied");
            }
        }
    }

    /// Its segments, in order.
    pub(crate) fn segments(&self, service: Service) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.home.wal(service)).expect("there");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        paths
    }
}

fn listed(owner: u64, at: &str) -> GatewayFact {
    let client = format!("client{owner}").parse().expect("a client");
    let (bank, currency) = (bank(at), Currency::INR);
    let opening_minor = 1_000_000;
    AccountListed { account: account(owner), bank, owner: client, currency, opening_minor }.into()
}

fn joined(name: &str) -> GatewayFact {
    BankJoined { bank: bank(name), lineage: Some(lineage_of(name)) }.into()
}

fn met(name: &str, lsn: u64) -> GatewayFact {
    let (lineage, start_id) = (lineage_of(name), StartId([1; 16]));
    let witness = Witness { lineage, start_id, lsn };
    BankMet { bank: bank(name), epoch: 1, witness }.into()
}

fn began(payment: GlobalId, order: Order) -> GatewayFact {
    Began { payment, order }.into()
}

fn voted(payment: GlobalId, name: &str, vote: Vote, bank_lsn: u64) -> GatewayFact {
    Voted { payment, bank: bank(name), vote, bank_lsn }.into()
}

fn settled(payment: GlobalId, name: &str, state: HoldState, bank_lsn: u64) -> GatewayFact {
    Settled { payment, bank: bank(name), state, bank_lsn }.into()
}

fn decided(payment: GlobalId, decision: Decision) -> GatewayFact {
    Decided { payment, decision }.into()
}

fn ended(payment: GlobalId) -> GatewayFact {
    Ended { payment }.into()
}

fn write_gateway(directory: &Path) {
    let first: Vec<GatewayFact> = vec![
        Initialised { cluster: CLUSTER, lineage: GATEWAY }.into(),
        joined("HDFC"),
        joined("ICICI"),
        listed(1, "HDFC"),
        listed(2, "ICICI"),
        listed(3, "HDFC"),
    ];
    let mut pen = Pen::create(directory.to_owned(), "gateway", GATEWAY, &first);
    gateways_first_start(&mut pen);
    gateways_second_start(&mut pen);
}

fn gateways_first_start(pen: &mut Pen) {
    let (rent, tea, gift) = (payment(1, 1), payment(1, 2), payment(1, 3));
    let funds = Reason::InsufficientFunds;
    pen.at(1_000).start(gateway_started);
    pen.at(1_020).write(&[met("HDFC", 5), met("ICICI", 4)]);
    pen.at(2_000).write(&[began(rent, order("rent-8", 1, 2, 25_000))]);
    pen.at(2_012).write(&[
        voted(rent, "HDFC", Vote::Ready, 6),
        voted(rent, "ICICI", Vote::Ready, 5),
        decided(rent, Decision::Commit),
    ]);
    pen.at(2_031).write(&[
        settled(rent, "ICICI", HoldState::Posted, 6),
        settled(rent, "HDFC", HoldState::Posted, 7),
        ended(rent),
    ]);
    pen.mark();
    pen.at(3_000).write(&[began(tea, order("tea-9", 1, 2, 999_900_000))]);
    pen.at(3_010).write(&[
        voted(tea, "HDFC", Vote::Refused(funds), 8),
        decided(tea, Decision::Abort(funds)),
    ]);
    pen.at(3_020).write(&[
        settled(tea, "HDFC", HoldState::Refused(funds), 8),
        settled(tea, "ICICI", HoldState::Released, 7),
        ended(tea),
    ]);
    pen.at(4_000).write(&[began(gift, order("gift-1", 2, 1, 500))]);
}

fn gateways_second_start(pen: &mut Pen) {
    let gift = payment(1, 3);
    let (loan, book, own) = (payment(2, 1), payment(2, 2), payment(2, 3));
    pen.at(9_000).start(gateway_started);
    pen.at(9_030).write(&[met("HDFC", 9), met("ICICI", 8)]);
    pen.at(9_031).write(&[decided(gift, Decision::Abort(Reason::Interrupted))]);
    pen.at(9_050).write(&[
        settled(gift, "HDFC", HoldState::Released, 11),
        settled(gift, "ICICI", HoldState::Released, 10),
        ended(gift),
    ]);
    pen.at(10_000).write(&[began(loan, order("loan-2", 1, 2, 7_550))]);
    pen.at(10_015).write(&[
        voted(loan, "HDFC", Vote::Ready, 12),
        voted(loan, "ICICI", Vote::Ready, 11),
        decided(loan, Decision::Commit),
    ]);
    pen.at(10_040).write(&[settled(loan, "HDFC", HoldState::Posted, 13)]);
    pen.at(11_000).write(&[began(book, order("book-3", 1, 2, 1_200))]);
    pen.at(11_008).write(&[voted(book, "HDFC", Vote::Ready, 14)]);
    pen.at(12_000).write(&[began(own, order("self-4", 3, 1, 100))]);
    pen.at(12_004).write(&[voted(own, "HDFC", Vote::Ready, 15), decided(own, Decision::Commit)]);
    pen.at(12_009).write(&[settled(own, "HDFC", HoldState::Posted, 16), ended(own)]);
    pen.mark();
}

fn write_bank(directory: &Path, name: &str) {
    let hdfc = name == "HDFC";
    let opened = |owner: u64| -> BankFact {
        let client = format!("client{owner}").parse().expect("a client");
        let (account, currency) = (account(owner), Currency::INR);
        AccountOpened { account, owner: client, currency, opening_minor: 1_000_000 }.into()
    };
    let (own, gateway) = (lineage_of(name), GATEWAY);
    let founded = Founded { cluster: CLUSTER, lineage: own, bank: bank(name), gateway };
    let mut first: Vec<BankFact> = vec![founded.into()];
    first.extend(if hdfc { vec![opened(1), opened(3)] } else { vec![opened(2)] });
    let fenced = |epoch: u8, gateway_lsn| -> BankFact {
        let start_id = StartId([epoch; 16]);
        Fenced { gateway: GATEWAY, epoch: epoch.into(), start_id, gateway_lsn }.into()
    };
    let heard = |lsn| Heard { gateway: GATEWAY, lsn };
    let held = |payment: GlobalId, order: Order, lsn| -> BankFact {
        Held { payment, order, heard: heard(lsn) }.into()
    };
    let posted =
        |payment: GlobalId, lsn| -> BankFact { Posted { payment, heard: heard(lsn) }.into() };
    let released = |payment: GlobalId, lsn| -> BankFact {
        Released { payment, heard: heard(lsn), reason: None }.into()
    };
    let refused = |payment: GlobalId, order: &Order, lsn| -> BankFact {
        let (reference, reason) = (order.reference, Reason::InsufficientFunds);
        let order = Some(order.clone());
        Refused { payment, reference, reason, heard: heard(lsn), order }.into()
    };
    let (rent, tea, gift) = (payment(1, 1), payment(1, 2), payment(1, 3));
    let (loan, book, own_4) = (payment(2, 1), payment(2, 2), payment(2, 3));
    let tea_order = order("tea-9", 1, 2, 999_900_000);
    let stem = format!("bank_{name}");
    let mut pen = Pen::create(directory.to_owned(), &stem, own, &first);
    pen.at(900).start(bank_started);
    pen.at(1_010).write(&[fenced(1, 7)]);
    pen.at(2_005).write(&[held(rent, order("rent-8", 1, 2, 25_000), 9)]);
    pen.at(2_020).write(&[posted(rent, 13)]);
    if hdfc {
        pen.at(3_005).write(&[refused(tea, &tea_order, 16)]);
    } else {
        pen.at(3_015).write::<BankFact>(&[Tombstoned {
            payment: tea,
            heard: heard(19),
            aborted: None,
        }
        .into()]);
    }
    pen.mark();
    pen.at(4_006).write(&[held(gift, order("gift-1", 2, 1, 500), 22)]);
    pen.at(9_020).write(&[fenced(2, 24)]);
    pen.at(9_040).write(&[released(gift, 27)]);
    pen.at(10_006).write(&[held(loan, order("loan-2", 1, 2, 7_550), 30)]);
    if hdfc {
        pen.at(10_030).write(&[posted(loan, 34)]);
        pen.at(11_005).write(&[held(book, order("book-3", 1, 2, 1_200), 35)]);
        pen.at(12_002).write(&[held(own_4, order("self-4", 3, 1, 100), 37)]);
        pen.at(12_006).write(&[posted(own_4, 40)]);
    }
    pen.mark();
}
