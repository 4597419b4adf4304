//! What drills came to: kept as JSON, and shown as JUnit XML to other programs and as one HTML page
//! to people. Refuses to run anything.

mod html;
mod junit;

pub use html::html;
pub use junit::junit;

use super::drill::Report;
use crate::errors::{Exit, Failure};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// The last run, in the directory of drills.
const LAST: &str = "last.json";

/// All drills of one run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Results {
    pub ok: bool,
    pub seed: u64,
    pub version: String,
    pub began_unix_ms: u64,
    pub took_ms: u64,
    pub drills: Vec<Report>,
}

impl Results {
    /// Keeps them in `directory`, in the place of the last.
    pub fn save(&self, directory: &Path) -> Result<PathBuf, Failure> {
        let file = directory.join(LAST);
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(&file, text))
            .map_err(|error| Failure::unexpected(&format!("write {}", file.display()), &error))?;
        Ok(file)
    }

    /// Those of the last run.
    pub fn load(directory: &Path) -> Result<Self, Failure> {
        let file = directory.join(LAST);
        let todo = "Run some first: strife drill run --all";
        let text = fs::read_to_string(&file).map_err(|error| {
            let what = format!("no results of drills in {}: {error}", directory.display());
            Failure::plain(Exit::Usage, what).todo(todo)
        })?;
        serde_json::from_str(&text).map_err(|error| {
            let what = format!("{} cannot be read: {error}", file.display());
            Failure::plain(Exit::Usage, what).todo(todo)
        })
    }

    /// How many failed and how many were skipped.
    pub fn counts(&self) -> (usize, usize) {
        let failed = self.drills.iter().filter(|drill| !drill.ok).count();
        (failed, self.drills.iter().filter(|drill| drill.skipped.is_some()).count())
    }
}

/// Text that stands between tags or in an attribute. What XML cannot hold is left out.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')) {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::{Moment, What};

    fn drill(name: &str, ok: bool, skipped: Option<&str>) -> Report {
        let moment = |at_ms, kind, what: &str| Moment { at_ms, kind, what: what.to_owned() };
        Report {
            name: name.to_owned(),
            victim: "gateway".to_owned(),
            fault: "SIGKILL <after> \"lunch\"".to_owned(),
            outcome: "COMMITTED".to_owned(),
            recovered_ms: 40,
            settled_ms: 90,
            crashed_ms: Some(100),
            restarted_ms: Some(150),
            money: None,
            timeline: vec![
                moment(0, What::Begun, "all services are ready"),
                moment(100, What::Fault, "dead"),
                moment(400, What::Audited, "all logs agree"),
            ],
            took_ms: 500,
            ok,
            skipped: skipped.map(str::to_owned),
            problem: if ok { String::new() } else { "1 < 2 & \u{1}so on".to_owned() },
            home: None,
            exit: Exit::Done,
        }
    }

    fn results() -> Results {
        let drills = vec![
            drill("one", true, None),
            drill("two", false, None),
            drill("three", true, Some("root")),
        ];
        let (version, ok) = ("0.1.0".to_owned(), false);
        Results { ok, seed: 7, version, began_unix_ms: 1_790_000_000_000, took_ms: 1500, drills }
    }

    #[test]
    fn results_are_read_as_they_were_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let kept = results();
        kept.save(directory.path()).expect("kept");
        assert_eq!(Results::load(directory.path()).expect("read"), kept);
        let none = Results::load(&directory.path().join("none")).expect_err("nothing there");
        assert_eq!(none.exit, Exit::Usage);
    }

    #[test]
    fn junit_counts_failures_and_skips_and_escapes_what_was_said() {
        let xml = junit(&results());
        assert!(xml.contains("tests=\"3\" failures=\"1\" skipped=\"1\""), "{xml}");
        assert!(xml.contains("<failure message=\"1 &lt; 2 &amp; so on\""), "{xml}");
        assert!(xml.contains("<skipped message=\"root\"/>"), "{xml}");
        assert!(!xml.contains('\u{1}'));
    }

    #[test]
    fn the_page_needs_nothing_but_itself_and_shows_a_timeline_a_drill() {
        let page = html(&results());
        for outside in ["http://", "https://", "src=", "<link"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!(page.matches("class=\"line\"").count(), 3);
        assert!(page.contains("SIGKILL &lt;after&gt; &quot;lunch&quot;"), "{page}");
        assert!(page.contains("1 failed") && page.contains("--seed 7"), "{page}");
    }
}
