//! What the coordinator remembers for the edge: sessions, and the audit trail. No payment rests on
//! either.

use super::coordinator::{Coordinator, GatewayTurn, RESERVE_BYTES_PER_PAYMENT};
use super::{Action, Reply, Ticket};
use crate::fact::{Audited, GatewayFact};

/// The trail takes none of the room that payments under way still need, nor that of so many more.
const ROOM_LEFT_TO: u64 = 16;

impl Coordinator {
    pub(super) fn done_when_durable(
        &mut self,
        fact: GatewayFact,
        ticket: Ticket,
        turn: &mut GatewayTurn,
    ) {
        self.remember(fact, turn);
        turn.urgent = true;
        turn.after(self.state.last, Action::Reply { ticket, reply: Reply::Done });
    }

    /// Goes with the next batch. On a disk that is nearly full it is left out.
    pub(super) fn note(&mut self, fact: Audited, turn: &mut GatewayTurn) {
        let payments = self.state.open.len() as u64 + ROOM_LEFT_TO;
        if self.room_bytes >= payments * RESERVE_BYTES_PER_PAYMENT {
            self.remember(fact.into(), turn);
        }
    }
}
