//! The gateway's figures: counted fact by fact as they are remembered, and measured when asked for.
//!
//! Counting costs a payment one entry in a table of those in flight and a few atomic additions.
//! What would take a walk over the payments is measured for whoever reads `/metrics`, then.

use super::coordinator::CoordinatorBox;
use super::coordinator::Request;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use recovery::fact::GatewayFact;
use recovery::gateway::{Coordinator, Entry, LinkStatus, State};
use recovery::model::{Decision, GlobalId, Reason};
use recovery::payment::{Parties, Phase};
use recovery::resolve;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use wal::Lsn;

/// A coordinator that takes longer than this to measure is shown as it was.
const MEASURE_MAX: Duration = Duration::from_secs(2);

const RESOLVED: &str = "strife_recovery_resolved_total";

/// Handles, and when the payments in flight came where they are.
pub(super) struct Meters {
    committed: Counter,
    aborted: Counter,
    reasons: Vec<(Reason, Counter)>,
    prepare: Histogram,
    decide: Histogram,
    settle: Histogram,
    entered: HashMap<GlobalId, Instant>,
    /// Decisions that are not durable yet.
    deciding: VecDeque<(Lsn, GlobalId, Instant)>,
    /// What an earlier start left open, and what this one does about it.
    inherited: HashMap<GlobalId, &'static str>,
}

impl Meters {
    pub(super) fn new(state: &State) -> Self {
        let outcome = |outcome| counter!("strife_payments_total", "outcome" => outcome);
        let phase = |phase| histogram!("strife_phase_seconds", "phase" => phase);
        let reason =
            |reason: Reason| (reason, counter!("strife_aborts_total", "reason" => reason.name()));
        let meters = Self {
            committed: outcome("committed"),
            aborted: outcome("aborted"),
            reasons: Reason::ALL.into_iter().map(reason).collect(),
            prepare: phase("prepare"),
            decide: phase("decide"),
            settle: phase("settle"),
            entered: HashMap::new(),
            deciding: VecDeque::new(),
            inherited: resolve::gateway(state)
                .into_iter()
                .map(|unfinished| (unfinished.payment, unfinished.plan.name()))
                .collect(),
        };
        // A rate needs a beginning.
        meters.committed.absolute(0);
        meters.aborted.absolute(0);
        meters.reasons.iter().for_each(|(_, counter)| counter.absolute(0));
        for how in ["abort-once-heard", "tell-commit", "tell-abort", "heuristic"] {
            counter!(RESOLVED, "how" => how).absolute(0);
        }
        // Whoever audits a running installation sets it.
        gauge!("strife_money_delta_minor").set(0);
        meters
    }

    pub(super) fn count(&mut self, facts: &[GatewayFact], first: Lsn) {
        let now = Instant::now();
        for (lsn, fact) in (first.get()..).map(Lsn::new).zip(facts) {
            match fact {
                GatewayFact::Began(began) => {
                    self.entered.insert(began.payment, now);
                }
                GatewayFact::Decided(decided) => {
                    self.decided(lsn, decided.payment, decided.decision, now);
                }
                GatewayFact::HeuristicDecided(forced) => {
                    self.decided(lsn, forced.payment, forced.decision, now);
                    self.inherited.insert(forced.payment, "heuristic");
                }
                GatewayFact::Ended(ended) => {
                    if let Some(durable) = self.entered.remove(&ended.payment) {
                        self.settle.record(now.saturating_duration_since(durable));
                    }
                    if let Some(how) = self.inherited.remove(&ended.payment) {
                        counter!(RESOLVED, "how" => how).increment(1);
                    }
                }
                GatewayFact::Initialised(_)
                | GatewayFact::Started(_)
                | GatewayFact::Stopped(_)
                | GatewayFact::BankJoined(_)
                | GatewayFact::AccountListed(_)
                | GatewayFact::BankMet(_)
                | GatewayFact::BankReplaced(_)
                | GatewayFact::Voted(_)
                | GatewayFact::Settled(_)
                | GatewayFact::HeuristicAsked(_)
                | GatewayFact::HeuristicDiffered(_)
                | GatewayFact::SessionOpened(_)
                | GatewayFact::SessionClosed(_)
                | GatewayFact::LogMended(_)
                | GatewayFact::Audited(_) => {}
            }
        }
    }

