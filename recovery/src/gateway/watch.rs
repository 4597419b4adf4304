//! Callers that watch a client's payments become final.

use super::answer::{self, Outcome, Rejection};
use super::coordinator::{Coordinator, GatewayTurn, reject};
use super::{Action, Reply, Ticket};
use crate::model::{ClientId, GlobalId};
use wal::Lsn;

/// A caller that waits for a client's next finals.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Watcher {
    pub(super) ticket: Ticket,
    pub(super) after: Lsn,
    pub(super) limit: usize,
}

impl Coordinator {
    pub(super) fn watch(&mut self, client: ClientId, watcher: Watcher, turn: &mut GatewayTurn) {
        let finals = self.state.finals.get(&client).map_or(&[][..], Vec::as_slice);
        let begin = finals.partition_point(|(lsn, _)| *lsn <= watcher.after);
        let new = &finals[begin..finals.len().min(begin.saturating_add(watcher.limit))];
        let Some((rests_on, _)) = new.last().copied() else {
            let watchers = self.watchers.entry(client).or_default();
            if watchers.len() >= self.settings.waiters_max {
                turn.now.push(reject(watchers.remove(0).ticket, Rejection::TooManyRequests));
            }
            watchers.push(watcher);
            return;
        };
        let told = new.iter().map(|(lsn, payment)| {
            let entry = &self.state.payments[payment];
            let outcome = answer::standing(entry, &self.settings, true);
            let outcome = outcome.unwrap_or(Outcome::Pending);
            (*lsn, answer::answer(*payment, entry, outcome, true))
        });
        let reply = Reply::Finals(told.collect());
        turn.after(rests_on, Action::Reply { ticket: watcher.ticket, reply });
    }

    /// A payment may have become final: whoever watches its client looks again.
    pub(super) fn wake_watchers(&mut self, payment: GlobalId, turn: &mut GatewayTurn) {
        let entry = &self.state.payments[&payment];
        if !entry.is_final || self.watchers.is_empty() {
            return;
        }
        let client = entry.reference.client;
        for watcher in self.watchers.remove(&client).unwrap_or_default() {
            self.watch(client, watcher, turn);
        }
    }
}
