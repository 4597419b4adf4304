//! What goes wrong during a round, on purpose.

use super::tally::Window;
use super::town::{self, Workload};
use crate::errors::Failure;
use crate::home::Service;
use crate::live::Cluster;
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// A slow bank is stopped for this long, and then lives for as long.
const STOPPED: Duration = Duration::from_millis(100);

pub(super) struct Trouble {
    workload: Workload,
    window: Window,
}

impl Trouble {
    pub(super) fn of(workload: Workload, window: Window) -> Self {
        Self { workload, window }
    }

    /// Makes it, within the window, and leaves everything running.
    pub(super) async fn make(&self, cluster: &mut Cluster) -> Result<(), Failure> {
        let victim = Service::Bank(town::bank(town::VICTIM));
        match self.workload {
            Workload::SlowBank => {
                while Instant::now() + STOPPED * 2 < self.window.to {
                    cluster.signal(victim, Signal::SIGSTOP)?;
                    tokio::time::sleep(STOPPED).await;
                    cluster.signal(victim, Signal::SIGCONT)?;
                    tokio::time::sleep(STOPPED).await;
                }
                Ok(())
            }
            Workload::KilledBank => {
                let quarter = (self.window.to - self.window.from) / 4;
                tokio::time::sleep(quarter).await;
                cluster.signal(victim, Signal::SIGKILL)?;
                tokio::time::sleep(quarter).await;
                cluster.spawn(victim, None)
            }
            Workload::Uniform
            | Workload::HotAccount
            | Workload::SameBank
            | Workload::Insufficient
            | Workload::Duplicates => Ok(()),
        }
    }
}
