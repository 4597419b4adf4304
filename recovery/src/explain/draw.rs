//! The diagram as text for a terminal, and as Mermaid for a page.

use super::{Explanation, Lane, Step};
use std::fmt::Write;

/// Columns before the first lane: the time.
const MARGIN_COLUMNS: usize = 12;
/// Columns from one lane to the next.
const LANE_COLUMNS: usize = 26;

fn name(lane: Lane) -> String {
    match lane {
        Lane::Client => "client".to_owned(),
        Lane::Gateway => "gateway".to_owned(),
        Lane::Bank(bank) => bank.to_string(),
    }
}

/// One row of characters, with each lane's line drawn in.
struct Row(Vec<char>);

impl Row {
    fn new(lanes: usize) -> Self {
        let mut row = vec![' '; MARGIN_COLUMNS + LANE_COLUMNS * lanes];
        (0..lanes).for_each(|lane| row[centre(lane)] = '|');
        Self(row)
    }

    fn put(&mut self, at: usize, text: &str) {
        for (at, character) in (at..).zip(text.chars()) {
            if at >= self.0.len() {
                self.0.resize(at + 1, ' ');
            }
            self.0[at] = character;
        }
    }

    fn put_centred(&mut self, middle: usize, text: &str) {
        self.put(middle.saturating_sub(text.chars().count() / 2), text);
    }

    fn end(self, text: &mut String) {
        let row: String = self.0.into_iter().collect();
        let _ = writeln!(text, "{}", row.trim_end());
    }
}

fn centre(lane: usize) -> usize {
    MARGIN_COLUMNS + LANE_COLUMNS / 2 + LANE_COLUMNS * lane
}

/// The diagram, a row a record or message. Times are milliseconds since the first record.
pub fn text(told: &Explanation) -> String {
    let mut text = String::new();
    let lanes = told.lanes.len();
    let place = |lane: Lane| told.lanes.iter().position(|it| *it == lane).unwrap_or(0);
    let mut row = Row::new(0);
    for (at, lane) in told.lanes.iter().enumerate() {
        row.put_centred(centre(at), &name(*lane));
    }
    row.end(&mut text);
    let times = told.steps.iter().filter_map(|step| match step {
        Step::Happened(happened) => Some(happened.wall_ms),
        Step::Message(_) => None,
    });
    let first_ms = times.min().unwrap_or(0);
    for step in &told.steps {
        let mut row = Row::new(lanes);
        match step {
            Step::Happened(happened) => {
                row.put(0, &format!("{:>7} ms", happened.wall_ms - first_ms));
                let forced = if happened.forced { " *" } else { "" };
                let words = format!("[{} {}{forced}]", happened.lsn, happened.words);
                row.put_centred(centre(place(happened.lane)), &words);
                if happened.commit_point {
                    row.put(centre(lanes - 1) + LANE_COLUMNS / 2, "  <== the outcome is fixed");
                }
            }
            Step::Message(message) => {
                let (from, to) = (centre(place(message.from)), centre(place(message.to)));
                let (left, right) = (from.min(to) + 1, from.max(to));
                (left..right).for_each(|at| row.0[at] = '-');
                if from < to {
                    row.put(right - 1, ">");
                } else {
                    row.put(left, "<");
                }
                row.put_centred(usize::midpoint(left, right), &format!(" {} ", message.words));
            }
        }
        row.end(&mut text);
    }
    text
}

/// The same for whatever renders Mermaid's sequence diagrams.
pub fn mermaid(told: &Explanation) -> String {
    let mut text = "sequenceDiagram\n".to_owned();
    for lane in &told.lanes {
        let _ = writeln!(text, "    participant {}", name(*lane));
    }
    for step in &told.steps {
        let _ = match step {
            Step::Happened(happened) => {
                let forced = if happened.forced { " (synced)" } else { "" };
                let (lane, lsn, words) = (name(happened.lane), happened.lsn, &happened.words);
                writeln!(text, "    Note over {lane}: {lsn} {words}{forced}")
            }
            Step::Message(message) => writeln!(
                text,
                "    {}->>{}: {}",
                name(message.from),
                name(message.to),
                message.words
            ),
        };
    }
    text
}
