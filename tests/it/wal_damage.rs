//! Logs that were damaged, torn, mixed up or made by somebody else: `wal verify` says which, where,
//! and what helps, and no reader panics.

use crate::support::live::{ended, good, strife};
use crate::support::logs::{EPOCH_MS, Logs, bank, open};
use crate::wal_cli::{copy_all, said};
use std::fs;
use std::path::{Path, PathBuf};
use strife::home::{Home, Service};
use strife::inspect::verify::{Checked, Depth, verify};
use wal::splitmix::SplitMix64;

fn check(path: &Path, depth: Depth) -> Checked {
    let home = Home::new("no-home-is-needed");
    let name = path.display().to_string();
    good(verify(&home, Some(&name), depth, &mut |_| {})).remove(0)
}

fn flip(file: &Path, byte: usize, bit: u64) {
    let mut bytes = fs::read(file).expect("read");
    bytes[byte] ^= 1 << bit;
    fs::write(file, bytes).expect("written");
}

#[test]
fn whichever_bit_of_a_log_is_flipped_verify_names_the_place() {
    let logs = Logs::write();
    let mut draws = SplitMix64::new(51);
    for service in Logs::services() {
        let directory = logs.home.data(service);
        let whole = check(&directory, Depth::All);
        assert_eq!((whole.ok, whole.verdict), (true, "clean"));
        for _ in 0..200 {
            let segment = &whole.segments[draws.below(whole.segments.len() as u64) as usize];
            let (byte, bit) = (draws.below(segment.used_bytes), draws.below(8));
            let file = PathBuf::from(&segment.file);
            flip(&file, byte as usize, bit);
            let depth = if draws.coin() { Depth::All } else { Depth::LogOnly };
            let found = check(&directory, depth);
            flip(&file, byte as usize, bit);
            assert!(!found.ok, "{service} {byte} {bit}");
            // A header that lies about its place is named, or what it makes of its neighbour.
            let named = found.segments.iter().find(|it| it.file == segment.file).expect("there");
            let neighbours = found.segments.iter().filter(|it| it.verdict != "clean").count();
            assert!(neighbours >= 1, "{found:?}");
            if byte >= wal::BLOCK as u64 {
                let offset = named.offset.expect("a place");
                assert!(named.verdict == "corrupt" && offset <= byte, "{byte} in {named:?}");
                assert!(byte - offset < wal::BATCH_BYTES_MAX as u64);
                assert!(!found.next.is_empty(), "something helps: {found:?}");
            }
        }
        assert!(check(&directory, Depth::All).ok, "all was put back");
    }
}

#[test]
fn a_torn_batch_that_nobody_was_told_of_is_no_damage() {
    let logs = Logs::write();
    let directory = logs.home.data(Service::Gateway);
    let opened = open(&directory);
    let entry = |payload| wal::Entry { kind: 3, kind_version: 1, wall_ms: EPOCH_MS, payload };
    let (mut log, _) = opened.begin(9, entry(&[])).expect("begun");
    log.mark().expect("marked");
    let payload = [7; 2_000];
    log.append(entry(&payload)).expect("appended");
    log.sync().expect("synced");
    drop(log);
    let file = logs.segments(Service::Gateway).pop().expect("a segment");
    let whole = check(&directory, Depth::LogOnly);
    let (at, sectors) = (whole.segments.last().expect("one").used_bytes as usize - 4096, 8);
    let bytes = fs::read(&file).expect("read");
    let mut draws = SplitMix64::new(52);
    let mut torn = 0;
    for _ in 0..100 {
        let lost = 1 + draws.below((1 << sectors) - 1);
        let mut damaged = bytes.clone();
        for sector in (0..sectors).filter(|sector| lost >> sector & 1 == 1) {
            let from = at + sector * wal::SECTOR;
            damaged[from..from + wal::SECTOR].fill(0);
        }
        if damaged == bytes {
            continue;
        }
        fs::write(&file, &damaged).expect("written");
        let found = check(&directory, Depth::LogOnly);
        let last = found.segments.last().expect("one");
        let all_gone = damaged[at..at + 4096].iter().all(|byte| *byte == 0);
        let expected = if all_gone { "clean" } else { "torn" };
        assert_eq!((found.ok, last.verdict), (true, expected), "{lost:08b}: {last:?}");
        torn += u32::from(!all_gone);
    }
    assert!(torn > 50, "{torn}");
    let name = directory.display().to_string();
    let (code, data, _) = said(&logs, &["wal", "verify", &name, "--log-only"]);
    assert!(code == 0 && data.contains("torn") && data.contains("nobody was told"), "{data}");
}

