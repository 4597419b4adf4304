//! From files and the environment to a [`Config`], or to an error that names the key.

use super::{Bank, Config, default_banks};
use crate::errors::{Failure, Reason};
use config::{File, FileFormat};
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};

/// Of every environment variable that is read here. Only names with `__` in them are keys.
pub(super) const PREFIX: &str = "STRIFE_";

/// Settings given on the command line, as `("gateway.address", "127.0.0.1:1")`.
pub type Flags = Vec<(String, String)>;

impl Config {
    /// The configuration in force: `flags` over the environment over the file over the defaults.
    /// A file that is not there is empty.
    pub fn load(file: &Path, flags: Flags) -> Result<Self, Failure> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(invalid(format!("cannot read {}: {error}", file.display()))),
        };
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self::merge(&text, environment, flags, &file.display().to_string())
    }

    /// The same from text, with no flags: for tests and for `config check`.
    pub fn from_text(text: &str, environment: Vec<(String, String)>) -> Result<Self, Failure> {
        Self::merge(text, environment, Flags::new(), "strife.toml")
    }

    fn merge(
        text: &str,
        environment: Vec<(String, String)>,
        flags: Flags,
        file: &str,
    ) -> Result<Self, Failure> {
        let table: Table = text.parse().map_err(|error| invalid(format!("{file}: {error}")))?;
        check(&table, "", file)?;
        let banks = match table.get("banks") {
            Some(Value::Table(banks)) => banks.keys().cloned().collect(),
            _ => default_banks().keys().map(ToString::to_string).collect::<Vec<String>>(),
        };
        let defaults = if table.contains_key("banks") { String::new() } else { banks_text() };
        let mut builder = config::Config::builder()
            .add_source(File::from_str(&defaults, FileFormat::Toml))
            .add_source(File::from_str(text, FileFormat::Toml));
        for (key, value, origin) in overrides(environment, flags, &banks) {
            check(&nested(&key), "", &origin)?;
            builder = builder.set_override(&key, value).map_err(|e| refused(&origin, &e))?;
        }
        let merged = builder.build().map_err(|error| refused(file, &error))?;
        let config: Self = merged.try_deserialize().map_err(|error| refused(file, &error))?;
        config.sensible()
    }

    /// Values that parse and still cannot be meant.
    fn sensible(self) -> Result<Self, Failure> {
        let zero = [
            ("gateway.two_phase_timeout_ms", self.gateway.two_phase_timeout_ms),
            ("gateway.max_in_flight", self.gateway.max_in_flight as u64),
            ("gateway.max_in_flight_per_bank", self.gateway.max_in_flight_per_bank as u64),
            ("gateway.session_idle_s", self.gateway.session_idle_s),
            ("gateway.session_absolute_s", self.gateway.session_absolute_s),
            ("limits.connections", self.limits.connections as u64),
            ("limits.connections_per_address", self.limits.connections_per_address as u64),
            ("limits.handshakes", self.limits.handshakes as u64),
            ("limits.handshake_timeout_ms", self.limits.handshake_timeout_ms),
            ("limits.streams_per_connection", u64::from(self.limits.streams_per_connection)),
            ("limits.calls", self.limits.calls as u64),
            ("limits.calls_per_client", self.limits.calls_per_client as u64),
            ("client.timeout_ms", self.client.timeout_ms),
            ("client.retry_ms", self.client.retry_ms),
            ("client.retry_max_ms", self.client.retry_max_ms),
        ];
        if let Some((key, _)) = zero.into_iter().find(|(_, value)| *value == 0) {
            return Err(invalid(format!("{key} must be greater than zero")));
        }
        if self.wal.segment_bytes < SEGMENT_BYTES_MIN {
            return Err(invalid(format!("wal.segment_bytes must be {SEGMENT_BYTES_MIN} or more")));
        }
        if self.banks.is_empty() {
            return Err(invalid("no bank is configured".to_owned()));
        }
        let mut taken = BTreeMap::new();
        let gateway = [
            ("gateway.address".to_owned(), &self.gateway.address),
            ("gateway.internal_address".to_owned(), &self.gateway.internal_address),
        ];
        let banks = self.banks.iter().map(|(name, bank)| (format!("banks.{name}"), &bank.address));
        for (key, address) in gateway.into_iter().chain(banks) {
            if let Some(other) = taken.insert(address, key.clone()) {
                return Err(invalid(format!("{other} and {key} are both {address}")));
            }
        }
        Ok(self)
    }
}

