//! A log that is long: listed in bounded memory, and checked at a pace that the disk sets.
//!
//! `just log-speed` does it with 1 GiB in a release build and prints the figures; as a plain test
//! it is short, and the pace is printed but not judged.

use recovery::fact::{
    AccountListed, BankJoined, Began, Decided, Ended, GatewayFact, Initialised, Settled, Started,
    Voted,
};
use recovery::model::{
    AccountNumber, BankName, Cluster, Currency, Decision, GlobalId, HoldState, Lineage, Order,
    Reference, StartId, Terms, Vote,
};
use recovery::record;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use wal::{Disk, Identity, Options};

/// Of a log that is short; others have the usual ones.
const SHORT_SEGMENT_BYTES: u64 = 1 << 20;
const LONG_MIB_MIN: u64 = 256;
const PAYMENTS_A_BATCH: u64 = 128;
const WALL_MS: u64 = 1_786_000_000_000;
/// What a segment, a batch of it and the names of payments under way may take, and then some.
const MORE_KIB_MAX: u64 = 24 << 10;

/// How long the log is, in MiB: `STRIFE_LOG_MIB`, or little.
fn wanted_mib() -> u64 {
    let wanted = std::env::var("STRIFE_LOG_MIB").ok().and_then(|mib| mib.parse().ok());
    wanted.unwrap_or(12)
}

fn bank(name: &str) -> BankName {
    name.parse().expect("a bank")
}

fn account(number: u64) -> AccountNumber {
    AccountNumber::try_from(10_000_000_000_000 + number).expect("an account")
}

fn beginning(lineage: Lineage) -> Vec<GatewayFact> {
    let mut facts = vec![Initialised { cluster: Cluster([3; 16]), lineage }.into()];
    for (number, name) in [(1, "HDFC"), (2, "ICICI")] {
        let (owner, currency) = ("client1".parse().expect("a client"), Currency::INR);
        let (account, opening_minor) = (account(number), 1_000_000);
        facts.push(BankJoined { bank: bank(name), lineage: Some(lineage) }.into());
        let bank = bank(name);
        facts.push(AccountListed { account, bank, owner, currency, opening_minor }.into());
    }
    facts
}

/// One payment's whole life.
fn life(lineage: Lineage, number: u64) -> Vec<GatewayFact> {
    let payment = GlobalId { origin: lineage.origin(), epoch: 1, number };
    let order = Order {
        reference: Reference {
            client: "client1".parse().expect("a client"),
            transaction: format!("payment-{number:012}").parse().expect("an id"),
        },
        terms: Terms {
            payer: account(1),
            payee: account(2),
            amount: 1.try_into().expect("an amount"),
            currency: Currency::INR,
            memo: "as agreed, for the month".parse().expect("a memo"),
        },
        payer_bank: bank("HDFC"),
        payee_bank: bank("ICICI"),
    };
    let mut facts: Vec<GatewayFact> = vec![Began { payment, order }.into()];
    let banks = ["HDFC", "ICICI"].map(bank);
    let vote = Vote::Ready;
    facts.extend(banks.map(|bank| Voted { payment, bank, vote, bank_lsn: number }.into()));
    facts.push(Decided { payment, decision: Decision::Commit }.into());
    let state = HoldState::Posted;
    facts.extend(banks.map(|bank| Settled { payment, bank, state, bank_lsn: number }.into()));
    facts.push(Ended { payment }.into());
    facts
}