/// Every reading command on a directory; none may panic, and each ends with a code of ours.
fn read_with_everything(directory: &Path) -> Vec<(String, i32, String)> {
    let name = directory.display().to_string();
    let commands: [&[&str]; 8] = [
        &["wal", "ls", &name],
        &["wal", "ls", &name, "-o", "json"],
        &["wal", "verify", &name],
        &["wal", "tail", &name],
        &["wal", "stats", &name],
        &["wal", "state", &name],
        &["wal", "what-if", &name, "--crash-at", "20"],
        &["wal", "diff", "5", "20", &name],
    ];
    let nowhere = Home::new(directory.join("no-home"));
    let ran = commands.iter().map(|arguments| {
        let (code, _, talk) = ended(strife(&nowhere, arguments).output().expect("ran"));
        assert!(!talk.contains("panicked"), "{arguments:?}: {talk}");
        assert!([0, 2, 6, 8].contains(&code), "{arguments:?} ended with {code}: {talk}");
        (arguments.join(" "), code, talk)
    });
    ran.collect()
}

#[test]
fn a_hostile_log_gets_a_message_and_a_code_and_never_a_panic() {
    let logs = Logs::write();
    let elsewhere = tempfile::tempdir().expect("a directory");
    let copy = |name: &str| {
        let copy = elsewhere.path().join(name);
        copy_all(&logs.home.data(Service::Gateway), &copy);
        let mut segments: Vec<_> = fs::read_dir(copy.join("wal"))
            .expect("there")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        segments.sort();
        (copy, segments)
    };
    let verdict = |ran: &[(String, i32, String)]| ran[2].1;
    let (cut, segments) = copy("cut");
    let bytes = fs::read(&segments[2]).expect("read");
    fs::write(&segments[2], &bytes[..5_000]).expect("written");
    assert_eq!(verdict(&read_with_everything(&cut)), 6);
    let (noise, segments) = copy("noise");
    let mut draws = SplitMix64::new(53);
    let noisy: Vec<u8> = (0..30_000).map(|_| draws.bits() as u8).collect();
    fs::write(&segments[3], noisy).expect("written");
    assert_eq!(verdict(&read_with_everything(&noise)), 6);
    let (mixed, segments) = copy("mixed");
    let other = logs.segments(Service::Bank(bank("HDFC")));
    fs::copy(&other[1], &segments[1]).expect("copied");
    assert_eq!(verdict(&read_with_everything(&mixed)), 6);
    let (newer, segments) = copy("newer");
    let mut bytes = fs::read(&segments[5]).expect("read");
    // Format 2, with the checksum that a writer of it would give its header.
    bytes[8] = 2;
    let salt = wal::Salt(u64::from_le_bytes(bytes[121..129].try_into().expect("eight")));
    let crc = salt.crc(&bytes[..129]);
    bytes[129..133].copy_from_slice(&crc.to_le_bytes());
    fs::write(&segments[5], bytes).expect("written");
    let ran = read_with_everything(&newer);
    assert_eq!(verdict(&ran), 8, "{ran:?}");
    assert!(ran[2].2.contains("newer") || ran[2].2.contains("cannot be believed"), "{ran:?}");
    let (empty, segments) = copy("empty");
    for segment in &segments {
        fs::remove_file(segment).expect("removed");
    }
    assert_eq!(verdict(&read_with_everything(&empty)), 6);
    let (gap, segments) = copy("gap");
    fs::remove_file(&segments[2]).expect("removed");
    assert_eq!(verdict(&read_with_everything(&gap)), 6);
}