/// A segment holds at least this much.
const SEGMENT_BYTES_MIN: u64 = 1 << 20;

fn banks_text() -> String {
    toml::to_string(&Config { banks: default_banks(), ..Config::default() }).unwrap_or_default()
}

/// The keys that the environment and the flags set, weakest first, with where each came from.
fn overrides(
    environment: Vec<(String, String)>,
    flags: Flags,
    banks: &[String],
) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    let mut environment = environment;
    environment.sort();
    for (name, value) in environment {
        let Some(key) = name.strip_prefix(PREFIX).filter(|key| key.contains("__")) else {
            continue;
        };
        let mut parts: Vec<String> = key.split("__").map(str::to_lowercase).collect();
        // Banks keep their own spelling: STRIFE_BANKS__HDFC__ADDRESS is banks.HDFC.address.
        if parts.first().is_some_and(|part| part == "banks")
            && let Some(part) = parts.get_mut(1)
            && let Some(bank) = banks.iter().find(|bank| bank.eq_ignore_ascii_case(part))
        {
            part.clone_from(bank);
        }
        all.push((parts.join("."), value, format!("environment variable {name}")));
    }
    for (key, value) in flags {
        let origin = format!("flag for {key}");
        all.push((key, value, origin));
    }
    all
}

/// `a.b.c` as the tables that it names.
fn nested(key: &str) -> Table {
    let (first, rest) = key.split_once('.').unwrap_or((key, ""));
    let value = if rest.is_empty() { Value::Integer(0) } else { Value::Table(nested(rest)) };
    Table::from_iter([(first.to_owned(), value)])
}

/// Refuses the first key of `table` that nothing reads.
fn check(table: &Table, path: &str, origin: &str) -> Result<(), Failure> {
    let known = known(path);
    for (key, value) in table {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if let Some(known) = &known
            && !known.contains(key)
        {
            return Err(unknown(&full, key, path, known, origin));
        }
        if let Value::Table(table) = value {
            check(table, &full, origin)?;
        }
    }
    Ok(())
}

/// The keys of a table, read from the defaults; `None` where any key goes (the names of banks).
fn known(path: &str) -> Option<Vec<String>> {
    if path == "banks" {
        return None;
    }
    let mut table = Table::try_from(Config::default()).ok()?;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let next = match table.get(part) {
            Some(Value::Table(next)) => next.clone(),
            _ if path.starts_with("banks.") => Table::try_from(any_bank()).ok()?,
            _ => return None,
        };
        table = next;
    }
    Some(table.keys().cloned().collect())
}

fn any_bank() -> Option<Bank> {
    default_banks().into_values().next()
}

fn unknown(full: &str, key: &str, path: &str, known: &[String], origin: &str) -> Failure {
    let nearest = known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(candidate, key), candidate))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let table = if path.is_empty() { String::new() } else { format!(" of [{path}]") };
    let todo = match nearest {
        Some((_, candidate)) => format!("Did you mean \"{candidate}\"?"),
        None => format!("The keys{table} are: {}.", known.join(", ")),
    };
    invalid(format!("{origin}: unknown key \"{full}\"")).todo(todo)
}

fn refused(origin: &str, error: &config::ConfigError) -> Failure {
    invalid(format!("{origin}: {}", crate::errors::chain(error)))
}

