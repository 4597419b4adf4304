//! One HTML page for people: what happened to each victim, and when. It needs nothing but itself.

use super::{Results, escape};
use crate::live::drill::Report;
use crate::live::{Moment, What};
use recovery::model::major;
use std::fmt::Write as _;

const STYLE: &str = "
:root { color-scheme: light dark; --ok: #18794e; --bad: #cd2b31; --fault: #e5484d;
  --restart: #f5a524; --good: #30a46c; --muted: #80838d; --rail: #80838d40; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { margin: 0; font-size: 1.5rem; } .sum { color: var(--muted); margin: .3rem 0 1.5rem; }
.ok { color: var(--ok); } .bad { color: var(--bad); } .skip { color: var(--muted); }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .35rem .6rem .35rem 0; vertical-align: top; }
th { font-weight: 600; border-bottom: 1px solid var(--rail); }
tr.drill td { border-top: 1px solid var(--rail); } td.num { font-variant-numeric: tabular-nums;
  white-space: nowrap; }
td.fault { color: var(--muted); padding-top: 0; }
.line { position: relative; height: 1.1rem; margin: .1rem 0 .6rem; }
.line .rail { position: absolute; left: 0; right: 0; top: .5rem; height: 2px;
  background: var(--rail); }
.line .out { position: absolute; top: .42rem; height: 6px; border-radius: 3px;
  background: var(--fault); opacity: .35; }
.dot { background: var(--muted); width: 11px; height: 11px; border-radius: 50%; }
.line .dot { position: absolute; top: .2rem; margin-left: -5px; }
.dot.fault { background: var(--fault); } .dot.restart { background: var(--restart); }
.dot.recovered, .dot.settled, .dot.audited { background: var(--good); }
.key .dot { display: inline-block; margin: 0 .3rem 0 .9rem; }
details { color: var(--muted); } details li { list-style: none; }
details span { font-variant-numeric: tabular-nums; display: inline-block; min-width: 5rem; }
";

/// The whole page.
pub fn html(results: &Results) -> String {
    let (failed, skipped) = results.counts();
    let passed = results.drills.len() - failed - skipped;
    let (class, verdict) =
        if results.ok { ("ok", "every rupee where it belongs") } else { ("bad", "NOT all well") };
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>strife drills</title>\n<style>{STYLE}</style>\n\
         <h1>Drills: <span class=\"{class}\">{verdict}</span></h1>\n\
         <p class=\"sum\">{passed} passed, {failed} failed, {skipped} skipped in {} s \u{b7} \
         strife {} \u{b7} repeat with <code>strife drill run --all --seed {}</code></p>\n",
        results.took_ms / 1000,
        escape(&results.version),
        results.seed
    );
    page.push_str(
        "<p class=\"sum key\">Each line is one drill:\
         <i class=\"dot\"></i>all ready<i class=\"dot fault\"></i>the fault\
         <i class=\"dot restart\"></i>started again<i class=\"dot settled\"></i>\
         recovered, settled, audited</p>\n<table>\n<tr><th>Drill<th>Victim<th>Outcome<th>Crash\
         <th>Restart<th>Recovered in<th>Settled in<th>Money</tr>\n",
    );
    for drill in &results.drills {
        row(&mut page, drill);
    }
    page.push_str("</table>\n</html>\n");
    page
}

fn row(page: &mut String, drill: &Report) {
    let class = match (drill.ok, &drill.skipped) {
        (false, _) => "bad",
        (true, Some(_)) => "skip",
        (true, None) => "ok",
    };
    let at = |ms: Option<u64>| ms.map_or("\u{2013}".to_owned(), |ms| format!("at {ms} ms"));
    let money = drill.money.map_or("\u{2013}".to_owned(), |money| {
        let found = i64::try_from(money.found_minor).map_or_else(|_| String::new(), major);
        if money.found_minor == money.expected_minor {
            format!("{found}, all")
        } else {
            format!("{found}, not {}", money.expected_minor)
        }
    });
    let _ = write!(
        page,
        "<tr class=\"drill\"><td><b>{}</b><td>{}<td class=\"{class}\">{}<td class=\"num\">{}\
         <td class=\"num\">{}<td class=\"num\">{} ms<td class=\"num\">{} ms\
         <td class=\"num\">{}</tr>\n<tr><td colspan=\"8\" class=\"fault\">{}",
        escape(&drill.name),
        escape(&drill.victim),
        escape(&drill.outcome),
        at(drill.crashed_ms),
        at(drill.restarted_ms),
        drill.recovered_ms,
        drill.settled_ms,
        escape(&money),
        escape(&drill.fault),
    );
    if let Some(tool) = &drill.skipped {
        let _ = write!(page, " \u{b7} skipped for want of {}", escape(tool));
    }
    if !drill.problem.is_empty() {
        let _ = write!(page, "<br><span class=\"bad\">{}</span>", escape(&drill.problem));
    }
    line(page, &drill.timeline);
    page.push_str("</tr>\n");
}

/// The drill's time from left to right, with what happened in it.
fn line(page: &mut String, timeline: &[Moment]) {
    page.push_str("<div class=\"line\"><div class=\"rail\"></div>");
    let end_ms = timeline.last().map_or(1, |moment| moment.at_ms).max(1);
    let percent = |ms: u64| 100.0 * ms as f64 / end_ms as f64;
    let at = |kind| timeline.iter().find(|moment| moment.kind == kind).map(|moment| moment.at_ms);
    if let Some(fault_ms) = at(What::Fault) {
        let over_ms = at(What::Recovered).or(at(What::Restart)).unwrap_or(end_ms).max(fault_ms);
        let (left, width) = (percent(fault_ms), percent(over_ms) - percent(fault_ms));
        let _ =
            write!(page, "<div class=\"out\" style=\"left:{left:.2}%;width:{width:.2}%\"></div>");
    }
    for moment in timeline {
        let _ = write!(
            page,
            "<i class=\"dot {}\" style=\"left:{:.2}%\" title=\"{} ms: {}\"></i>",
            class(moment.kind),
            percent(moment.at_ms),
            moment.at_ms,
            escape(&moment.what)
        );
    }
    page.push_str("</div><details><summary>what happened</summary><ul>");
    for Moment { at_ms, what, .. } in timeline {
        let _ = write!(page, "<li><span>{at_ms} ms</span> {}", escape(what));
    }
    page.push_str("</ul></details>");
}

fn class(kind: What) -> &'static str {
    match kind {
        What::Begun => "begun",
        What::Fault => "fault",
        What::Restart => "restart",
        What::Recovered => "recovered",
        What::Settled => "settled",
        What::Audited => "audited",
    }
}
