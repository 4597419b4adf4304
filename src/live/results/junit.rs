//! JUnit XML, as continuous integration reads it.

use super::{Results, escape};
use std::fmt::Write as _;

/// One suite, one case a drill.
pub fn junit(results: &Results) -> String {
    let (failed, skipped) = results.counts();
    let seconds = |ms: u64| ms as f64 / 1000.0;
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuite name=\"strife drill\" tests=\"{}\" failures=\"{failed}\" \
         skipped=\"{skipped}\" time=\"{:.3}\">",
        results.drills.len(),
        seconds(results.took_ms)
    );
    for drill in &results.drills {
        let (name, victim) = (escape(&drill.name), escape(&drill.victim));
        let time = seconds(drill.took_ms);
        let _ = write!(
            xml,
            "  <testcase name=\"{name}\" classname=\"drill.{}\" time=\"{time:.3}\">",
            victim.replace([' ', '\''], "_")
        );
        if let Some(tool) = &drill.skipped {
            let _ = write!(xml, "<skipped message=\"{}\"/>", escape(tool));
        }
        if !drill.ok {
            let problem = escape(&drill.problem);
            let _ =
                write!(xml, "<failure message=\"{problem}\">{}</failure>", escape(&drill.fault));
        }
        xml.push_str("</testcase>\n");
    }
    xml.push_str("</testsuite>\n");
    xml
}