fn invalid(what: String) -> Failure {
    Failure::new(Reason::ConfigInvalid, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::Exit;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, Failure> {
        let pairs = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Config::from_text(text, pairs.collect())
    }

    fn error(text: &str, environment: &[(&str, &str)]) -> String {
        let failure = load(text, environment).expect_err("must be refused");
        assert_eq!(failure.exit, Exit::Configuration);
        failure.to_string()
    }

    #[test]
    fn an_empty_file_is_the_standard_configuration() {
        assert_eq!(load("", &[]).expect("valid"), Config::standard());
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        let text = error("[gateway]\ntwo_phase_timeout = 3\n", &[]);
        assert!(text.contains("\"gateway.two_phase_timeout\""), "{text}");
        assert!(text.contains("Did you mean \"two_phase_timeout_ms\"?"), "{text}");
        let text = error("[gatewy]\n", &[]);
        assert!(text.contains("Did you mean \"gateway\"?"), "{text}");
        let text = error("[banks.SBI]\nadress = \"a:1\"\n", &[]);
        assert!(text.contains("Did you mean \"address\"?"), "{text}");
        let text = error("", &[("STRIFE_GATEWAY__ACKS", "decided")]);
        assert!(text.contains("STRIFE_GATEWAY__ACKS"), "{text}");
        assert!(text.contains("Did you mean \"ack\"?"), "{text}");
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let text = "[gateway]\nmax_in_flight = 1\nsettle_wait_ms = 1\ntwo_phase_timeout_ms = 1\n";
        let environment = vec![
            ("STRIFE_GATEWAY__SETTLE_WAIT_MS".to_owned(), "2".to_owned()),
            ("STRIFE_GATEWAY__MAX_IN_FLIGHT".to_owned(), "2".to_owned()),
            ("STRIFE_HOME".to_owned(), "not a key".to_owned()),
        ];
        let flags = vec![("gateway.max_in_flight".to_owned(), "3".to_owned())];
        let config = Config::merge(text, environment, flags, "x").expect("valid");
        let gateway = config.gateway;
        assert_eq!(gateway.two_phase_timeout_ms, 1);
        assert_eq!(gateway.settle_wait_ms, 2);
        assert_eq!(gateway.max_in_flight, 3);
    }

    #[test]
    fn a_table_of_banks_replaces_the_six() {
        let sbi = "[banks.SBI]\naddress = \"h:1\"\nmetrics_address = \"h:2\"\n";
        let config = load(sbi, &[("STRIFE_BANKS__SBI__ADDRESS", "other:3")]).expect("valid");
        let banks: Vec<String> = config.banks.keys().map(ToString::to_string).collect();
        assert_eq!(banks, ["SBI"]);
        let address = config.banks.values().next().map(|bank| bank.address.to_string());
        assert_eq!(address.as_deref(), Some("other:3"));
    }

    #[test]
    fn a_bank_needs_no_more_than_an_address() {
        let text = "[banks.SBI]\naddress = \"h:5000\"\nforeign = true\n";
        let config = load(text, &[]).expect("valid");
        let bank = config.banks.values().next().expect("a bank");
        assert_eq!((bank.metrics_address.to_string().as_str(), bank.foreign), ("h:6000", true));
        assert!(error("[banks.SBI]\nforeign = true\n", &[]).contains("address"));
    }

    #[test]
    fn a_value_that_cannot_be_meant_is_refused_by_its_key() {
        assert!(error("[gateway]\nack = \"never\"\n", &[]).contains("ack"));
        assert!(error("[gateway]\naddress = \"nowhere\"\n", &[]).contains("host:port"));
        assert!(error("[limits]\nhandshakes = 0\n", &[]).contains("limits.handshakes"));
        let twice = "[gateway]\naddress = \"127.0.0.1:50051\"\n";
        assert!(error(twice, &[]).contains("are both 127.0.0.1:50051"));
        assert!(error("[gateway", &[]).contains("strife.toml"));
    }
}