#[test]
fn a_record_of_a_later_version_is_listed_by_its_number() {
    let logs = Logs::write();
    let opened = open(&logs.home.data(Service::Gateway));
    let entry = wal::Entry { kind: 77, kind_version: 1, wall_ms: EPOCH_MS, payload: b"later" };
    drop(opened.begin(9, entry).expect("begun"));
    let (code, data, talk) = said(&logs, &["wal", "ls", "--last", "1"]);
    assert!(code == 8 && data.contains("#77"), "{code} {data} {talk}");
    let (code, data, _) = said(&logs, &["wal", "stats"]);
    assert!(code == 0 && data.contains("#77"), "{data}");
}

#[test]
fn a_view_that_shows_what_the_log_does_not_say_is_found() {
    let logs = Logs::write();
    let book = logs.home.database(Service::Bank(bank("HDFC")));
    let database = rusqlite::Connection::open(&book).expect("opened");
    let update = "UPDATE balances SET balance_minor = balance_minor + 1";
    assert_eq!(database.execute(update, []).expect("changed"), 2);
    drop(database);
    let (code, data, talk) = said(&logs, &["wal", "verify"]);
    assert!(code == 6 && data.contains("HDFC: diverged"), "{code} {data} {talk}");
    assert!(data.contains("**********0001 with 9675.51"), "{data}");
    // What it prints, as it prints it.
    let command = data.lines().map(str::trim).find(|line| line.starts_with("rm "));
    let command = command.expect("a command").replace("HOME", &logs.home.root().to_string_lossy());
    let done = std::process::Command::new("sh").args(["-c", &command]).status().expect("ran");
    assert!(done.success());
    logs.make_view(Service::Bank(bank("HDFC")));
    let (code, data, _) = said(&logs, &["wal", "verify"]);
    assert_eq!(code, 0, "{data}");
}

/// Runs what `verify` printed, line by line, in a shell whose home this is.
fn run_as_printed(logs: &Logs, service: Service) -> String {
    let output = strife(&logs.home, &["wal", "verify", &service.to_string()]).output();
    let (code, data, talk) = ended(output.expect("ran"));
    assert_eq!(code, 6, "{data}");
    let helps = data.split("what helps:\n").nth(1).expect("something helps");
    let commands: Vec<&str> =
        helps.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
    let talk = talk.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(talk.contains(commands[0]), "stderr names it, too: {talk}");
    let program = Path::new(env!("CARGO_BIN_EXE_strife")).parent().expect("a directory");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").expect("a path"));
    for command in &commands {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", command]).env("PATH", &path).env("STRIFE_HOME", logs.home.root());
        let (code, data, talk) = ended(shell.output().expect("ran"));
        assert_eq!(code, 0, "{command}: {data} {talk}");
    }
    commands.join("\n")
}

/// What moved money, and how much of it there is.
fn outcomes(state: &str) -> std::collections::BTreeSet<String> {
    let state: serde_json::Value = serde_json::from_str(state).expect("JSON");
    let of = |list: &str| state[list].as_array().expect("a list").clone().into_iter();
    let committed = of("payments").filter(|it| it["state"] == "COMMITTED");
    let payments = committed.map(|it| it["payment"].to_string());
    payments.chain(of("accounts").map(|it| it["balance_minor"].to_string())).collect()
}

type Damage = fn(&mut Vec<u8>);

