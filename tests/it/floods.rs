//! Attacks on the open port, bounded in count and time, while others pay.
//!
//! What is asserted holds on any machine: the others' payments go on and all commit, the gateway is
//! the same process afterwards, and its memory has a bound. How much slower they were is printed.

use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, Flooded, HEADERS, PING, RST_STREAM, SETTINGS, call, flood,
    frame, kinds, say,
};
use crate::support::live::{Turn, good, place};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use strife::config::Address;
use strife::home::{Home, Service};
use strife::live::{Heard, Payer, Scene};
use tokio::net::TcpStream;

/// On a machine that does much else, an answer may take longer than a client waits for it.
const PATIENCE: Duration = Duration::from_mins(1);
const CALM: Duration = Duration::from_secs(3);
const ATTACK: Duration = Duration::from_secs(4);
/// What the gateway may take beyond what it had, whatever is thrown at it.
const GROWTH_KIB_MAX: u64 = 192 << 10;
const CHECK: &str = "/grpc.health.v1.Health/Check";
const SIGN_IN: &str = "/strife.v1.PaymentGateway/RegisterClient";

/// How long one payment took, and when it was over.
struct Paid {
    at: Instant,
    took: Duration,
    heard: Heard,
}

struct Bystander {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<(Payer, Vec<Paid>)>,
}

impl Bystander {
    /// client3 pays client4 and asks nobody what goes on.
    fn begin(home: &Home) -> Self {
        let (stop, home) = (Arc::new(AtomicBool::new(false)), home.clone());
        let until = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut payer, mut all) = (good(Payer::new(&home, 3)), Vec::new());
            while !until.load(Ordering::Relaxed) {
                let began = Instant::now();
                let id = format!("calm-{}", all.len());
                let mut heard = payer.pay(&id, 4, 1);
                while !heard.is_final() && began.elapsed() < PATIENCE {
                    heard = payer.pay(&id, 4, 1);
                }
                all.push(Paid { at: Instant::now(), took: began.elapsed(), heard });
            }
            (payer, all)
        });
        Self { stop, thread }
    }

    fn end(self) -> (Payer, Vec<Paid>) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("unbroken")
    }
}

