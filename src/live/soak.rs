//! Services killed and stopped at random under clients that pay, and the proof afterwards.
//!
//! ```text
//!   chaos     every 200 ms or so: SIGKILL or SIGSTOP for anybody; started again, woken up
//!   clients   pay, ask, look at balances; remember every answer and when it came
//!   then      heal; every id to its end; audit; the history against the logs; the money
//! ```
//!
//! A service that ends by itself has found something that cannot be: that fails the soak.

use super::cluster::Cluster;
use super::history::{self, Call, Checked, Told};
use super::payer::{Heard, Payer};
use super::scene::{Place, Scene, What};
use crate::errors::{Exit, Failure};
use crate::home::{Home, Service};
use nix::sys::signal::Signal;
use serde::Serialize;
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wal::splitmix::SplitMix64;

/// Clients of the demo.
pub const CLIENTS_MAX: u32 = 12;
/// Services that are down or stand still at the same time, at most.
const DOWN_MAX: usize = 2;
/// How often chaos looks whether something is due.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How a soak is run.
#[derive(Copy, Clone, Debug)]
pub struct Plan {
    pub duration: Duration,
    pub clients: u32,
    /// Between two faults, on average.
    pub every: Duration,
}

/// What a soak came to.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    pub ok: bool,
    pub seed: u64,
    pub duration_ms: u64,
    pub clients: u32,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Ids that were asked for.
    pub payments: u64,
    /// Told COMMITTED, and told ABORTED, in the end.
    pub acked: u64,
    pub aborted: u64,
    /// Ids of which a client could not know whether they had gone through, and how many have an
    /// answer now.
    pub unknown: u64,
    pub resolved: u64,
    /// Calls that were refused or not sent, because somebody was away: nothing was begun by them.
    pub put_off: u64,
    /// From the first call for an id to its first final answer, at the longest.
    pub longest_settle_ms: u64,
    /// From the last fault until nothing was in doubt and nothing held.
    pub healed_ms: u64,
    pub history: Checked,
    pub problem: String,
    /// Where the home was left, when not all went well.
    pub home: Option<PathBuf>,
    #[serde(skip)]
    pub exit: Exit,
}

/// How far a soak has come.
#[derive(Copy, Clone, Debug)]
pub struct Progress {
    pub elapsed: Duration,
    pub faults: u64,
    pub payments: u64,
}

/// Runs it. `tell` hears now and then how far it has come.
pub fn soak(place: &Place, plan: &Plan, tell: &dyn Fn(Progress)) -> Result<Summary, Failure> {
    let mut scene = Scene::set(place)?;
    scene.payers.clear();
    scene.begin()?;
    let mut summary = Summary {
        ok: false,
        seed: place.seed,
        duration_ms: plan.duration.as_millis() as u64,
        clients: plan.clients,
        faults: BTreeMap::new(),
        payments: 0,
        acked: 0,
        aborted: 0,
        unknown: 0,
        resolved: 0,
        put_off: 0,
        longest_settle_ms: 0,
        healed_ms: 0,
        history: Checked::default(),
        problem: String::new(),
        home: None,
        exit: Exit::Done,
    };
    match suffer(&mut scene, place.seed, plan, tell, &mut summary) {
        Ok(()) => summary.ok = true,
        Err(failure) => {
            summary.problem = format!("{} {}", failure.what, failure.todo);
            summary.exit = failure.exit;
            summary.home = Some(scene.cluster.keep());
        }
    }
    Ok(summary)
}

fn suffer(
    scene: &mut Scene,
    seed: u64,
    plan: &Plan,
    tell: &dyn Fn(Progress),
    summary: &mut Summary,
) -> Result<(), Failure> {
    let (stop, paid, began) = (AtomicBool::new(false), AtomicU64::new(0), Instant::now());
    let home = scene.cluster.home().clone();
    let mut chaos = Chaos::new(seed);
    let (outcome, clients) = thread::scope(|scope| {
        let (home, stop, paid) = (&home, &stop, &paid);
        let numbers = 1..=plan.clients.clamp(1, CLIENTS_MAX);
        let clients: Vec<_> = numbers
            .map(|number| scope.spawn(move || client(home, number, seed, began, stop, paid)))
            .collect();
        let outcome = chaos.reign(&mut scene.cluster, plan, |faults| {
            let payments = paid.load(Ordering::Relaxed);
            tell(Progress { elapsed: began.elapsed(), faults, payments });
        });
        stop.store(true, Ordering::Release);
        let broken = || Failure::plain(Exit::Unexpected, "a client broke down");
        let clients: Result<Vec<_>, Failure> =
            clients.into_iter().map(|done| done.join().unwrap_or_else(|_| Err(broken()))).collect();
        (outcome, clients)
    });
    summary.faults = std::mem::take(&mut chaos.counts);
    outcome?;
    let (payers, calls): (Vec<_>, Vec<_>) = clients?.into_iter().unzip();
    let mut calls = calls.concat();
    scene.payers = payers;
    scene.mark(What::Restart, "all faults stop");
    scene.healed();
    chaos.heal(&mut scene.cluster)?;
    let settled = scene.conclude()?;
    count(&scene.payers, &calls, began, summary);
    calls.extend(last_words(&scene.payers, began.elapsed()));
    summary.healed_ms = settled.settled.as_millis() as u64;
    summary.history = history::check(scene.cluster.home(), scene.cluster.config(), &calls)?;
    Ok(())
}

