//! A bank's figures: what became of the holds that it was started with, and how many it has.

use super::ledger::{LedgerBox, Request};
use crate::accept;
use crate::config;
use crate::errors::Failure;
use crate::home::{Home, Party};
use crate::tls;
use axum::Router;
use metrics::{counter, gauge};
use recovery::bank::State;
use recovery::fact::BankFact;
use recovery::model::{BankName, GlobalId};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A ledger that takes longer than this to answer is shown as it was.
const MEASURE_MAX: Duration = Duration::from_secs(2);

const RESOLVED: &str = "strife_recovery_resolved_total";

/// Holds that an earlier start left without an outcome.
pub(super) struct Meters {
    inherited: HashSet<GlobalId>,
}

impl Meters {
    pub(super) fn new(state: &State) -> Self {
        for how in ["posted", "released"] {
            counter!(RESOLVED, "how" => how).absolute(0);
        }
        Self { inherited: state.open.iter().copied().collect() }
    }

    pub(super) fn count(&mut self, facts: &[BankFact]) {
        if self.inherited.is_empty() {
            return;
        }
        for fact in facts {
            let (payment, how) = match fact {
                BankFact::Posted(posted) => (posted.payment, "posted"),
                BankFact::Released(released) => (released.payment, "released"),
                _ => continue,
            };
            if self.inherited.remove(&payment) {
                counter!(RESOLVED, "how" => how).increment(1);
            }
        }
    }
}

/// The port of its figures.
pub(super) async fn bind(bank: BankName, place: &config::Bank) -> Result<TcpListener, Failure> {
    let key = format!("banks.{bank}.metrics_address");
    accept::bind_plain(&key, &place.metrics_address).await
}

/// `/metrics` of a bank.
pub(super) fn routes(
    home: &Home,
    bank: BankName,
    ledger: &LedgerBox,
    book_lag: impl Fn() -> u64 + Send + Sync + 'static,
) -> Router {
    let (home, ledger, book_lag) = (Arc::new(home.clone()), ledger.clone(), Arc::new(book_lag));
    accept::metrics(move || {
        let (home, ledger, book_lag) = (Arc::clone(&home), ledger.clone(), Arc::clone(&book_lag));
        async move {
            let (reply, pulse) = oneshot::channel();
            ledger.send(Request::Pulse { reply });
            if let Ok(Ok(pulse)) = tokio::time::timeout(MEASURE_MAX, pulse).await {
                let holds = gauge!("strife_bank_holds", "bank" => bank.to_string());
                holds.set(pulse.open_holds as f64);
            }
            gauge!("strife_mirror_lag_records").set(book_lag() as f64);
            tls::show_expiry(&home, &[Party::Bank(bank), Party::InternalAuthority]);
        }
    })
}
