//! The rules about one file, each a function from it to complaints.

use crate::source::{Source, functions, paths};

const FILE_LINES_MAX: usize = 500;
const LINE_COLUMNS_MAX: usize = 100;
const FUNCTION_LINES_MAX: usize = 69;

/// A dependency and the only places that name it.
struct Door {
    /// As code names it: a crate, or a path into the standard library.
    path: &'static str,
    /// Whose rule it is.
    within: &'static [&'static str],
    /// Where it stands open: a file, or what paths begin with.
    open: &'static [&'static str],
}

/// ARCHITECTURE.md has the same list with reasons.
const DOORS: &[Door] = &[
    Door {
        path: "bincode",
        within: &["src", "wal/src", "recovery/src"],
        open: &["recovery/src/record.rs"],
    },
    Door {
        path: "rusqlite",
        within: &["src"],
        open: &["src/sqlite", "src/gateway/mirror.rs", "src/bank/book.rs", "src/inspect/export"],
    },
    Door { path: "rustls", within: &["src"], open: &["src/tls", "src/accept"] },
    Door { path: "tokio_rustls", within: &["src"], open: &["src/tls", "src/accept"] },
    Door { path: "rcgen", within: &["src"], open: &["src/certs"] },
    Door { path: "tonic::include_proto", within: &["src"], open: &["src/wire"] },
    Door { path: "argon2", within: &["src"], open: &["src/users"] },
    Door { path: "rustyline", within: &["src"], open: &["src/cli", "src/client/prompt"] },
    Door { path: "std::fs", within: &["wal/src"], open: &["wal/src/storage.rs"] },
    // `recovery` has no door to any of these: it cannot wait, send, open a file or read a clock.
    Door { path: "std::fs", within: &["recovery/src"], open: &[] },
    Door { path: "std::net", within: &["recovery/src"], open: &[] },
    Door { path: "std::thread", within: &["recovery/src"], open: &[] },
    Door { path: "std::time", within: &["recovery/src"], open: &[] },
    Door { path: "tokio", within: &["recovery/src", "wal/src"], open: &[] },
    Door { path: "tonic", within: &["recovery/src", "wal/src"], open: &[] },
    Door { path: "rustls", within: &["recovery/src", "wal/src"], open: &[] },
    Door { path: "rusqlite", within: &["recovery/src", "wal/src"], open: &[] },
    Door { path: "rand", within: &["recovery/src", "wal/src"], open: &[] },
];

/// What the log must never name, not even in a comment: it does not know what it stores.
const NOT_IN_WAL: &[&str] = &["payment", "bank", "serde", "tokio", "sqlite"];

/// What is written to be taken out again, or to look away.
const LEFTOVERS: &[&str] = &["todo!", "unimplemented!", "dbg!", "#[ignore"];

/// Packages that would be a second cryptography, or a library of the machine.
const BANNED: &[&str] = &["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls"];

pub(crate) fn header(source: &Source) -> Vec<String> {
    let says =
        source.text.lines().next().is_some_and(|line| {
            line.strip_prefix("//! ").is_some_and(|text| !text.trim().is_empty())
        });
    if says { Vec::new() } else { vec![format!("{}:1: begins without `//!`", source.path)] }
}

pub(crate) fn sizes(source: &Source) -> Vec<String> {
    let path = &source.path;
    let mut told = Vec::new();
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        told.push(format!("{path}: {lines} lines, and {FILE_LINES_MAX} are allowed"));
    }
    for (at, line) in source.text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > LINE_COLUMNS_MAX {
            told.push(format!("{path}:{}: {columns} columns wide", at + 1));
        }
    }
    for function in functions(&source.code) {
        if function.lines > FUNCTION_LINES_MAX {
            let (name, lines) = (function.name, function.lines);
            told.push(format!("{path}:{}: {name} has {lines} lines", function.line));
        }
    }
    told
}

