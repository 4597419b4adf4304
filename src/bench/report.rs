//! What was measured, as it is told: figures, what they may be compared with, whether they count.

use super::counts::Written;
use super::tally::Tally;
use super::{Plan, Workload};
use crate::inspect::audit::Findings;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A generator that is later than this at the 99th percentile has measured itself.
const LAG_US_MAX: u64 = 20_000;

/// One value a kind of process.
#[derive(Copy, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cpu<T> {
    pub gateway: T,
    pub banks: T,
    pub generator: T,
}

/// What one round gave.
pub(super) struct Round {
    pub(super) tally: Tally,
    pub(super) used: Cpu<Duration>,
    pub(super) duration: Duration,
    pub(super) echo_per_s: Option<f64>,
    pub(super) nosync_per_s: Option<f64>,
    /// Of payments between banks that do not suffer, when none did, just before.
    pub(super) calm_p99_us: Option<u64>,
}

impl Round {
    /// Between banks that do not suffer: the 99th percentile over what it was just before.
    fn others_p99_ratio(&self) -> Option<f64> {
        let during = self.tally.others_us.value_at_quantile(0.99);
        Some(ratio(during as f64, self.calm_p99_us? as f64))
    }

    fn answered(&self) -> u64 {
        self.tally.committed + self.tally.aborted
    }

    pub(super) fn payments_per_s(&self) -> f64 {
        self.answered() as f64 / self.duration.as_secs_f64()
    }
}

/// What the logs said afterwards.
pub(super) struct Settled {
    pub(super) findings: Findings,
    pub(super) gateway: Written,
    pub(super) banks: Written,
    pub(super) measured: Duration,
}

/// The result of a run. Names are public; rates are medians over the rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    #[serde(flatten)]
    pub figures: Figures,
    pub workload: Workload,
    pub connections: usize,
    pub streams: usize,
    pub accounts: usize,
    pub rounds: usize,
    pub round_s: f64,
    /// Payments a second that were asked for; `null` in a closed loop.
    pub offered_per_s: Option<f64>,
    pub pending: u64,
    pub refused: u64,
    pub refused_p99_us: u64,
    pub generator_lag_p99_us: u64,
    pub fdatasync_us: u64,
    pub cpu_us_per_payment: Cpu<f64>,
    pub gateway_records_per_sync: f64,
    pub gateway_syncs_per_s: f64,
    pub banks_records_per_sync: f64,
    pub banks_syncs_per_s: f64,
    /// Payments over echo, and over the same without syncing: what can be compared between runs.
    pub echo_ratio: Option<f64>,
    pub nosync_ratio: Option<f64>,
    pub p50_fdatasyncs: f64,
    /// Where one bank suffers, payments between the others: the 99th percentile, and what it is of
    /// the one that was measured in the same round before.
    pub others_p99_us: Option<u64>,
    pub others_p99_ratio: Option<f64>,
    pub cores: usize,
    /// Of the machine over the last minute, this run included.
    pub load_average: f64,
    pub audit_ok: bool,
    /// Why the figures do not count; empty if they do.
    pub void: Vec<String>,
    /// Quantile and microseconds.
    #[serde(skip)]
    pub latencies: Vec<(f64, u64)>,
}

/// The figures that scripts rely on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    pub ack: String,
    pub clients: usize,
    pub payments_per_s: f64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    pub committed: u64,
    pub aborted: u64,
    pub unknown: u64,
    pub echo_rpc_per_s: Option<f64>,
    pub nosync_payments_per_s: Option<f64>,
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied()?;
    Some(if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], upper)
    } else {
        upper
    })
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// One histogram of all rounds.
fn merged(rounds: &[Round], of: fn(&Tally) -> &Histogram<u64>) -> Histogram<u64> {
    let mut all = of(&rounds[0].tally).clone();
    for round in &rounds[1..] {
        all.add(of(&round.tally)).expect("histograms grow");
    }
    all
}

fn per_sync(written: Written) -> f64 {
    ratio(written.records as f64, written.batches as f64)
}

/// Quantiles that matter to people: of nines, four.
const QUANTILES: [f64; 9] = [0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1.0];

