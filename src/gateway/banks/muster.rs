//! At a start, nobody is fenced before everybody who can be reached was asked what it remembers.
//!
//! Hello replaces what a bank remembers. Were the banks greeted one by one, a gateway on an old
//! copy of a directory could shut the true one out of the banks that have nothing to say against
//! it, before it comes to the one that has. Refuses to know what is asked.

use recovery::gateway::BankIndex;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::watch;

/// A bank that has not answered by then is not waited for.
const MUSTER_MAX: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Muster {
    banks: usize,
    asked: watch::Sender<BTreeSet<BankIndex>>,
}

impl Muster {
    pub(super) fn new(banks: usize) -> Self {
        Self { banks, asked: watch::Sender::new(BTreeSet::new()) }
    }

    /// `bank` has nothing against this start, or cannot be asked.
    pub(super) fn passed(&self, bank: BankIndex) {
        self.asked.send_if_modified(|asked| asked.insert(bank));
    }

    /// Until all have passed, or long enough.
    pub(super) async fn wait(&self) {
        let mut asked = self.asked.subscribe();
        let all = asked.wait_for(|asked| asked.len() >= self.banks);
        let _ = tokio::time::timeout(MUSTER_MAX, all).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bank_that_never_answers_holds_the_others_up_for_a_while_and_no_longer() {
        let muster = Muster::new(2);
        muster.passed(0);
        let began = std::time::Instant::now();
        muster.wait().await;
        assert!(began.elapsed() >= MUSTER_MAX);
        muster.passed(1);
        // Would hang, were it not over at once.
        tokio::time::timeout(MUSTER_MAX, muster.wait()).await.expect("nobody is missing");
    }
}
