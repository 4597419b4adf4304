//! A configuration as a commented `strife.toml`: every key, what it means, and its value.

use super::Config;
use std::fmt::Write;
use toml::{Table, Value};

const HEAD: &str = "\
# Strife's configuration. Flags and STRIFE_SECTION__KEY variables win over this file, as in
# STRIFE_GATEWAY__ADDRESS=127.0.0.1:50050. A key that is left out has the value shown here; one
# that is not known is an error. Check a change with: strife config check
";

/// Each key and each table in the order in which they are written. `*` stands for a bank.
const DOCS: &[(&str, &str)] = &[
    ("log", "What is logged, to stderr and to logs/."),
    ("log.level", "error, warn, info, debug or trace. STRIFE_LOG wins over it."),
    ("gateway", "The coordinator of payments."),
    ("gateway.address", "Where clients and operators find it."),
    ("gateway.internal_address", "Where banks ask it what became of a payment."),
    (
        "gateway.ack",
        "When a client hears COMMITTED: \"settled\", when the decision and the postings are \
         durable, so that any one disk may then be lost; or \"decided\", one sync earlier, when \
         the decision is durable.",
    ),
    ("gateway.two_phase_timeout_ms", "How long banks may take to vote before the gateway aborts."),
    (
        "gateway.settle_wait_ms",
        "How long a decided payment's answer waits for both postings; after that, for one.",
    ),
    ("gateway.max_in_flight", "Payments in flight; more are refused with TOO_MANY_REQUESTS."),
    (
        "gateway.max_in_flight_per_bank",
        "The same for each bank, so that a slow one harms no other.",
    ),
    ("gateway.session_idle_s", "A session ends when it was not used for so long."),
    ("gateway.session_absolute_s", "A session ends so long after signing in, used or not."),
    (
        "gateway.audit_every_s",
        "All logs are compared, beside the payments, this often; 0 means never.",
    ),
    ("gateway.reflection", "Whether gRPC reflection is served; `strife up` turns it on."),
    ("console", "The web page, and the gateway's metrics at /metrics."),
    ("console.enabled", "Whether the page is served; metrics always are."),
    (
        "console.address",
        "Where both are. Without TLS: keep it on this machine, and reach it from elsewhere through \
         a tunnel. The page wants an auditor's or an admin's password; metrics want none.",
    ),
    ("wal", "The write-ahead logs."),
    ("wal.segment_bytes", "The size of one segment file, in bytes."),
    ("limits", "What one listener takes on from outside."),
    ("limits.connections", "Open connections; more are closed at once."),
    ("limits.connections_per_address", "The same for each remote address."),
    ("limits.handshakes", "TLS handshakes at a time; of more, the oldest end."),
    ("limits.handshake_timeout_ms", "A handshake that takes longer is given up."),
    (
        "limits.connection_age_s",
        "A client's connection ends after so long, a tenth more or less, and is made again with a \
         fresh handshake; 0 is never.",
    ),
    ("limits.streams_per_connection", "Calls at a time on one connection."),
    ("limits.calls", "Calls under way in all; more are refused with TOO_MANY_REQUESTS."),
    ("limits.calls_per_client", "The same for each client, over all of its connections."),
    ("limits.message_bytes", "The largest message of a single call."),
    ("limits.batch_bytes", "The largest message of a stream of batches."),
    ("limits.drain_ms", "How long calls may take to end when the service stops."),
    ("client", "Clients on this machine."),
    ("client.timeout_ms", "How long one call may take. --timeout wins over it."),
    ("client.retry_ms", "What was queued is sent again after so long, then after twice that, ..."),
    ("client.retry_max_ms", "... and so on up to this."),
    (
        "banks",
        "The banks. Each is one table; a seventh is one more. Any here replaces all defaults.",
    ),
    ("banks.*", ""),
    ("banks.*.address", "Where the gateway finds it."),
    (
        "banks.*.metrics_address",
        "Where its metrics are served; 1000 above the address when left out.",
    ),
    (
        "banks.*.foreign",
        "True for a bank of another make, which serves the five basic calls and no more.",
    ),
];

impl Config {
    /// As `init` writes it. Reading it back gives the same configuration.
    pub fn to_toml(&self) -> String {
        let table = Table::try_from(self).unwrap_or_default();
        let mut text = HEAD.to_owned();
        for (key, doc) in DOCS.iter().filter(|(key, _)| !key.contains('*')) {
            match at(&table, key) {
                Some(Value::Table(_)) => heading(&mut text, key, doc),
                Some(value) => setting(&mut text, key, doc, value),
                None => {}
            }
        }
        for (place, (name, bank)) in self.banks.iter().enumerate() {
            let _ = writeln!(text, "\n[banks.{name}]");
            let table = Table::try_from(bank).unwrap_or_default();
            for (key, doc) in DOCS {
                let Some(field) = key.strip_prefix("banks.*.") else { continue };
                // Once explained is enough.
                let doc = if place == 0 { doc } else { "" };
                if let Some(value) = table.get(field) {
                    setting(&mut text, field, doc, value);
                }
            }
        }
        text
    }
}

fn at<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        Some((first, rest)) => at(table.get(first)?.as_table()?, rest),
        None => table.get(key),
    }
}

fn heading(text: &mut String, key: &str, doc: &str) {
    text.push('\n');
    comment(text, doc);
    if key != "banks" {
        let _ = writeln!(text, "[{key}]");
    }
}

fn setting(text: &mut String, key: &str, doc: &str, value: &Value) {
    comment(text, doc);
    let field = key.rsplit('.').next().unwrap_or(key);
    let _ = writeln!(text, "{field} = {value}");
}

fn comment(text: &mut String, doc: &str) {
    for line in crate::errors::wrap(doc, 97) {
        let _ = writeln!(text, "# {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_the_same() {
        let config = Config::standard().with_base_port(40_000).expect("ports fit");
        let read = Config::from_text(&config.to_toml(), Vec::new()).expect("valid");
        assert_eq!(read, config);
    }

    #[test]
    fn every_key_is_explained() {
        fn visit(table: &Table, path: &str) {
            for (key, value) in table {
                let bank = path == "banks.";
                let key = if bank { "*" } else { key.as_str() };
                let full = format!("{path}{key}");
                assert!(DOCS.iter().any(|(key, _)| *key == full), "{full} is not explained");
                if let Value::Table(table) = value {
                    visit(table, &format!("{full}."));
                }
            }
        }
        visit(&Table::try_from(Config::standard()).expect("a table"), "");
    }
}
