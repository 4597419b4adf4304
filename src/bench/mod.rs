//! How fast it is, measured against what the machine could do at most.
//!
//! ```text
//!  Town   users and accounts, made up for the run
//!  Stage  a cluster of real processes in a temporary home, and callers signed in to it
//!  load   closed loop, open loop or streams, into histograms
//!  echo   the same port without anything behind it: the ceiling of transport and TLS
//!  Report figures, medians over rounds, ratios; void unless the audit is clean
//! ```
//!
//! Rates drift with a machine's other work, so that digits of two runs cannot be compared. What is
//! compared is measured in one run, in rounds that take turns: the product, the echo, and the
//! product in a home that does not sync. Refuses to know how a report is printed.

mod counts;
mod disk;
mod echo;
mod load;
pub mod plot;
mod report;
mod stage;
mod tally;
mod town;
mod trouble;

pub use echo::serve as serve_echo;
pub use report::{Against, Cpu, Figures, Report};
pub use town::Workload;

use crate::config::Ack;
use crate::errors::Failure;
use load::{Load, Pace};
use report::Round;
use stage::Stage;
use std::path::PathBuf;
use std::time::Duration;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The `strife` that is started.
    pub program: PathBuf,
    /// Homes are made below this directory.
    pub parent: PathBuf,
    /// Payments on the way at once; in an open loop, how many callers take turns.
    pub clients: usize,
    /// Connections that they share.
    pub connections: usize,
    /// More than none: `ProcessPayments` streams that they share, instead of single calls.
    pub streams: usize,
    /// Of one round, without its warming up.
    pub duration: Duration,
    pub rounds: usize,
    pub accounts: usize,
    /// Payments a second that are asked for whether or not answers come: an open loop.
    pub rate: Option<f64>,
    pub ack: Ack,
    pub workload: Workload,
    pub seed: u64,
    /// Whether to measure echo and no-sync, too.
    pub ceilings: bool,
}

impl Plan {
    fn warm_up(&self) -> Duration {
        (self.duration / 4).min(Duration::from_secs(2))
    }

    fn load(&self, pace: Pace, duration: Duration) -> Load {
        let Self { clients, workload, seed, .. } = *self;
        Load { clients, pace, workload, seed, warm_up: self.warm_up(), duration }
    }

    fn pace(&self) -> Pace {
        self.rate.map_or(Pace::Closed, Pace::Open)
    }
}

/// Measures. `progress` is told what is under way.
pub fn run(plan: &Plan, progress: &dyn Fn(&str)) -> Result<Report, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::unexpected("start the runtime", &error))?;
    progress("starting a gateway and six banks in a temporary home");
    let mut real = Stage::set(plan, true)?;
    let fdatasync_us = disk::fdatasync_us(real.home())?;
    runtime.block_on(real.sign_in(plan))?;
    let mut ceilings = if plan.ceilings {
        progress("starting the echo, and a cluster that does not sync");
        let echo = runtime.block_on(echo::Echo::start(plan, &real))?;
        let mut unsynced = Stage::set(plan, false)?;
        runtime.block_on(unsynced.sign_in(plan))?;
        Some((echo, unsynced))
    } else {
        None
    };
    let mut rounds = Vec::new();
    for number in 1..=plan.rounds {
        let load = plan.load(plan.pace(), plan.duration);
        let calm_p99_us = if plan.workload.is_troubled() {
            let load = Load { workload: Workload::Uniform, ..load.clone() };
            let calm = runtime.block_on(real.measure(&load))?;
            Some(calm.tally.others_us.value_at_quantile(0.99))
        } else {
            None
        };
        let mut round = runtime.block_on(real.measure(&load))?;
        round.calm_p99_us = calm_p99_us;
        if let Some((echo, unsynced)) = &mut ceilings {
            // Ceilings are capacities: both are measured in a closed loop.
            let load = plan.load(Pace::Closed, plan.duration);
            round.echo_per_s = Some(runtime.block_on(echo.measure(&load)));
            let unsynced = runtime.block_on(unsynced.measure(&load))?;
            round.nosync_per_s = Some(unsynced.payments_per_s());
        }
        progress(&told(number, plan, &round));
        rounds.push(round);
    }
    drop(ceilings);
    progress("stopping, and auditing every log");
    let settled = real.finish()?;
    Ok(Report::new(plan, fdatasync_us, &rounds, settled))
}

fn told(number: usize, plan: &Plan, round: &Round) -> String {
    let whole = |rate: Option<f64>| rate.map_or("-".to_owned(), |rate| format!("{rate:.0}"));
    format!(
        "round {number} of {}: {:.0} payments/s, echo {}, without sync {}",
        plan.rounds,
        round.payments_per_s(),
        whole(round.echo_per_s),
        whole(round.nosync_per_s)
    )
}