pub(crate) fn leftovers(source: &Source) -> Vec<String> {
    let lines = source.code.lines().enumerate();
    let told = lines.flat_map(|(at, line)| {
        let found = LEFTOVERS.iter().filter(move |word| {
            line.match_indices(**word).any(|(start, _)| {
                !line[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_')
            })
        });
        found.map(move |word| format!("{}:{}: {word}", source.path, at + 1))
    });
    told.collect()
}

pub(crate) fn doors(source: &Source) -> Vec<String> {
    let concerned = DOORS.iter().filter(|door| {
        source.is_below(door.within) && !source.is_below(door.open) && source.ships()
    });
    let concerned: Vec<&Door> = concerned.collect();
    if concerned.is_empty() {
        return Vec::new();
    }
    let named = paths(&source.shipped);
    let told = named.iter().filter(|named| named.parts.len() > 1).filter_map(|named| {
        let door = concerned.iter().find(|door| named.begins(door.path))?;
        let (path, line) = (&source.path, named.line);
        Some(format!("{path}:{line}: {} is named outside {:?}", door.path, door.open))
    });
    told.collect()
}

pub(crate) fn wal_is_a_log_of_poems(source: &Source) -> Vec<String> {
    if !source.is_below(&["wal/src"]) {
        return Vec::new();
    }
    let lines = source.text.lines().enumerate();
    let told = lines.flat_map(|(at, line)| {
        let lower = line.to_lowercase();
        let found = NOT_IN_WAL.iter().filter(move |word| lower.contains(**word));
        found.map(move |word| format!("{}:{}: the log names {word}", source.path, at + 1))
    });
    told.collect()
}

/// Packages under `[dependencies]` that are not allowed there.
pub(crate) fn dependencies(path: &str, manifest: &str, allowed: &[&str]) -> Vec<String> {
    let after = manifest.split_once("\n[dependencies]\n").map_or("", |(_, after)| after);
    let table = after.split_once("\n[").map_or(after, |(table, _)| table);
    let names = table.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    let names = names.filter(|name| !name.is_empty() && !name.starts_with('#'));
    names
        .filter(|name| !allowed.contains(name))
        .map(|name| format!("{path} depends on {name}"))
        .collect()
}

pub(crate) fn banned_packages(lock: &str) -> Vec<String> {
    let is_there = |name: &&&str| lock.contains(&format!("\nname = \"{name}\"\n"));
    BANNED.iter().filter(is_there).map(|name| format!("Cargo.lock holds {name}")).collect()
}

/// The points of `point.rs`: variant and name.
pub(crate) fn crash_points(text: &str) -> Vec<(String, String)> {
    let table = text.split_once("\npoints! {").map_or("", |(_, after)| after);
    let table = table.split_once("\n}\n").map_or(table, |(table, _)| table);
    let rows = table.lines().filter_map(|line| {
        let (variant, name) = line.trim().split_once(' ')?;
        let name = name.strip_prefix('"')?.strip_suffix('"')?;
        let word = variant.chars().all(char::is_alphanumeric);
        word.then(|| (variant.to_owned(), name.to_owned()))
    });
    rows.collect()
}

/// Points that no drill names, by name or by variant.
pub(crate) fn undrilled(points: &[(String, String)], drills: &str) -> Vec<String> {
    let named = |(variant, name): &(String, String)| {
        drills.contains(&format!("\"{name}\"")) || drills.contains(&format!("Point::{variant}"))
    };
    let missing = points.iter().filter(|point| !named(point));
    missing.map(|(_, name)| format!("no drill dies at {name}")).collect()
}

/// The names of the functions in some code: among them, of its tests.
pub(crate) fn tests(code: &str) -> Vec<String> {
    let functions = functions(code).into_iter();
    functions.map(|function| function.name).collect()
}

/// Claims that a document leaves to a test that is not there. A test is cited as `` `a_name` ``
/// with at least three underscores.
pub(crate) fn unkept(path: &str, document: &str, tests: &[String]) -> Vec<String> {
    let prose = document.split("```").step_by(2);
    let quoted = prose.flat_map(|prose| prose.split('`').skip(1).step_by(2));
    let cited = quoted.filter(|word| {
        let plain = word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        plain && word.matches('_').count() >= 3
    });
    let missing = cited.filter(|name| !tests.iter().any(|test| test == name));
    missing.map(|name| format!("{path} cites {name}, and no test is called so")).collect()
}

#[cfg(test)]
mod can_complain {
    use super::*;

    fn at(path: &str, text: &str) -> Source {
        Source::new(path, text)
    }

    #[test]
    fn about_a_file_that_does_not_say_what_it_is() {
        assert_eq!(header(&at("src/a.rs", "use std::io;\n")).len(), 1);
        assert_eq!(header(&at("src/a.rs", "//! \n")).len(), 1);
        assert_eq!(header(&at("src/a.rs", "//! A door.\n")).len(), 0);
    }

    #[test]
    fn about_what_is_too_long() {
        let long = format!("fn long() {{\n{}}}\n", "    step();\n".repeat(68));
        assert_eq!(sizes(&at("src/a.rs", &long)).len(), 1);
        let short = format!("fn short() {{\n{}}}\n", "    step();\n".repeat(67));
        assert_eq!(sizes(&at("src/a.rs", &short)).len(), 0);
        assert_eq!(sizes(&at("src/a.rs", &"//\n".repeat(501))).len(), 1);
        assert_eq!(sizes(&at("src/a.rs", &"x".repeat(101))).len(), 1);
        let braces =
            format!("fn f() {{\n    let a = '{{';\n    \"}}\";\n}}\n{}", "//\n".repeat(90));
        assert_eq!(sizes(&at("src/a.rs", &braces)).len(), 0);
    }

    #[test]
    fn about_leftovers_but_not_about_words() {
        let text = "fn f() { todo!(); dbg!(1) }\n#[ignore = \"slow\"]\nfn g() {}\n";
        assert_eq!(leftovers(&at("src/a.rs", text)).len(), 3);
        assert_eq!(leftovers(&at("src/a.rs", "// todo! later\n/* dbg! */ \"todo!\"")).len(), 0);
    }

    #[test]
    fn about_a_second_door() {
        assert_eq!(doors(&at("src/gateway/mod.rs", "use rusqlite::Connection;")).len(), 1);
        assert_eq!(doors(&at("src/gateway/mirror.rs", "use rusqlite::Connection;")).len(), 0);
        assert_eq!(doors(&at("wal/src/log.rs", "use std::{io, fs::File};")).len(), 1);
        assert_eq!(doors(&at("wal/src/log.rs", "fn f() { std::fs::read(p) }")).len(), 1);
        assert_eq!(doors(&at("recovery/src/a.rs", "use std::time::Instant;")).len(), 1);
        assert_eq!(doors(&at("recovery/src/a.rs", "use bincode::config;")).len(), 1);
        assert_eq!(doors(&at("src/bank/mod.rs", "tonic::include_proto!(\"strife.v1\");")).len(), 1);
        assert_eq!(doors(&at("src/bank/mod.rs", "let rustls = 1; x(rustls)")).len(), 0);
    }

    #[test]
    fn about_a_log_that_knows_what_it_stores() {
        assert_eq!(wal_is_a_log_of_poems(&at("wal/src/log.rs", "// one Payment\n")).len(), 1);
        assert_eq!(wal_is_a_log_of_poems(&at("wal/tests/a.rs", "// one payment\n")).len(), 0);
    }

    #[test]
    fn about_a_dependency_too_many() {
        let manifest =
            "[package]\n\n[dependencies]\nwal.workspace = true\ntokio = \"1\"\n\n[lints]\n";
        assert_eq!(dependencies("a", manifest, &["wal"]), ["a depends on tokio"]);
        assert_eq!(banned_packages("[[package]]\nname = \"openssl-sys\"\nversion").len(), 1);
    }

    #[test]
    fn about_a_point_without_a_drill() {
        let table =
            "\npoints! {\n    Bank {\n        Held \"after-held\"\n            \"x\",\n    }\n}\n";
        let points = crash_points(table);
        assert_eq!(points, [("Held".to_owned(), "after-held".to_owned())]);
        assert_eq!(undrilled(&points, "at(\"after-holding\")").len(), 1);
        assert_eq!(undrilled(&points, "at(\"after-held\")").len(), 0);
        assert_eq!(undrilled(&points, "at(Point::Held)").len(), 0);
    }

    #[test]
    fn about_a_promise_without_its_test() {
        let tests = tests("fn money_is_never_lost() {}");
        let kept = "P1 `money_is_never_lost`, `transaction_id`";
        assert!(unkept("README.md", kept, &tests).is_empty());
        assert_eq!(unkept("README.md", "`money_is_never_made`", &tests).len(), 1);
    }
}
