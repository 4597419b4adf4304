//! The figures that a process shows at `/metrics`, in Prometheus' text format.
//!
//! Every name is public and stands in [`NAMES`]. Whoever counts takes its handles once, before the
//! first call: on the way of a payment a figure costs an atomic addition, no look-up and no text.
//! Never a label: an id, an account, or anything else without an end.

use metrics::Unit;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;
use std::time::Duration;

/// Samples of histograms wait in memory until they are counted: this often.
pub const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// What a name counts.
#[derive(Copy, Clone, PartialEq, Debug)]
pub enum Kind {
    Counter,
    Gauge,
    /// With the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

/// One name.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Name {
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
}

/// Seconds, from a cached write to a disk that hangs.
const SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];
const RECORDS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0];

const fn counter(name: &'static str, help: &'static str) -> Name {
    Name { name, kind: Kind::Counter, help }
}

const fn gauge(name: &'static str, help: &'static str) -> Name {
    Name { name, kind: Kind::Gauge, help }
}

const fn histogram(name: &'static str, bounds: &'static [f64], help: &'static str) -> Name {
    Name { name, kind: Kind::Histogram(bounds), help }
}

/// Every name. Programs rely on them.
pub const NAMES: &[Name] = &[
    counter("grpc_server_handled_total", "Calls that were answered."),
    histogram("grpc_server_handling_seconds", SECONDS, "How long a call took to its answer."),
    counter("strife_payments_total", "Payments that were decided, by outcome."),
    gauge("strife_payments_inflight", "Payments begun and not over."),
    counter("strife_aborts_total", "Payments that were decided to abort, by reason."),
    histogram(
        "strife_phase_seconds",
        SECONDS,
        "How long payments stayed in a phase: prepare, to the last vote; decide, to the decision's \
         being durable; settle, from there to the last bank's word.",
    ),
    gauge(
        "strife_in_doubt",
        "Payments that are not over and should be: begun by an earlier start, or longer ago than \
         a settlement waits.",
    ),
    gauge("strife_in_doubt_oldest_seconds", "The age of the oldest of them; 0 without one."),
    gauge("strife_in_doubt_amount_minor", "The sum of their amounts, in minor units."),
    histogram("strife_wal_fsync_seconds", SECONDS, "How long writing and syncing a batch took."),
    histogram("strife_wal_batch_records", RECORDS, "Records made durable by one sync."),
    gauge("strife_wal_last_lsn", "The newest record of this service's log that is durable."),
    gauge("strife_mirror_lag_records", "Records that the SQLite view does not show yet."),
    gauge("strife_recovery_seconds", "How long the last start took to read its log."),
    counter(
        "strife_recovery_resolved_total",
        "Payments and holds that an earlier start left open and this one brought to an end, by \
         how.",
    ),
    gauge("strife_bank_up", "1 for a bank that the gateway drives now, else 0."),
    gauge(
        "strife_bank_holds",
        "Holds without an outcome: at a bank its own; at the gateway those that it knows of.",
    ),
    gauge(
        "strife_money_delta_minor",
        "Money that an audit found too much or too little, in minor units. Must be 0.",
    ),
    counter("strife_auth_failures_total", "Calls that were refused for who made them, by reason."),
    gauge(
        "strife_cert_expiry_timestamp_seconds",
        "When a certificate that this service shows or believes expires, by its role.",
    ),
];

/// What `/metrics` shows.
#[derive(Clone)]
pub struct Exposition(PrometheusHandle);

impl Exposition {
    /// The figures of now, as Prometheus reads them.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Call it every [`UPKEEP_EVERY`], or samples pile up.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

/// Begins to count, for the whole process; a second call gives the first one's.
///
/// Handles that were taken before count nothing.
pub fn install() -> Exposition {
    static INSTALLED: OnceLock<Exposition> = OnceLock::new();
    INSTALLED.get_or_init(begin).clone()
}

fn begin() -> Exposition {
    let histograms = NAMES.iter().filter_map(|name| match name.kind {
        Kind::Histogram(bounds) => Some((name.name, bounds)),
        Kind::Counter | Kind::Gauge => None,
    });
    let builder = histograms.fold(PrometheusBuilder::new(), |builder, (name, bounds)| {
        let builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds);
        builder.expect("bounds are not empty")
    });
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    // Only ever a second recorder, as of a test: then it is the first that counts.
    let _ = metrics::set_global_recorder(recorder);
    for Name { name, kind, help } in NAMES {
        let unit = if name.ends_with("_seconds") { Unit::Seconds } else { Unit::Count };
        match kind {
            Kind::Counter => metrics::describe_counter!(*name, unit, *help),
            Kind::Gauge => metrics::describe_gauge!(*name, unit, *help),
            Kind::Histogram(_) => metrics::describe_histogram!(*name, unit, *help),
        }
    }
    Exposition(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_shown_under_its_name_with_its_help_and_buckets() {
        let exposition = install();
        metrics::counter!("strife_payments_total", "outcome" => "committed").increment(2);
        metrics::histogram!("strife_wal_batch_records").record(3.0);
        exposition.upkeep();
        let text = exposition.render();
        assert!(text.contains("# TYPE strife_payments_total counter"), "{text}");
        assert!(text.contains("# HELP strife_payments_total Payments that were decided"), "{text}");
        assert!(text.contains(r#"strife_payments_total{outcome="committed"} 2"#), "{text}");
        assert!(text.contains(r#"strife_wal_batch_records_bucket{le="2"} 0"#), "{text}");
        assert!(text.contains(r#"strife_wal_batch_records_bucket{le="4"} 1"#), "{text}");
        assert_eq!(install().render(), text, "one process, one exposition");
    }
}
