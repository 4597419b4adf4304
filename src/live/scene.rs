//! A cluster with clients that pay, and the proof at the end that nothing was lost.
//!
//! The proof: every id has one final answer, and the same one again; every log agrees with every
//! other, beside the running services and again when they have stopped; nothing is held; and what
//! is on the accounts is what the answers say, whatever the logs say. Refuses to know what went
//! wrong meanwhile.

use super::cluster::Cluster;
use super::payer::{Heard, Payer, expected_minor};
use super::process::LOOK_EVERY;
use crate::config::Config;
use crate::errors::{Exit, Failure};
use crate::home::Service;
use crate::inspect::audit::{self, Findings, Money};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// By then every payment has ended, every hold is settled, and every bank answers.
const SETTLE_MAX: Duration = Duration::from_mins(1);
/// By then a process that is to die has died.
const DEATH_MAX: Duration = Duration::from_mins(1);
/// Between the breaking of a connection and the death behind it.
const DYING_MAX: Duration = Duration::from_millis(300);
/// Payments on the way to a crash point, at most.
const ATTEMPTS_MAX: u32 = 60;

/// Where scenes are set.
#[derive(Clone, Debug)]
pub struct Place {
    /// The `strife` that is started.
    pub program: PathBuf,
    /// Each home is made below this directory.
    pub parent: PathBuf,
    /// The amounts and the counts are drawn from it.
    pub seed: u64,
}

/// How a scene ended well.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Settled {
    /// From the last restart until nothing was in doubt and nothing held.
    pub settled: Duration,
    pub payments: u64,
    pub money: Money,
}

/// Something that happened in a scene.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Moment {
    /// Since the cluster was begun.
    pub at_ms: u64,
    pub kind: What,
    pub what: String,
}

/// What kind of thing.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// All run, and are sound.
    Begun,
    /// The fault that the drill is about.
    Fault,
    /// It is undone, or what it took is started again.
    Restart,
    /// What was started again serves again.
    Recovered,
    /// Nothing is in doubt and nothing held.
    Settled,
    /// The logs agree and the money is there.
    Audited,
}

/// A cluster and two of its clients: client1 at HDFC and client2 at ICICI.
#[derive(Debug)]
pub struct Scene {
    pub cluster: Cluster,
    pub payers: Vec<Payer>,
    draws: wal::splitmix::SplitMix64,
    ids: u32,
    last: Option<String>,
    since: Instant,
    began: Instant,
    moments: Vec<Moment>,
}

impl Scene {
    /// A home with nothing running.
    pub fn set(place: &Place) -> Result<Self, Failure> {
        Self::set_with(place, |_| {})
    }

    pub fn set_with(place: &Place, adjust: impl FnOnce(&mut Config)) -> Result<Self, Failure> {
        let cluster = Cluster::make(&place.program, &place.parent, adjust)?;
        let payers = [1, 2].map(|number| Payer::new(cluster.home(), number));
        let payers = payers.into_iter().collect::<Result<_, _>>()?;
        let draws = wal::splitmix::SplitMix64::new(place.seed);
        let (since, began) = (Instant::now(), Instant::now());
        Ok(Self { cluster, payers, draws, ids: 0, last: None, since, began, moments: Vec::new() })
    }

    /// Writes down what happens now.
    pub fn mark(&mut self, kind: What, what: impl Into<String>) {
        let at_ms = self.began.elapsed().as_millis() as u64;
        self.moments.push(Moment { at_ms, kind, what: what.into() });
    }

    /// All that was written down.
    pub fn moments(&self) -> &[Moment] {
        &self.moments
    }

    /// Starts everything.
    pub fn begin(&mut self) -> Result<(), Failure> {
        self.cluster.start_all()?;
        self.mark(What::Begun, "all services are ready");
        Ok(())
    }