#[test]
fn what_verify_prints_for_each_kind_of_damage_does_what_it_says() {
    let gateway = Service::Gateway;
    let hdfc = Service::Bank(bank("HDFC"));
    // Which log, which segment, what happens to it, and what is printed.
    let damages: [(Service, usize, Damage, &str); 8] = [
        (gateway, 3, |bytes| bytes[4096 + 90] ^= 4, "strife wal repair gateway"),
        (gateway, 5, |bytes| bytes[4096 + 90] ^= 4, "strife wal repair gateway"),
        (hdfc, 2, |bytes| bytes[8192 + 300] ^= 1, "strife wal repair HDFC"),
        (hdfc, 1, |bytes| bytes[4096..4608].fill(0), "strife wal repair HDFC"),
        (hdfc, 2, |bytes| bytes.truncate(9_000), "strife wal repair HDFC"),
        (gateway, 4, |bytes| bytes[4096..].fill(0xee), "strife wal repair gateway"),
        (gateway, 2, |bytes| bytes[70] ^= 1, "strife rebuild gateway --from-banks"),
        (hdfc, 1, |bytes| bytes[..4096].fill(0), "strife rebuild bank HDFC --from-gateway"),
    ];
    for (service, segment, damage, printed) in damages {
        let logs = Logs::write();
        let before = said(&logs, &["wal", "state", &service.to_string(), "-o", "json"]).1;
        let file = &logs.segments(service)[segment];
        let mut bytes = fs::read(file).expect("read");
        damage(&mut bytes);
        fs::write(file, &bytes).expect("written");
        let ran = run_as_printed(&logs, service);
        assert!(ran.contains(printed), "{service} {segment}: {ran}");
        let (code, data, talk) = said(&logs, &["wal", "verify", "--log-only"]);
        assert_eq!(code, 0, "{service} {segment}: {data} {talk}");
        let after = said(&logs, &["wal", "state", &service.to_string(), "-o", "json"]).1;
        assert!(outcomes(&after).is_superset(&outcomes(&before)), "{service} {segment}: {after}");
        if printed.contains("repair") {
            let kept = fs::read_dir(logs.home.quarantine(service)).expect("there");
            let kept = kept.map(|entry| fs::read(entry.expect("an entry").path()).expect("read"));
            assert!(kept.into_iter().any(|kept| kept == bytes), "the damaged file is kept");
            let (_, listed, _) = said(&logs, &["wal", "ls", &service.to_string(), "--last", "3"]);
            assert!(listed.contains("Mended"), "{listed}");
        }
    }
}

#[test]
fn a_repair_changes_nothing_unless_told_to_nor_beside_a_running_service() {
    let logs = Logs::write();
    let file = &logs.segments(Service::Gateway)[3];
    flip(file, 4096 + 90, 2);
    let damaged = fs::read(file).expect("read");
    insta::assert_snapshot!(
        "wal_verify_damaged",
        crate::wal_cli::golden(&logs, &["wal", "verify", "gateway"])
    );
    insta::assert_snapshot!(
        "wal_repair_dry",
        crate::wal_cli::golden(&logs, &["wal", "repair", "gateway"])
    );
    assert_eq!(fs::read(file).expect("read"), damaged);
    let disk = wal::Disk::new(logs.home.data(Service::Gateway));
    let held = wal::Storage::lock(&disk, "LOCK").expect("asked").expect("free");
    let (code, _, talk) = said(&logs, &["wal", "repair", "gateway", "--apply"]);
    assert!(code == 8 && talk.contains("is locked"), "{code} {talk}");
    assert_eq!(fs::read(file).expect("read"), damaged);
    drop(held);
    insta::assert_snapshot!(
        "wal_repair_applied",
        crate::wal_cli::golden(&logs, &["wal", "repair", "gateway", "--apply"])
    );
    let (code, data, _) = said(&logs, &["wal", "repair", "gateway"]);
    assert!(code == 0 && data.contains("nothing to repair"), "{data}");
}

#[test]
fn a_repair_without_a_second_copy_says_so_and_touches_nothing() {
    let logs = Logs::write();
    fs::remove_file(logs.home.database(Service::Gateway)).expect("removed");
    let file = &logs.segments(Service::Gateway)[3];
    flip(file, 4096 + 90, 2);
    let damaged = fs::read(file).expect("read");
    let (code, _, talk) = said(&logs, &["wal", "repair", "gateway", "--apply"]);
    assert!(code == 6 && talk.contains("no second copy"), "{code} {talk}");
    assert_eq!(fs::read(file).expect("read"), damaged);
}
