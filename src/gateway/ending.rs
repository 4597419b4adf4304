//! A clean stop: nothing more is begun, what runs is brought to its end, and what stays in doubt is
//! said.

use super::coordinator::{CoordinatorBox, Request};
use super::standing::Status;
use crate::accept::Health;
use crate::config::Limits;
use crate::home::notify;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How often it is looked whether all is over.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What the gateway says of itself to its callers and to its banks.
pub(super) struct Doors {
    pub(super) outside: Health,
    pub(super) inside: Health,
}

impl Doors {
    pub(super) async fn closed() -> Self {
        let outside = &["strife.v1.PaymentGateway", "strife.v1.AdminService"];
        let inside = &["strife.v1.CoordinatorService"];
        Self { outside: Health::new(outside).await, inside: Health::new(inside).await }
    }

    pub(super) async fn open(&self) {
        self.outside.serving().await;
        self.inside.serving().await;
    }
}

/// The listeners' limits: of the time to drain, most is for the payments themselves.
pub(super) fn last_calls(limits: &Limits) -> Limits {
    Limits { drain_ms: limits.drain_ms / 4, ..limits.clone() }
}

/// Says that it goes, while the doors are open still: callers look for another, payments end.
pub(super) async fn drain(doors: &Doors, coordinator: &CoordinatorBox, within: Duration) {
    notify::stopping();
    doors.outside.draining().await;
    settle(coordinator, within / 2).await;
    doors.inside.draining().await;
    doors.outside.clone().close().await;
    doors.inside.clone().close().await;
}

/// Begins nothing more, and waits until nothing is open, for at most `patience`.
async fn settle(coordinator: &CoordinatorBox, patience: Duration) {
    coordinator.send(Request::Stop);
    let until = Instant::now() + patience;
    loop {
        let Some(status) = status(coordinator).await else { return };
        // What stands still does not end by waiting.
        if status.in_doubt == status.held_up {
            return;
        }
        if Instant::now() >= until {
            return say(&status);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn status(coordinator: &CoordinatorBox) -> Option<Status> {
    let (reply, status) = oneshot::channel();
    coordinator.send(Request::Status { reply });
    status.await.ok()
}

fn say(status: &Status) {
    let waiting = status.banks.iter().filter(|(.., waiting)| *waiting > 0);
    let waiting: Vec<String> =
        waiting.map(|(bank, .., waiting)| format!("{bank} ({waiting})")).collect();
    tracing::warn!(
        payments = status.in_doubt,
        amount_minor = status.in_doubt_minor,
        waiting_for = waiting.join(", "),
        "stopping with payments in doubt: their money stays set aside, and the next start settles \
         them"
    );
}