/// Everything that was heard while settling, as calls that prove no order in time.
fn last_words(payers: &[Payer], end: Duration) -> Vec<Call> {
    let mut calls = Vec::new();
    for payer in payers {
        for (id, asked) in payer.asked() {
            calls.extend(asked.heard.iter().filter(|heard| heard.is_final()).map(|heard| Call {
                client: payer.number(),
                invoked: Duration::ZERO,
                returned: end,
                told: Told::Payment {
                    id: id.clone(),
                    payee: asked.payee,
                    amount_minor: asked.amount_minor,
                    heard: heard.clone(),
                },
            }));
        }
    }
    calls
}

fn count(payers: &[Payer], calls: &[Call], began: Instant, summary: &mut Summary) {
    let end = began.elapsed();
    let mut first = BTreeMap::<(u32, &str), (Duration, Option<Duration>)>::new();
    for call in calls {
        let Told::Payment { id, heard, .. } = &call.told else { continue };
        let entry = first.entry((call.client, id)).or_insert((call.invoked, None));
        entry.0 = entry.0.min(call.invoked);
        if heard.is_final() {
            entry.1 = Some(entry.1.map_or(call.returned, |at| at.min(call.returned)));
        }
    }
    for payer in payers {
        for (id, asked) in payer.asked() {
            summary.payments += 1;
            let doubtful =
                asked.heard.iter().any(|heard| matches!(heard, Heard::Unknown(_) | Heard::Pending));
            let put_off =
                |heard: &&Heard| matches!(heard, Heard::Refused { .. } | Heard::NotSent(_));
            summary.put_off += asked.heard.iter().filter(put_off).count() as u64;
            summary.unknown += u64::from(doubtful);
            let Some(answer) = asked.answer() else { continue };
            summary.resolved += u64::from(doubtful);
            summary.acked += u64::from(answer.is_committed());
            summary.aborted += u64::from(!answer.is_committed());
            let times = first.get(&(payer.number(), id.as_str()));
            let took = times.map(|(asked, told)| told.unwrap_or(end).saturating_sub(*asked));
            let took_ms = took.unwrap_or_default().as_millis() as u64;
            summary.longest_settle_ms = summary.longest_settle_ms.max(took_ms);
        }
    }
}

/// One client, until it is told to stop: its memory, and every call that it made.
fn client(
    home: &Home,
    number: u32,
    seed: u64,
    began: Instant,
    stop: &AtomicBool,
    paid: &AtomicU64,
) -> Result<(Payer, Vec<Call>), Failure> {
    let mut payer = Payer::new(home, number)?;
    let mut draws = SplitMix64::new(seed ^ u64::from(number) << 32);
    let (mut calls, mut open) = (Vec::new(), Vec::<String>::new());
    let mut made = 0;
    while !stop.load(Ordering::Acquire) {
        let invoked = began.elapsed();
        let told = if draws.below(5) == 0 {
            payer.balance().map(Told::Balance)
        } else {
            // What is open comes first, as it would for a person.
            let again = !open.is_empty() && draws.below(4) > 0;
            let id = if again {
                open.swap_remove(draws.below(open.len() as u64) as usize)
            } else {
                made += 1;
                paid.fetch_add(1, Ordering::Relaxed);
                format!("soak-{made}")
            };
            Some(pay(&mut payer, &mut draws, id, &mut open))
        };
        let returned = began.elapsed();
        match told {
            Some(told) => calls.push(Call { client: number, invoked, returned, told }),
            None => thread::sleep(LOOK_EVERY),
        }
    }
    Ok((payer, calls))
}

