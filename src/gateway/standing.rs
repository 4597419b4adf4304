//! How the gateway stands, for whoever asks: taken from the coordinator between two turns.

use recovery::gateway::{BankIndex, Coordinator, LinkStatus};
use recovery::model::{BankName, Decision, GlobalId, Reference, Start, Terms};
use recovery::payment::Phase;
use wal::Lsn;

/// How the gateway is doing.
#[derive(Clone, Debug)]
pub(super) struct Status {
    pub(super) start: Start,
    pub(super) durable_lsn: u64,
    pub(super) payments: u64,
    pub(super) in_doubt: u64,
    pub(super) in_doubt_minor: i64,
    /// What earlier starts left stands still, and how many payments that is.
    pub(super) paused: bool,
    pub(super) held_up: u64,
    /// Decided by hand, and not every bank has said what it did.
    pub(super) cases_open: u64,
    /// Name, state, problem, payments that wait for it.
    pub(super) banks: Vec<(BankName, &'static str, String, u64)>,
}

/// A payment that is not over.
#[derive(Clone, Debug)]
pub(super) struct InDoubt {
    pub(super) payment: GlobalId,
    pub(super) reference: Reference,
    pub(super) terms: Terms,
    pub(super) phase: &'static str,
    pub(super) waiting_for: Vec<BankName>,
    /// When those of them that can be driven were last told, in monotonic milliseconds.
    pub(super) told_ms: Option<u64>,
    /// Those of them that cannot.
    pub(super) away: Vec<BankName>,
    pub(super) held_up: bool,
    pub(super) began_ms: u64,
}

pub(super) fn status(coordinator: &Coordinator, durable: Lsn) -> Status {
    let state = coordinator.state();
    let amount = |payment| state.payments[payment].terms.amount.minor();
    let banks = (0..).zip(&state.banks).map(|(index, bank)| {
        let (status, waiting) = coordinator.link(index);
        let (word, problem) = match status {
            LinkStatus::Ready { .. } => ("ready", String::new()),
            LinkStatus::Away { why } => ("away", why.clone()),
        };
        (bank.name, word, problem, waiting as u64)
    });
    let open_cases = state.cases.values();
    let open_cases = open_cases.filter(|case| case.approved.is_some() && case.closed_ms.is_none());
    Status {
        start: coordinator.start(),
        durable_lsn: durable.get(),
        payments: state.payments.len() as u64,
        in_doubt: state.open.len() as u64,
        in_doubt_minor: state.open.iter().map(amount).fold(0, i64::saturating_add),
        paused: coordinator.is_paused(),
        held_up: state.open.iter().filter(|payment| coordinator.is_held_up(**payment)).count()
            as u64,
        cases_open: open_cases.count() as u64,
        banks: banks.collect(),
    }
}

pub(super) fn in_doubt(coordinator: &Coordinator, limit: usize) -> Vec<InDoubt> {
    let state = coordinator.state();
    let describe = |payment: &GlobalId| {
        let entry = &state.payments[payment];
        let awaited = entry.payment.awaited();
        let owing: Vec<BankIndex> = awaited.iter().map(|party| entry.bank(party)).collect();
        let ready =
            |bank: &BankIndex| matches!(coordinator.link(*bank).0, LinkStatus::Ready { .. });
        let told = owing.iter().filter(|bank| ready(bank));
        let told = told.filter_map(|bank| coordinator.told_ms(*bank, *payment));
        let away = owing.iter().filter(|bank| !ready(bank)).map(|bank| state.bank(*bank).name);
        InDoubt {
            payment: *payment,
            reference: entry.reference,
            terms: entry.terms.clone(),
            phase: match entry.payment.phase {
                Phase::Preparing { .. } => "PREPARING",
                Phase::Deciding { decision: Decision::Commit, .. } => "COMMITTING",
                Phase::Deciding { decision: Decision::Abort(_), .. } => "ABORTING",
                Phase::Ended { .. } => "ENDED",
            },
            waiting_for: owing.iter().map(|bank| state.bank(*bank).name).collect(),
            told_ms: told.filter(|told| *told > 0).max(),
            away: away.collect(),
            held_up: coordinator.is_held_up(*payment),
            began_ms: entry.began_ms,
        }
    };
    state.open.iter().take(limit).map(describe).collect()
}
