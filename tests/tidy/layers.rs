//! Which module of `src/` may import which: down only.

use crate::source::{Named, Source, paths};

/// From the top. A module imports from rows below its own; those in one row never each other.
/// ARCHITECTURE.md says the same with reasons.
pub(crate) const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["bench"],
    &["live", "console"],
    &["supervise", "inspect", "doctor", "ops", "backup"],
    &["init"],
    &["gateway", "bank", "client"],
    &["accept", "certs"],
    &["tls", "journal"],
    &["identity", "sqlite"],
    &["users", "view", "wire"],
    &["home", "crash"],
    &["telemetry"],
    &["config"],
    &["errors"],
];

/// The row in which a module stands.
pub(crate) fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

/// What `lib.rs` declares.
pub(crate) fn modules(lib: &str) -> Vec<String> {
    let declared = lib.lines().filter_map(|line| {
        let name = line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod "))?;
        Some(name.trim_end_matches(';').to_owned())
    });
    declared.collect()
}

/// Every import in `src/` that does not point down. What only tests see may look anywhere.
pub(crate) fn upward_imports(source: &Source) -> Vec<String> {
    let Some(below) = source.path.strip_prefix("src/") else { return Vec::new() };
    if !source.ships() {
        return Vec::new();
    }
    let below = below.trim_end_matches(".rs").trim_end_matches("/mod");
    let module = below.split('/').next().unwrap_or(below);
    if module == "lib" {
        return Vec::new();
    }
    let depth = below.split('/').count();
    let named = paths(&source.shipped);
    let imports = named.iter().filter_map(|named| Some((named, imported(named, depth)?)));
    let upward = imports.filter(|(_, other)| *other != module && !is_below(other, module));
    let told = upward.map(|(named, other)| {
        format!("{}:{}: {module} imports {other}, which is not below it", source.path, named.line)
    });
    told.collect()
}

fn is_below(other: &str, module: &str) -> bool {
    match (layer(other), layer(module)) {
        (Some(other), Some(module)) => other > module,
        // A module without a row is the business of another rule; a path that is none, of nobody.
        _ => true,
    }
}

/// The module of the crate that a path leads to, from a file at this depth.
fn imported(named: &Named, depth: usize) -> Option<&str> {
    let ups = named.parts.iter().take_while(|part| *part == "super").count();
    let at = match named.parts.first()?.as_str() {
        "crate" | "strife" => 1,
        "super" if ups >= depth => ups,
        _ => return None,
    };
    named.parts.get(at).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> usize {
        upward_imports(&Source::new(path, text)).len()
    }

    #[test]
    fn an_import_that_points_up_or_aside_is_found() {
        assert_eq!(complaints("src/config/load.rs", "use crate::gateway::run;"), 1);
        assert_eq!(complaints("src/gateway/mod.rs", "use crate::bank::Ledger;"), 1);
        assert_eq!(complaints("src/bank/service.rs", "use crate::{errors, client::pay};"), 1);
        assert_eq!(complaints("src/bank/service.rs", "fn f() { super::super::client::pay() }"), 1);
        assert_eq!(complaints("src/crash.rs", "use super::cli::run;"), 1);
    }

    #[test]
    fn an_import_that_points_down_inside_or_from_a_test_is_none() {
        assert_eq!(complaints("src/gateway/mod.rs", "use crate::{wire::v1, gateway::x};"), 0);
        assert_eq!(complaints("src/gateway/banks/mod.rs", "use super::coordinator;"), 0);
        assert_eq!(complaints("src/errors/mod.rs", "#[cfg(test)]\nmod t { use crate::cli; }"), 0);
        assert_eq!(complaints("src/errors/mod.rs", "// crate::cli\nconst A: &str = \"\";"), 0);
        assert_eq!(complaints("wal/src/log.rs", "use crate::cli;"), 0);
    }
}
