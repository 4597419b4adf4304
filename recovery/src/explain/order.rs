//! The records of several logs in one order that no cause contradicts.

use super::{Entry, Lane, is_over};
use crate::fact::{BankFact, GatewayFact};
use crate::record::AnyFact;

/// Sorts `entries` by causes, then by stamps; says by how much an effect is stamped before its
/// cause, at most.
///
/// Repeatedly takes, of the records whose causes have all been taken, the one with the earliest
/// stamp (Kahn 1962). A payment has some twenty records, so squares do not matter.
pub(super) fn by_causes(entries: Vec<Entry>) -> (Vec<Entry>, u64) {
    let mut skew_ms = 0;
    let causes: Vec<Vec<usize>> = (0..entries.len())
        .map(|at| (0..entries.len()).filter(|of| causes(&entries[*of], &entries[at])).collect())
        .collect();
    for (at, causes) in causes.iter().enumerate() {
        let before = causes.iter().map(|cause| entries[*cause].wall_ms).max().unwrap_or(0);
        let between = causes.iter().any(|cause| entries[*cause].lane != entries[at].lane);
        if between {
            skew_ms = skew_ms.max(before.saturating_sub(entries[at].wall_ms));
        }
    }
    let mut taken = vec![false; entries.len()];
    let mut order = Vec::with_capacity(entries.len());
    while order.len() < entries.len() {
        let free = (0..entries.len()).filter(|at| !taken[*at]);
        let ready = free.clone().filter(|at| causes[*at].iter().all(|cause| taken[*cause]));
        let key = |at: &usize| (entries[*at].wall_ms, entries[*at].lane, entries[*at].lsn);
        // Logs that contradict each other have a circle of causes: then stamps must do.
        let next = ready.min_by_key(key).or_else(|| free.min_by_key(key));
        let Some(next) = next else { break };
        taken[next] = true;
        order.push(next);
    }
    let mut entries: Vec<Option<Entry>> = entries.into_iter().map(Some).collect();
    (order.into_iter().filter_map(|at| entries[at].take()).collect(), skew_ms)
}

/// Must `cause` have happened before `effect`?
fn causes(cause: &Entry, effect: &Entry) -> bool {
    if cause.lane == effect.lane {
        return cause.lsn < effect.lsn;
    }
    match (&cause.fact, &effect.fact) {
        (AnyFact::Gateway(cause), AnyFact::Bank(effect)) => {
            matches!(
                (cause, effect),
                (
                    GatewayFact::Began(_),
                    BankFact::Held(_) | BankFact::Refused(_) | BankFact::Tombstoned(_)
                ) | (
                    GatewayFact::Decided(_) | GatewayFact::HeuristicDecided(_),
                    BankFact::Posted(_) | BankFact::Released(_) | BankFact::Tombstoned(_)
                ) | (GatewayFact::HeuristicDecided(_), BankFact::HeuristicObeyed(_))
            )
        }
        (AnyFact::Bank(fact), AnyFact::Gateway(GatewayFact::Voted(voted))) => {
            let votes = matches!(fact, BankFact::Held(_) | BankFact::Refused(_));
            votes && cause.lane == Lane::Bank(voted.bank)
        }
        (AnyFact::Bank(_), AnyFact::Gateway(GatewayFact::HeuristicDiffered(differed))) => {
            is_over(&cause.fact) && cause.lane == Lane::Bank(differed.bank)
        }
        (AnyFact::Bank(_), AnyFact::Gateway(GatewayFact::Settled(settled))) => {
            is_over(&cause.fact) && cause.lane == Lane::Bank(settled.bank)
        }
        (AnyFact::Gateway(_), AnyFact::Gateway(_))
        | (AnyFact::Bank(_), AnyFact::Bank(_) | AnyFact::Gateway(_)) => false,
    }
}