/// A gateway's log of about so many MiB, in `directory`.
fn write(directory: &Path, mib: u64) -> u64 {
    let usual = Options::default();
    let short = Options { segment_bytes: SHORT_SEGMENT_BYTES };
    let options = if mib < LONG_MIB_MIN { short } else { usual };
    let lineage = Lineage([5; 16]);
    let identity = Identity { cluster: [3; 16], node: *b"gateway.........", lineage: lineage.0 };
    let first: Vec<_> = beginning(lineage).iter().map(record::encode).collect();
    let first: Vec<_> = first.iter().map(|fact| fact.entry(WALL_MS)).collect();
    wal::create(&Disk::new(directory), identity, options, &first).expect("made");
    let opened = wal::open(Disk::new(directory), options, None).expect("sound");
    let start_id = StartId([1; 16]);
    let started = GatewayFact::from(Started { epoch: 1, start_id, version: "0".to_owned() });
    let (mut log, _) = opened.begin(1, record::encode(&started).entry(WALL_MS)).expect("begun");
    let (mut bytes, mut number) = (0, 0);
    while bytes < mib << 20 {
        for _ in 0..PAYMENTS_A_BATCH {
            number += 1;
            for fact in life(lineage, number) {
                log.append(record::encode(&fact).entry(WALL_MS + number)).expect("appended");
            }
        }
        bytes += log.pending_bytes();
        log.sync().expect("synced");
    }
    log.mark().expect("marked");
    number * 7
}

/// How a command went.
struct Went {
    peak_kib: u64,
    took: Duration,
    lines: u64,
}

/// Runs it to its end, reads all it says, and watches how much memory it ever took.
fn run(arguments: &[&str], directory: &Path) -> Went {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strife"));
    command.args(arguments).arg(directory).stdout(Stdio::piped()).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = command.spawn().expect("started");
    let out = BufReader::with_capacity(1 << 16, child.stdout.take().expect("piped"));
    let reader = std::thread::spawn(move || out.split(b'\n').count() as u64);
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    let ended = loop {
        let told = std::fs::read_to_string(&status).unwrap_or_default();
        let peak = told.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|text| text.trim().trim_end_matches(" kB").trim().parse().ok());
        peak_kib = peak.unwrap_or(0).max(peak_kib);
        if let Some(ended) = child.try_wait().expect("waited") {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(ended.success(), "{arguments:?}: {ended}");
    Went { peak_kib, took: began.elapsed(), lines: reader.join().expect("read") }
}

/// The best of three: what else runs makes both slower.
fn best(mut measure: impl FnMut() -> Duration) -> f64 {
    (0..3).map(|_| measure()).min().expect("three").as_secs_f64()
}

#[test]
fn a_log_of_any_length_is_listed_in_the_memory_that_a_short_one_takes() {
    let (short, long) = (tempfile::tempdir().expect("a place"), tempfile::tempdir().expect("one"));
    write(short.path(), 3);
    let records = write(long.path(), wanted_mib());
    for output in ["table", "jsonl", "json"] {
        let small = run(&["wal", "ls", "-o", output], short.path());
        let large = run(&["wal", "ls", "-o", output], long.path());
        assert!(large.lines >= records, "{} lines of {records} records", large.lines);
        let (took, mib) = (large.took.as_secs_f64(), wanted_mib());
        println!(
            "wal ls -o {output}: {mib} MiB, {records} records in {took:.1} s, peak {} KiB; 3 MiB \
             take {} KiB",
            large.peak_kib, small.peak_kib
        );
        assert!(large.peak_kib <= small.peak_kib + MORE_KIB_MAX, "it grows with the log");
    }
    pace(long.path());
}

/// `wal verify --log-only` against `cat` of the same files, in turns.
fn pace(directory: &Path) {
    let files: Vec<_> = std::fs::read_dir(directory.join("wal")).expect("there").collect();
    let files: Vec<_> = files.into_iter().map(|entry| entry.expect("an entry").path()).collect();
    let bytes: u64 = files.iter().map(|path| path.metadata().expect("there").len()).sum();
    let cat = || {
        let began = Instant::now();
        let status = Command::new("cat").args(&files).stdout(Stdio::null()).status();
        assert!(status.expect("ran").success());
        began.elapsed()
    };
    cat();
    let (cat, verify) = (best(cat), best(|| run(&["wal", "verify", "--log-only"], directory).took));
    let rate = |seconds: f64| bytes as f64 / seconds / f64::from(1 << 20);
    let ratio = cat / verify;
    println!(
        "wal verify --log-only: {:.0} MiB/s, cat {:.0} MiB/s of the same files: {ratio:.2} of it",
        rate(verify),
        rate(cat)
    );
    if !cfg!(debug_assertions) {
        assert!(ratio >= 0.5, "it keeps to less than half the pace of cat");
    }
}
