//! What an operator puts beside the program: units for systemd, rules and a board for metrics.
//!
//! They are embedded, so that they are always of the version that runs; `strife ops` prints them or
//! writes them into a directory. Nothing here touches a running service.

/// One file.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Its file name, which systemd and Prometheus go by.
    pub name: &'static str,
    /// Where it usually goes.
    pub place: &'static str,
    /// What it is for, in a clause.
    pub about: &'static str,
    pub text: &'static str,
}

const UNITS: &str = "/etc/systemd/system";
const PROMETHEUS: &str = "/etc/prometheus";

/// Everything, in the order in which one needs it.
pub const PIECES: &[Piece] = &[
    Piece {
        name: "strife-gateway.service",
        place: UNITS,
        about: "the gateway under systemd",
        text: include_str!("strife-gateway.service"),
    },
    Piece {
        name: "strife-bank@.service",
        place: UNITS,
        about: "a bank under systemd: strife-bank@HDFC",
        text: include_str!("strife-bank@.service"),
    },
    Piece {
        name: "strife-console.service",
        place: UNITS,
        about: "the web page under systemd",
        text: include_str!("strife-console.service"),
    },
    Piece {
        name: "strife.scrape.yml",
        place: PROMETHEUS,
        about: "what Prometheus reads",
        text: include_str!("strife.scrape.yml"),
    },
    Piece {
        name: "strife.rules.yml",
        place: PROMETHEUS,
        about: "when Prometheus wakes somebody, and what to do then",
        text: include_str!("strife.rules.yml"),
    },
    Piece {
        name: "OPERATIONS.md",
        place: "/usr/share/doc/strife",
        about: "the operator's handbook, with a section an alarm",
        text: include_str!("../../OPERATIONS.md"),
    },
    Piece {
        name: "strife.dashboard.json",
        place: "Grafana: Dashboards, Import",
        about: "a board for Grafana",
        text: include_str!("strife.dashboard.json"),
    },
];

/// The piece of that name.
pub fn find(name: &str) -> Option<&'static Piece> {
    PIECES.iter().find(|piece| piece.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::meters::NAMES;

    /// Names of ours in a text, without the endings that Prometheus adds.
    fn named(text: &str) -> Vec<String> {
        let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
        let words = text
            .split(word)
            .filter(|it| it.starts_with("strife_") || it.starts_with("grpc_server_"));
        words
            .map(|name| {
                let ending = ["_bucket", "_sum"].iter().find(|ending| name.ends_with(**ending));
                ending.map_or(name, |ending| name.trim_end_matches(ending)).to_owned()
            })
            .collect()
    }

    #[test]
    fn rules_and_board_name_figures_that_exist() {
        for piece in [find("strife.rules.yml"), find("strife.dashboard.json")] {
            let piece = piece.expect("embedded");
            let names = named(piece.text);
            assert!(names.len() > 5, "{}: {names:?}", piece.name);
            for name in names {
                assert!(NAMES.iter().any(|it| it.name == name), "{}: {name}", piece.name);
            }
        }
    }

    #[test]
    fn the_board_is_json_and_every_alarm_says_what_to_do() {
        let board = find("strife.dashboard.json").expect("embedded");
        serde_json::from_str::<serde_json::Value>(board.text).expect("JSON");
        let rules = find("strife.rules.yml").expect("embedded").text;
        let count = |what: &str| rules.matches(what).count();
        assert!(count("- alert:") >= 10);
        assert_eq!(count("- alert:"), count("runbook:"));
        assert_eq!(count("- alert:"), count("severity:"));
    }
}
