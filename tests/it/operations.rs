//! The operator's handbook, held to its word: its commands are run, each alarm has its section.

use crate::support::live::{Stage, ended, good, strife};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use strife::home::Home;
use strife::ops;

fn handbook() -> &'static str {
    ops::find("OPERATIONS.md").expect("embedded").text
}

/// The fenced blocks of a document: what stands behind the fence, and the lines.
fn blocks(document: &str) -> Vec<(&str, Vec<&str>)> {
    let (mut all, mut open): (Vec<(&str, Vec<&str>)>, bool) = (Vec::new(), false);
    for line in document.lines() {
        match (line.strip_prefix("```"), open) {
            (Some(kind), false) => {
                all.push((kind, Vec::new()));
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => all.last_mut().expect("one is open").1.push(line),
            (None, false) => {}
        }
    }
    all
}

#[test]
fn every_alarm_names_its_section_of_the_handbook_and_every_section_an_alarm() {
    let rules = ops::find("strife.rules.yml").expect("embedded").text;
    let alarms: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alarms.len() >= 10, "{alarms:?}");
    let told: Vec<String> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("handbook: "))
        .map(|it| it.trim_matches('"').to_owned())
        .collect();
    let named = alarms.iter().map(|alarm| format!("OPERATIONS.md#{}", alarm.to_lowercase()));
    assert_eq!(told, named.collect::<Vec<_>>(), "in the order of the alarms");
    let sections: BTreeSet<&str> =
        handbook().lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(sections, alarms.into_iter().collect());
}

#[test]
fn every_command_of_the_handbook_exists() {
    let home = Home::new(std::env::temp_dir().join("no-home-of-ours"));
    let mut count = 0;
    for (_, lines) in blocks(handbook()) {
        let is_ours = |line: &&&str| line.starts_with("strife ") || line.contains(" strife ");
        for line in lines.iter().filter(is_ours) {
            let command = line.rsplit_once("strife ").expect("it is there").1;
            count += 1;
            let words: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
            let (code, _, talk) = ended(strife(&home, &words).output().expect("ran"));
            assert_eq!(code, 0, "{command}: {talk}");
        }
    }
    assert!(count > 30, "{count}");
}

/// One block, as somebody types it who has `strife` at hand.
fn run(stage: &Stage, place: &Path, lines: &[&str]) {
    let program = Path::new(env!("CARGO_BIN_EXE_strife")).parent().expect("a directory");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &lines.join("\n")]).current_dir(place);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("STRIFE_")) {
        shell.env_remove(name);
    }
    shell.env("PATH", format!("{}:{path}", program.display()));
    shell.env("STRIFE_HOME", stage.home().root()).env("STRIFE_COLOR", "never");
    let (code, data, talk) = ended(shell.output().expect("ran"));
    assert_eq!(code, 0, "{lines:?}\n{data}{talk}");
}

#[test]
fn the_commands_of_the_handbook_do_what_it_says_in_its_order() {
    let mut stage = Stage::begin();
    good(stage.scene.pay_for_sure());
    let paid = stage.client(1, &["transfer", "250", "10000000000002", "rent-august"]).output();
    assert_eq!(ended(paid.expect("ran")).0, 0);
    let place = tempfile::tempdir().expect("a directory");
    let mut count = 0;
    for (kind, lines) in blocks(handbook()) {
        match kind {
            "sh" => run(&stage, place.path(), &lines),
            "sh stopped" => {
                good(stage.scene.cluster.stop_all());
                run(&stage, place.path(), &lines);
                good(stage.scene.cluster.start_all());
                good(stage.scene.pay_for_sure());
            }
            other => {
                assert_eq!(other, "text");
                continue;
            }
        }
        count += lines.len();
    }
    assert!(count > 30, "{count}");
    let (code, data, _) =
        ended(stage.client(1, &["tx", "show", "rent-august"]).output().expect("ran"));
    assert!(code == 0 && data.contains("COMMITTED"), "{data}");
}
