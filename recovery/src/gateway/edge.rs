//! What the coordinator remembers for the edge: sessions, and the audit trail. No payment rests on
//! either.

use super::coordinator::{Coordinator, GatewayTurn};
use super::{Action, Reply, Ticket};
use crate::fact::{Audited, GatewayFact};

/// The trail takes none of the room that payments under way still need.
const TRAIL_ROOM_BYTES: u64 = 64 << 20;

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
        if self.room_bytes >= TRAIL_ROOM_BYTES {
            self.remember(fact.into(), turn);
        }
    }
}