/// Of `paid` in an interval: how many, the middle and the slowest but one in a hundred.
fn figures(paid: &[Paid], within: std::ops::Range<Instant>) -> (usize, Duration, Duration) {
    let here = paid.iter().filter(|paid| within.contains(&paid.at));
    let mut took: Vec<Duration> = here.map(|paid| paid.took).collect();
    took.sort_unstable();
    let at = |share: f64| {
        let place = (took.len() as f64 * share) as usize;
        took.get(place.min(took.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    (took.len(), at(0.5), at(0.99))
}

fn resident_kib(home: &Home) -> u64 {
    let pid = home.running(Service::Gateway).expect("running").pid;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("alive");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

/// Has others pay before, during and after `attack`, and holds the gateway to its promises.
fn endure<T: std::fmt::Debug>(
    name: &str,
    adjust: impl FnOnce(&mut strife::config::Config),
    attack: impl AsyncFn(&Home, &Address, Instant) -> T,
) -> T {
    let _turn = Turn::alone();
    let mut scene = good(Scene::set_with(&place(11), |config| {
        config.wal.segment_bytes = 8 << 20;
        config.gateway.two_phase_timeout_ms = 10_000;
        config.gateway.settle_wait_ms = 10_000;
        adjust(config);
    }));
    good(scene.begin());
    good(scene.pay_for_sure());
    let home = scene.cluster.home().clone();
    let gateway = home.running(Service::Gateway).expect("running");
    let bystander = Bystander::begin(&home);
    let calm = Instant::now();
    std::thread::sleep(CALM);
    let (began, before_kib) = (Instant::now(), resident_kib(&home));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let told = runtime.block_on(attack(&home, &gateway.address, began + ATTACK));
    let (ended, during_kib) = (Instant::now(), resident_kib(&home));
    drop(runtime);
    std::thread::sleep(CALM);
    let after = Instant::now();
    let (payer, paid) = bystander.end();
    println!("{name}: {told:?}");
    let times = [("before", calm..began), ("during", began..ended), ("after", ended..after)];
    let [before, ..] = times.each_ref().map(|(_, within)| figures(&paid, within.clone()));
    for (when, within) in times {
        let (count, middle, slow) = figures(&paid, within);
        let ratio = |is: Duration, was: Duration| is.as_secs_f64() / was.as_secs_f64();
        let (more, worse) = (ratio(middle, before.1), ratio(slow, before.2));
        println!(
            "  {when}: {count} payments, p50 {middle:?} ({more:.1}x), p99 {slow:?} ({worse:.1}x)"
        );
        assert!(count > 0, "{name}: nobody could pay {when}");
    }
    println!("  resident: {before_kib} KiB before, {during_kib} KiB at its end");
    assert!(during_kib < before_kib + GROWTH_KIB_MAX, "{name}: {before_kib} to {during_kib} KiB");
    let lost: Vec<_> = paid.iter().filter(|paid| !paid.heard.is_committed()).collect();
    assert!(lost.is_empty(), "{name}: {} payments of {} failed", lost.len(), paid.len());
    let still = home.running(Service::Gateway).expect("running");
    assert_eq!(still.pid, gateway.pid, "{name}: it is the same process");
    scene.payers.push(payer);
    good(scene.conclude());
    told
}

#[test]
fn streams_opened_and_reset_at_once_end_the_connection_that_does_it_and_nothing_else() {
    let told: Flooded = endure(
        "rapid reset",
        |_| {},
        async |home, address, end| {
            flood(home.clone(), address.clone(), end, false, |stream| {
                let open = frame(HEADERS, END_HEADERS, stream, &call(CHECK));
                [open, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
            })
            .await
        },
    );
    assert!(told.cut_off > 0, "{told:?}");
}

#[test]
fn headers_without_an_end_are_cut_off() {
    let told: Flooded = endure(
        "CONTINUATION",
        |_| {},
        async |home, address, end| {
            flood(home.clone(), address.clone(), end, false, |stream| {
                if stream == 1 {
                    return frame(HEADERS, 0, 1, &call(CHECK));
                }
                // Names of one letter with an empty value.
                frame(CONTINUATION, 0, 1, &[0, 1, b'x', 0].repeat(256))
            })
            .await
        },
    );
    assert!(told.cut_off > 0, "{told:?}");
}

#[test]
fn floods_of_frames_that_say_nothing_hold_nobody_up() {
    let told: (Flooded, Flooded, Flooded) = endure(
        "empty DATA, PING and SETTINGS",
        |_| {},
        async |home, address, end| {
            let of = |deaf: bool, next: fn(u32) -> Vec<u8>| {
                flood(home.clone(), address.clone(), end, deaf, next)
            };
            let empty = of(false, |stream| match stream {
                1 => frame(HEADERS, END_HEADERS, 1, &call(SIGN_IN)),
                _ => frame(DATA, 0, 1, &[]),
            });
            let pings = of(true, |_| frame(PING, 0, 0, &[7; 8]));
            let settings = of(true, |_| frame(SETTINGS, 0, 0, &[]));
            tokio::join!(empty, pings, settings)
        },
    );
    assert!([told.0, told.1, told.2].iter().all(|flooded| flooded.cut_off > 0), "{told:?}");
}

#[test]
fn those_who_ask_and_never_read_take_their_own_room_only() {
    endure(
        "slow reading",
        |_| {},
        async |home, address, end| {
            let ask = |stream| {
                let body = frame(DATA, 1, stream, &[0; 5]);
                [frame(HEADERS, END_HEADERS, stream, &call(CHECK)), body].concat()
            };
            let one = || flood(home.clone(), address.clone(), end, true, ask);
            futures_util::future::join_all((0..8).map(|_| one())).await
        },
    );
}

#[test]
fn three_hundred_silent_sockets_and_a_gibibyte_announced_cost_next_to_nothing() {
    let answered = endure(
        "silence and 1 GiB",
        |_| {},
        async |home, address, end| {
            let mut silent = Vec::new();
            for _ in 0..300 {
                silent.push(TcpStream::connect((address.host(), address.port())).await);
            }
            let message = [&[0][..], &(1_u32 << 30).to_be_bytes(), &[0; 1000]].concat();
            let mut answered = 0;
            while Instant::now() < end {
                let bytes: Vec<u8> = (0..64)
                    .flat_map(|number| {
                        let stream = 1 + 2 * number;
                        let head = frame(HEADERS, END_HEADERS, stream, &call(SIGN_IN));
                        [head, frame(DATA, 0, stream, &message)].concat()
                    })
                    .collect();
                let heard = say(home, address, &bytes, Duration::from_millis(700)).await;
                answered += kinds(&heard).filter(|kind| *kind == HEADERS).count();
            }
            drop(silent);
            answered
        },
    );
    assert!(answered > 0, "a call that announces too much is refused, and not waited for");
}

#[test]
fn a_gateway_that_runs_out_of_descriptors_serves_those_it_has_and_recovers() {
    let _turn = Turn::alone();
    let keep = tempfile::tempdir().expect("a directory");
    let script = keep.path().join("strife");
    let text = format!("#!/bin/sh\nulimit -n 64\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_strife"));
    std::fs::write(&script, text).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&script, mode).expect("changed");
    let place = strife::live::Place { program: script, ..place(12) };
    let mut scene = good(Scene::set_with(&place, |config| {
        config.limits.handshake_timeout_ms = 1_000;
    }));
    good(scene.begin());
    good(scene.pay_for_sure());
    let home = scene.cluster.home().clone();
    let gateway = home.running(Service::Gateway).expect("running");
    let bystander = Bystander::begin(&home);
    std::thread::sleep(Duration::from_secs(1));
    let begun = Instant::now();
    let sockets: Vec<_> = (0..200)
        .filter_map(|_| std::net::TcpStream::connect(gateway.address.to_string()).ok())
        .collect();
    std::thread::sleep(Duration::from_secs(3));
    let ended = Instant::now();
    drop(sockets);
    let (payer, paid) = bystander.end();
    let (count, middle, slow) = figures(&paid, begun..ended);
    println!("64 descriptors: {count} payments during, p50 {middle:?}, p99 {slow:?}");
    assert!(count > 0 && paid.iter().all(|paid| paid.heard.is_committed()));
    // Segments were begun meanwhile: the log had the descriptors that it needs.
    scene.payers.push(payer);
    let mut newcomer = good(Payer::new(&home, 5));
    let until = Instant::now() + Duration::from_secs(30);
    while !newcomer.pay("after", 6, 1).is_final() {
        assert!(Instant::now() < until, "nobody is let in any more");
    }
    scene.payers.push(newcomer);
    assert_eq!(home.running(Service::Gateway).expect("running").pid, gateway.pid);
    good(scene.conclude());
}