    fn decided(&mut self, lsn: Lsn, payment: GlobalId, decision: Decision, now: Instant) {
        match decision {
            Decision::Commit => self.committed.increment(1),
            Decision::Abort(reason) => {
                self.aborted.increment(1);
                if let Some((_, counter)) = self.reasons.iter().find(|(it, _)| *it == reason) {
                    counter.increment(1);
                }
            }
        }
        if let Some(began) = self.entered.insert(payment, now) {
            self.prepare.record(now.saturating_duration_since(began));
        }
        self.deciding.push_back((lsn, payment, now));
    }

    /// The log is durable through `lsn`.
    pub(super) fn durable(&mut self, lsn: Lsn) {
        let Some((first, ..)) = self.deciding.front() else { return };
        if *first > lsn {
            return;
        }
        let now = Instant::now();
        while let Some((at, payment, decided)) = self.deciding.front().copied() {
            if at > lsn {
                break;
            }
            self.deciding.pop_front();
            self.decide.record(now.saturating_duration_since(decided));
            if let Some(entered) = self.entered.get_mut(&payment) {
                *entered = now;
            }
        }
    }
}

/// Brings up to date what is not counted fact by fact. Never waits for long.
pub(super) async fn refresh(coordinator: &CoordinatorBox) {
    let (reply, measured) = oneshot::channel();
    coordinator.send(Request::Measure { reply });
    let _ = tokio::time::timeout(MEASURE_MAX, measured).await;
}

/// A walk over what is not over, and over the banks.
pub(super) fn measure(coordinator: &Coordinator, now_ms: u64) {
    let state = coordinator.state();
    let start = coordinator.start();
    let (mut late, mut oldest_ms, mut amount_minor) = (0_u64, 0_u64, 0_i64);
    let mut holds = vec![0_u64; state.banks.len()];
    for payment in &state.open {
        let entry = &state.payments[payment];
        let age_ms = now_ms.saturating_sub(entry.began_ms);
        let inherited = payment.epoch != start.epoch || payment.origin != start.lineage.origin();
        if inherited || age_ms > coordinator.settings().settle_wait_ms {
            late += 1;
            oldest_ms = oldest_ms.max(age_ms);
            amount_minor = amount_minor.saturating_add(entry.terms.amount.minor());
        }
        for party in holding(entry).iter() {
            holds[usize::from(entry.bank(party))] += 1;
        }
    }
    gauge!("strife_payments_inflight").set(state.open.len() as f64);
    gauge!("strife_in_doubt").set(late as f64);
    gauge!("strife_in_doubt_oldest_seconds").set(oldest_ms as f64 / 1e3);
    gauge!("strife_in_doubt_amount_minor").set(amount_minor as f64);
    for (index, (bank, holds)) in (0..).zip(state.banks.iter().zip(holds)) {
        let up = matches!(coordinator.link(index).0, LinkStatus::Ready { .. });
        bank_gauge("strife_bank_up", bank.name.as_str()).set(f64::from(u8::from(up)));
        bank_gauge("strife_bank_holds", bank.name.as_str()).set(holds as f64);
    }
}

fn bank_gauge(name: &'static str, bank: &str) -> Gauge {
    gauge!(name, "bank" => bank.to_owned())
}

/// The participants that are known to hold money for a payment.
fn holding(entry: &Entry) -> Parties {
    match entry.payment.phase {
        Phase::Preparing { ready } => ready,
        Phase::Deciding { decision: Decision::Commit, settled } => {
            entry.payment.parties.without(settled)
        }
        // Those that refused hold nothing, and the others will soon not.
        Phase::Deciding { decision: Decision::Abort(_), .. } | Phase::Ended { .. } => Parties::NONE,
    }
}
