//! System calls of the real program that fail: the N-th of its kind with EIO or ENOSPC, or the
//! process is killed in it; during a start and under payments.
//!
//! `STRIFE_SWEEP=all` goes through every N of every kind, until the program makes no such call any
//! more. Otherwise a fifth of the first hundred and more is taken, another each day.

use crate::support::edge::{has_tool, skipped};
use crate::support::live::{Stage, good};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use strife::home::Service;
use strife::live::Scene;

/// Of one kind, beyond the last that the program is seen to make.
const NTH_MAX: u32 = 60;
/// Cases of one sweep that are taken, unless all are wanted.
const CASES: usize = 24;
/// A victim that has not said anything by then goes on without its fault.
const READY_MAX: Duration = Duration::from_secs(30);

const CALLS: [&str; 5] = ["fdatasync", "pwrite64", "rename", "openat", "unlink"];
const FAULTS: [&str; 3] = ["error=EIO", "error=ENOSPC", "signal=SIGKILL"];

fn can_trace() -> bool {
    if !has_tool("strace") {
        return false;
    }
    let allowed = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    if allowed.is_ok_and(|status| status.success()) {
        return true;
    }
    skipped("strace");
    false
}

/// One fault: which call, how it fails, and the how-many-th.
#[derive(Copy, Clone, Debug)]
struct Case {
    call: &'static str,
    fault: &'static str,
    nth: u32,
}

impl Case {
    fn wrapper(&self, seen: &Path) -> Vec<OsString> {
        let Self { call, fault, nth } = self;
        // The tracer is a grandchild: the process id is the program's own.
        let mut words: Vec<OsString> =
            ["strace", "-D", "-f", "-qq", "-o"].map(OsString::from).into();
        words.push(seen.into());
        words.extend(["-e".into(), format!("trace={call}").into()]);
        words.extend(["-e".into(), format!("inject={call}:{fault}:when={nth}").into()]);
        words
    }
}

/// Did a call fail because it was told to?
fn failed(seen: &Path) -> bool {
    fs::read_to_string(seen).unwrap_or_default().contains("(INJECTED)")
}

/// Those that are taken today, in an order that takes every kind of call and fault in turn.
fn todays() -> Vec<Case> {
    let all = (1..=NTH_MAX).flat_map(|nth| {
        CALLS.iter().flat_map(move |call| FAULTS.iter().map(move |fault| Case { call, fault, nth }))
    });
    if std::env::var("STRIFE_SWEEP").is_ok_and(|all| all == "all") {
        return all.collect();
    }
    let days = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() / 86_400;
    let fifth = |(at, _): &(usize, Case)| *at as u64 % 5 == days % 5;
    let taken = all.take(CASES * 5).enumerate().filter(fifth).map(|(_, case)| case);
    taken.collect()
}

/// Starts `victim` with its fault before it, pays, and makes it well again.
fn suffer(scene: &mut Scene, victim: Service, case: &Case) -> bool {
    let seen = scene.cluster.home().root().with_file_name("strace.out");
    let _ = fs::remove_file(&seen);
    good(scene.cluster.kill(victim));
    scene.cluster.wrap(victim, case.wrapper(&seen));
    good(scene.cluster.spawn(victim, None));
    let until = std::time::Instant::now() + READY_MAX;
    while scene.cluster.is_running(victim)
        && scene.cluster.home().running(victim).is_none()
        && std::time::Instant::now() < until
    {
        std::thread::sleep(Duration::from_millis(10));
    }
    for _ in 0..2 {
        // So little that the payer has enough for every case there is.
        scene.pay_minor(1);
    }
    let killed = case.fault.starts_with("signal") && !scene.cluster.is_running(victim);
    good(scene.cluster.kill(victim));
    scene.cluster.wrap(victim, Vec::new());
    if let Err(failure) = scene.restart(victim) {
        panic!("{victim} does not start again after {case:?}: {failure:?}");
    }
    killed || failed(&seen)
}

fn sweep(victim: Service) {
    if !can_trace() {
        return;
    }
    let mut stage = Stage::begin();
    good(stage.scene.pay_for_sure());
    let (mut struck, mut tried, mut over) = (0, 0, BTreeSet::new());
    for case in todays() {
        if over.contains(&(case.call, case.fault)) {
            continue;
        }
        tried += 1;
        if suffer(&mut stage.scene, victim, &case) {
            struck += 1;
        } else {
            // It makes no so many calls of that kind.
            over.insert((case.call, case.fault));
        }
        good(stage.scene.wait_quiet());
    }
    good(stage.scene.conclude());
    println!("{victim}: {struck} of {tried} system calls failed as they were told to");
    assert!(struck > 0, "no system call failed: nothing is shown");
}

#[test]
fn no_failing_system_call_of_the_gateway_loses_anything() {
    sweep(Service::Gateway);
}

#[test]
fn no_failing_system_call_of_a_bank_loses_anything() {
    sweep(Service::Bank("HDFC".parse().expect("a bank")));
}