impl Report {
    pub(super) fn new(plan: &Plan, fdatasync_us: u64, rounds: &[Round], end: Settled) -> Self {
        let sum = |count: fn(&Tally) -> u64| rounds.iter().map(|r| count(&r.tally)).sum::<u64>();
        let merged = |of| merged(rounds, of);
        let latency = merged(|tally| &tally.latency_us);
        let lag = merged(|tally| &tally.lag_us).value_at_quantile(0.99);
        let rate = median(rounds.iter().map(Round::payments_per_s)).unwrap_or_default();
        let over = |ceiling: fn(&Round) -> Option<f64>| {
            median(rounds.iter().filter_map(|r| Some(ratio(r.payments_per_s(), ceiling(r)?))))
        };
        let answered: u64 = rounds.iter().map(Round::answered).sum();
        let cpu = |used: fn(&Cpu<Duration>) -> Duration| {
            let used: Duration = rounds.iter().map(|round| used(&round.used)).sum();
            ratio(used.as_secs_f64() * 1e6, answered as f64)
        };
        let figures = Figures {
            ack: plan.ack.name().to_owned(),
            clients: plan.clients,
            payments_per_s: rate,
            p50_us: latency.value_at_quantile(0.5),
            p99_us: latency.value_at_quantile(0.99),
            p999_us: latency.value_at_quantile(0.999),
            committed: sum(|tally| tally.committed),
            aborted: sum(|tally| tally.aborted),
            unknown: sum(|tally| tally.unknown),
            echo_rpc_per_s: median(rounds.iter().filter_map(|round| round.echo_per_s)),
            nosync_payments_per_s: median(rounds.iter().filter_map(|round| round.nosync_per_s)),
        };
        let measured_s = end.measured.as_secs_f64();
        Self {
            workload: plan.workload,
            connections: plan.connections,
            streams: plan.streams,
            accounts: plan.accounts,
            rounds: rounds.len(),
            round_s: plan.duration.as_secs_f64(),
            offered_per_s: plan.rate,
            pending: sum(|tally| tally.pending),
            refused: sum(|tally| tally.refused),
            refused_p99_us: merged(|tally| &tally.refused_us).value_at_quantile(0.99),
            generator_lag_p99_us: lag,
            fdatasync_us,
            cpu_us_per_payment: Cpu {
                gateway: cpu(|used| used.gateway),
                banks: cpu(|used| used.banks),
                generator: cpu(|used| used.generator),
            },
            gateway_records_per_sync: per_sync(end.gateway),
            gateway_syncs_per_s: ratio(end.gateway.batches as f64, measured_s),
            banks_records_per_sync: per_sync(end.banks),
            banks_syncs_per_s: ratio(end.banks.batches as f64, measured_s),
            echo_ratio: over(|round| round.echo_per_s),
            nosync_ratio: over(|round| round.nosync_per_s),
            others_p99_us: plan
                .workload
                .is_troubled()
                .then(|| merged(|tally| &tally.others_us).value_at_quantile(0.99)),
            others_p99_ratio: median(rounds.iter().filter_map(Round::others_p99_ratio)),
            p50_fdatasyncs: ratio(figures.p50_us as f64, fdatasync_us as f64),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            load_average: load_average(),
            audit_ok: end.findings.ok && end.findings.is_quiet(),
            void: void(plan, rounds, &end.findings, lag),
            latencies: QUANTILES.map(|q| (q, latency.value_at_quantile(q))).to_vec(),
            figures,
        }
    }
}

/// Why these figures do not count.
fn void(plan: &Plan, rounds: &[Round], findings: &Findings, lag_p99_us: u64) -> Vec<String> {
    let mut why = Vec::new();
    if !findings.ok {
        why.push(format!("the audit found {} disagreements", findings.disagreements.len()));
    }
    if !findings.is_quiet() {
        let (open, holds) = (findings.in_doubt, findings.holds);
        why.push(format!("{open} payments and {holds} holds were left open"));
    }
    if plan.rate.is_some() && lag_p99_us > LAG_US_MAX {
        why.push(format!("the generator was {lag_p99_us} us late at its 99th percentile"));
    }
    let unsent: u64 = rounds.iter().map(|round| round.tally.unsent).sum();
    if unsent > 0 {
        why.push(format!("{unsent} payments were due and not sent"));
    }
    why.extend(rounds.iter().find_map(|round| round.tally.problem.clone()));
    if rounds.iter().all(|round| round.answered() == 0) {
        why.push("nothing was answered".to_owned());
    }
    why
}

fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default()
}

/// Figures of an earlier run beside these. Only what is a ratio within its own run is compared.
#[derive(Clone, Debug, Serialize)]
pub struct Against {
    pub figure: &'static str,
    pub before: f64,
    pub now: f64,
    pub change: f64,
}

#[derive(Deserialize)]
struct Earlier {
    echo_ratio: Option<f64>,
    nosync_ratio: Option<f64>,
    p50_fdatasyncs: f64,
    cpu_us_per_payment: Cpu<f64>,
}

impl Report {
    /// Compares with the JSON that an earlier run wrote.
    pub fn against(&self, earlier: &str) -> Result<Vec<Against>, serde_json::Error> {
        let then: Earlier = serde_json::from_str(earlier)?;
        let cpu = self.cpu_us_per_payment;
        let pairs = [
            ("payments over echo", then.echo_ratio, self.echo_ratio),
            ("payments over no-sync", then.nosync_ratio, self.nosync_ratio),
            ("p50 in fdatasyncs", Some(then.p50_fdatasyncs), Some(self.p50_fdatasyncs)),
            ("gateway CPU us", Some(then.cpu_us_per_payment.gateway), Some(cpu.gateway)),
            ("banks CPU us", Some(then.cpu_us_per_payment.banks), Some(cpu.banks)),
        ];
        let both = pairs.into_iter().filter_map(|(figure, before, now)| {
            let (before, now) = before.zip(now)?;
            Some(Against { figure, before, now, change: ratio(now, before) - 1.0 })
        });
        Ok(both.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_or_between_the_two_middles() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }
}