/// Pays under `id`; an id without an outcome is kept, to be asked for again.
fn pay(payer: &mut Payer, draws: &mut SplitMix64, id: String, open: &mut Vec<String>) -> Told {
    let before = payer.asked().get(&id).map(|asked| (asked.payee, asked.amount_minor));
    let (payee, amount_minor) = before.unwrap_or_else(|| {
        let others = u64::from(CLIENTS_MAX) - 1;
        let payee = (payer.number() + draws.below(others) as u32) % CLIENTS_MAX + 1;
        (payee, 1 + draws.below(5_000) as i64)
    });
    let heard = payer.pay(&id, payee, amount_minor);
    if matches!(heard, Heard::Refused { .. } | Heard::NotSent(_)) {
        thread::sleep(LOOK_EVERY * 5);
    }
    if !heard.is_final() {
        open.push(id.clone());
    }
    Told::Payment { id, payee, amount_minor, heard }
}

/// What is done to the services.
struct Chaos {
    draws: SplitMix64,
    counts: BTreeMap<&'static str, u64>,
    /// What is down or stands still, and until when.
    down: BTreeMap<Service, (Signal, Instant)>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        Self { draws: SplitMix64::new(seed), counts: BTreeMap::new(), down: BTreeMap::new() }
    }

    fn reign(
        &mut self,
        cluster: &mut Cluster,
        plan: &Plan,
        tell: impl Fn(u64),
    ) -> Result<(), Failure> {
        let end = Instant::now() + plan.duration;
        let services = cluster.services();
        let mut strike = Instant::now() + plan.every;
        while Instant::now() < end {
            thread::sleep(LOOK_EVERY);
            self.undo(cluster, Instant::now())?;
            self.nobody_gave_up(cluster, &services)?;
            if Instant::now() < strike {
                continue;
            }
            let half_ms = plan.every.as_millis() as u64 / 2;
            strike =
                Instant::now() + Duration::from_millis(half_ms + self.draws.below(2 * half_ms));
            let victim = services[self.draws.below(services.len() as u64) as usize];
            if self.down.len() < DOWN_MAX && !self.down.contains_key(&victim) {
                self.strike(cluster, victim)?;
            }
            tell(self.counts.values().sum());
        }
        Ok(())
    }

    fn strike(&mut self, cluster: &mut Cluster, victim: Service) -> Result<(), Failure> {
        let gateway = victim == Service::Gateway;
        let (signal, kind, for_ms) = if self.draws.below(3) == 0 {
            let kind = if gateway { "SIGSTOP gateway" } else { "SIGSTOP bank" };
            (Signal::SIGSTOP, kind, 50 + self.draws.below(1_200))
        } else {
            let kind = if gateway { "SIGKILL gateway" } else { "SIGKILL bank" };
            (Signal::SIGKILL, kind, self.draws.below(300))
        };
        cluster.signal(victim, signal)?;
        *self.counts.entry(kind).or_default() += 1;
        self.down.insert(victim, (signal, Instant::now() + Duration::from_millis(for_ms)));
        Ok(())
    }

    /// Starts again and wakes up whose time it is.
    fn undo(&mut self, cluster: &mut Cluster, now: Instant) -> Result<(), Failure> {
        let due: Vec<_> = self.down.iter().filter(|(_, (_, until))| *until <= now).collect();
        let due: Vec<_> =
            due.into_iter().map(|(service, (signal, _))| (*service, *signal)).collect();
        for (service, signal) in due {
            self.down.remove(&service);
            if signal == Signal::SIGSTOP {
                cluster.signal(service, Signal::SIGCONT)?;
            } else {
                cluster.wait_ended(service, Duration::from_secs(10))?;
                cluster.spawn(service, None)?;
            }
        }
        Ok(())
    }

    fn nobody_gave_up(&self, cluster: &mut Cluster, services: &[Service]) -> Result<(), Failure> {
        for service in services.iter().filter(|service| !self.down.contains_key(service)) {
            if cluster.is_running(*service) {
                continue;
            }
            let status = cluster.wait_ended(*service, Duration::ZERO)?;
            if status.signal() != Some(Signal::SIGKILL as i32) {
                let what = format!("{service} has given up by itself: {status}");
                return Err(Failure::plain(Exit::Damaged, what).todo(cluster.talk(*service)));
            }
        }
        Ok(())
    }

    /// Everybody is awake and serves.
    fn heal(&mut self, cluster: &mut Cluster) -> Result<(), Failure> {
        let far = Instant::now() + Duration::from_hours(1);
        self.undo(cluster, far)?;
        cluster.start_all()?;
        cluster.services().into_iter().try_for_each(|service| cluster.wait_ready(service))
    }
}
