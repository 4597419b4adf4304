//! One payment of a run, told from its trace: what was said and done about it, and which services
//! died meanwhile. Refuses to know how the run was made.

use super::simulate::Run;

/// The lines of a run's trace that are about the payment that it failed for; all of them where it
/// is about none.
pub fn story(run: &Run) -> Vec<String> {
    let about = run.violation().and_then(|violation| violation.about);
    let Some(reference) = about.map(|reference| reference.to_string()) else {
        return run.trace.clone();
    };
    let about = |line: &String| mentions(line, &reference);
    let first = run.trace.iter().position(about).unwrap_or_default();
    let last = run.trace.iter().rposition(about).unwrap_or_default();
    let cast = cast(run.trace.iter().filter(|line| about(line)));
    let told = run.trace.iter().enumerate().skip(first).take(last + 1 - first);
    let told = told.filter(|(_, line)| about(line) || fate(line, &cast));
    told.map(|(_, line)| short(line)).collect()
}

/// Is it named there, and not only as the beginning of another name?
fn mentions(line: &str, reference: &str) -> bool {
    line.match_indices(reference).any(|(at, _)| {
        let next = line[at + reference.len()..].chars().next();
        !next.is_some_and(|next| next.is_ascii_digit())
    })
}

fn words(line: &str) -> &str {
    line.split_once(" ms  ").map_or(line, |(_, words)| words)
}

/// Who takes part, by the first words of the lines.
fn cast<'a>(lines: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut cast = vec!["the gateway".to_owned()];
    for line in lines.filter(|line| !words(line).starts_with("the ")) {
        if let Some((name, _)) = words(line).split_once(' ') {
            cast.push(name.to_owned());
        }
    }
    cast.sort();
    cast.dedup();
    cast
}

/// Does one of the cast live or die there?
fn fate(line: &str, cast: &[String]) -> bool {
    const FATES: [&str; 5] = [" is gone", " loses its power", " is started", " dies", " cannot "];
    cast.iter().any(|name| {
        let rest = words(line).strip_prefix(name.as_str());
        rest.is_some_and(|rest| FATES.iter().any(|fate| rest.starts_with(fate)))
    })
}

/// Without the record's fields.
fn short(line: &str) -> String {
    let words = words(line);
    let head = &line[..line.len() - words.len()];
    format!("{head}{}", words.split("  ").next().unwrap_or(words))
}