    /// Starts everything, with one service that will die at a point.
    pub fn begin_armed(&mut self, victim: Service, crash_at: &str) -> Result<(), Failure> {
        self.cluster.spawn(victim, Some(crash_at))?;
        self.cluster.start_all()?;
        self.cluster.wait_ready(victim)?;
        self.mark(What::Begun, format!("all services are ready, {victim} to die {crash_at}"));
        Ok(())
    }

    /// One of `count`, by the seed.
    pub fn draw(&mut self, count: u64) -> u64 {
        self.draws.below(count)
    }

    fn fresh_id(&mut self) -> String {
        self.ids += 1;
        format!("drill-{}", self.ids)
    }

    /// client1 pays client2.
    pub fn pay(&mut self) -> Heard {
        let amount_minor = 1 + self.draw(50_000) as i64;
        self.pay_minor(amount_minor)
    }

    /// client1 pays client2 this much, as far as it goes.
    pub fn pay_minor(&mut self, amount_minor: i64) -> Heard {
        let id = self.fresh_id();
        let heard = self.payers[0].pay(&id, 2, amount_minor);
        self.last = Some(id);
        heard
    }

    /// Pays until a payment is committed: the banks may still be on their way.
    pub fn pay_for_sure(&mut self) -> Result<(), Failure> {
        let mut id = self.fresh_id();
        let until = Instant::now() + SETTLE_MAX;
        loop {
            let heard = self.payers[0].pay(&id, 2, 1_00);
            if heard.is_committed() {
                self.last = Some(id);
                return Ok(());
            }
            // An abort is final for this id; the next has another chance.
            if matches!(heard, Heard::Aborted { .. }) {
                id = self.fresh_id();
            }
            if Instant::now() >= until {
                let what = format!("no payment goes through any more: {heard:?}");
                return Err(Failure::plain(Exit::Damaged, what));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// client3 of Axis pays client4 of Canara, some times over where the machine is too busy for
    /// the banks to vote in time.
    pub fn other_banks(&mut self) -> Result<Heard, Failure> {
        const TRIES_MAX: u32 = 5;
        let mut payer = Payer::new(self.cluster.home(), 3)?;
        let mut heard = Heard::Pending;
        for _ in 0..TRIES_MAX {
            heard = payer.pay(&self.fresh_id(), 4, 1_00);
            if heard.is_committed() {
                break;
            }
        }
        self.payers.push(payer);
        Ok(heard)
    }

    /// The id of the last payment that was begun.
    pub fn last_id(&self) -> String {
        self.last.clone().unwrap_or_default()
    }

    /// What client1 was told last of `id`, or is told now.
    pub fn ask(&mut self, id: &str) -> Heard {
        self.payers[0].ask(id)
    }

    /// Pays until `victim` is dead, by its own hand. The last payment is the one it died of.
    pub fn pay_until_dead(&mut self, victim: Service, amount_minor: i64) -> Result<(), Failure> {
        let until = Instant::now() + DEATH_MAX;
        for _ in 0..ATTEMPTS_MAX {
            if Instant::now() >= until || !self.cluster.is_running(victim) {
                break;
            }
            let before = self.last.clone();
            let heard = self.pay_minor(amount_minor);
            if matches!(heard, Heard::Unknown(_)) {
                // Most likely this was it, and it is dead in a moment: no payment behind it.
                let _ = self.cluster.wait_ended(victim, DYING_MAX);
            }
            // Nothing was begun: the banks are not all there yet, or the victim died just before.
            if matches!(heard, Heard::Refused { .. } | Heard::NotSent(_)) {
                self.last = before;
                std::thread::sleep(LOOK_EVERY);
            }
        }
        self.died(victim)
    }

    /// Waits for the death of `victim`, which must be by SIGKILL.
    pub fn died(&mut self, victim: Service) -> Result<(), Failure> {
        let missed = |error: Failure| {
            let what = format!("the crash point was never reached: {}", error.what);
            Failure::plain(Exit::Unexpected, what)
        };
        let status = self.cluster.wait_ended(victim, DEATH_MAX).map_err(missed)?;
        if status.signal() == Some(Signal::SIGKILL as i32) {
            self.mark(What::Fault, format!("{victim} is dead of SIGKILL"));
            return Ok(());
        }
        let what = format!("{victim} was to die of SIGKILL, and ended with {status}");
        Err(Failure::plain(Exit::Unexpected, what).todo(self.cluster.talk(victim)))
    }

    /// Starts `service` again; says how long its recovery took. Settling is counted from here.
    pub fn restart(&mut self, service: Service) -> Result<Duration, Failure> {
        self.mark(What::Restart, format!("{service} is started again"));
        let took = self.cluster.start(service, None)?;
        self.since = Instant::now();
        self.mark(What::Recovered, format!("{service} has read its log and serves"));
        Ok(took)
    }

    /// Settling is counted from now.
    pub fn healed(&mut self) {
        self.since = Instant::now();
        self.mark(What::Restart, "the fault is over");
    }

    /// The proof. Everything must be running; everything has stopped afterwards.
    pub fn conclude(&mut self) -> Result<Settled, Failure> {
        self.settle_payers()?;
        let quiet = self.wait_quiet()?;
        let settled = self.since.elapsed();
        self.mark(What::Settled, "every id is answered, nothing in doubt, nothing held");
        self.pay_for_sure()?;
        self.wait_quiet()?;
        self.check_money()?;
        self.cluster.stop_all()?;
        let findings = audit::audit(self.cluster.home(), self.cluster.config())?;
        check(&findings)?;
        if !findings.is_quiet() {
            let what = format!("after a clean stop something is in doubt: {findings:?}");
            return Err(Failure::plain(Exit::Damaged, what));
        }
        self.mark(What::Audited, "all logs agree, and every account has what the answers say");
        Ok(Settled { settled, payments: quiet.payments, money: findings.money })
    }

    /// Every payer asks for every id until each has its final answer, all at the same time.
    fn settle_payers(&mut self) -> Result<(), Failure> {
        std::thread::scope(|scope| {
            let payers = self.payers.iter_mut();
            let settling: Vec<_> =
                payers.map(|payer| scope.spawn(|| payer.settle(SETTLE_MAX))).collect();
            let broken = || Failure::plain(Exit::Unexpected, "a payer broke down");
            settling.into_iter().try_for_each(|done| done.join().unwrap_or_else(|_| Err(broken())))
        })
    }

    /// Waits until nothing is in doubt and nothing is held.
    pub fn wait_quiet(&mut self) -> Result<Findings, Failure> {
        let until = Instant::now() + SETTLE_MAX;
        loop {
            let findings = audit::audit(self.cluster.home(), self.cluster.config())?;
            check(&findings)?;
            if findings.is_quiet() {
                return Ok(findings);
            }
            if Instant::now() >= until {
                let what = format!("not settled in {} s: {findings:?}", SETTLE_MAX.as_secs());
                return Err(Failure::plain(Exit::Damaged, what));
            }
            std::thread::sleep(LOOK_EVERY * 4);
        }
    }

    /// What is on the accounts is what the answers say.
    pub fn check_money(&mut self) -> Result<(), Failure> {
        let all: Vec<&Payer> = self.payers.iter().collect();
        let expected = expected_minor(&all);
        for (client, minor) in expected {
            let found = match self.payers.iter_mut().find(|payer| payer.number() == client) {
                Some(payer) => payer.balance_minor(),
                None => Payer::new(self.cluster.home(), client)?.balance_minor(),
            };
            if found != Some(minor) {
                let what = format!(
                    "client{client} has {found:?} minor units, and the answers make {minor}"
                );
                return Err(Failure::plain(Exit::Damaged, what));
            }
        }
        Ok(())
    }
}

/// No disagreement, and the money is there.
fn check(findings: &Findings) -> Result<(), Failure> {
    if findings.ok {
        return Ok(());
    }
    let what = format!("the audit finds {:?}", findings.disagreements);
    Err(Failure::plain(Exit::Damaged, what)
        .money(format!("Expected and found: {:?}", findings.money)))
}
