//! The pieces for systemd and Prometheus, held against the tools that read them.

use crate::support::edge::has_tool;
use crate::support::live::{ended, strife};
use std::path::Path;
use std::process::Command;
use strife::home::Home;
use strife::ops::PIECES;

fn written() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let (home, place) = (Home::new(directory.path().join("home")), directory.path().join("ops"));
    let place = place.to_str().expect("UTF-8");
    let (code, _, talk) = ended(strife(&home, &["ops", "write", place]).output().expect("ran"));
    assert_eq!(code, 0, "{talk}");
    directory
}

fn passes(tool: &mut Command) {
    let (code, data, talk) = ended(tool.output().expect("ran"));
    assert_eq!(code, 0, "{tool:?}: {data}{talk}");
    assert!(!talk.contains("Unknown") && !talk.contains("warning"), "{tool:?}: {talk}");
}

#[test]
fn every_piece_is_written_and_shown_as_it_is() {
    let directory = written();
    for piece in PIECES {
        let path = directory.path().join("ops").join(piece.name);
        assert_eq!(std::fs::read_to_string(path).expect("written"), piece.text);
        let home = Home::new(directory.path().join("home"));
        let (_, shown, _) =
            ended(strife(&home, &["ops", "show", piece.name]).output().expect("ran"));
        assert_eq!(shown, piece.text);
    }
}

#[test]
fn prometheus_accepts_the_rules_and_what_to_read() {
    if !has_tool("promtool") {
        return;
    }
    let directory = written();
    let path = |name: &str| directory.path().join("ops").join(name);
    passes(Command::new("promtool").args(["check", "rules"]).arg(path("strife.rules.yml")));
    let mut scrape = Command::new("promtool");
    passes(scrape.args(["check", "config"]).arg(path("strife.scrape.yml")));
}

#[test]
fn systemd_accepts_the_units_and_finds_little_left_exposed() {
    if !has_tool("systemd-analyze") {
        return;
    }
    let directory = written();
    for piece in PIECES.iter().filter(|piece| piece.name.ends_with(".service")) {
        // The program is where the test has it, and a template needs an instance.
        let text = piece.text.replace("/usr/local/bin/strife", env!("CARGO_BIN_EXE_strife"));
        let unit = directory.path().join(piece.name.replace('@', "@HDFC"));
        std::fs::write(&unit, text).expect("written");
        verify(&unit);
    }
}

fn verify(unit: &Path) {
    passes(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(unit));
    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--offline=true", "--threshold=20"]).arg(unit);
    passes(&mut security);
}
