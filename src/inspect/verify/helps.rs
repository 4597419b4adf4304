//! Which command helps, for each kind of damage. Each can be run as it is printed.

use super::Checked;
use crate::home::Service;
use crate::inspect::Source;
use crate::inspect::beside::Beside;
use crate::inspect::source::quoted;
use wal::mend::{MendError, plan};
use wal::read::{Survey, Verdict};
use wal::{Disk, Lsn};

/// What to do about what was found, in order. Nothing for a log that is whole.
pub(super) fn next(
    source: &Source,
    checked: &Checked,
    seen: &Survey,
    copies: Option<&Beside>,
    witnessed: Option<Lsn>,
    disk: &Disk,
) -> Vec<String> {
    if let Some(compared) = checked.view.as_ref().filter(|view| !view.diverged.is_empty())
        && checked.verdict == "diverged"
    {
        let files = format!("{}*", quoted(&compared.file));
        return vec![
            format!(
                "# stop {} first; its next start makes the view again from the log",
                source.name
            ),
            format!("rm {files}"),
        ];
    }
    if checked.ok {
        return Vec::new();
    }
    let newer = |verdict: &Verdict| matches!(verdict, Verdict::NewerFormat { .. });
    if seen.segments.iter().any(|segment| newer(&segment.verdict)) {
        return vec!["# use the version of this program that wrote the log".to_owned()];
    }
    let name = quoted(&source.name);
    if let Some(copies) = copies
        && let Ok(mending) = plan(disk, witnessed, |segment| copies.copies(segment))
        && !mending.patches.is_empty()
    {
        let held: Vec<String> = mending
            .patches
            .iter()
            .filter(|patch| patch.records > 0)
            .map(|patch| {
                let last = patch.first_lsn.get() + u64::from(patch.records) - 1;
                format!("{}-{last}", patch.first_lsn)
            })
            .collect();
        let view = quoted(&copies.file.display().to_string());
        let mut next = repair(&name);
        if !held.is_empty() {
            let told = format!("# {view} holds records {} byte for byte", held.join(", "));
            next.insert(0, told);
        }
        return next;
    }
    // A Mark can be computed without any copy.
    let none = |_| Ok::<_, MendError<()>>(Vec::new());
    if plan(disk, witnessed, none).is_ok_and(|mending| !mending.patches.is_empty()) {
        return repair(&name);
    }
    lost(source)
}

fn repair(name: &str) -> Vec<String> {
    vec![format!("strife wal repair {name}"), format!("strife wal repair {name} --apply")]
}

/// No copy has it: the log is made again from the others.
fn lost(source: &Source) -> Vec<String> {
    let directory = quoted(&checked_directory(source));
    let again = match source.service {
        Some(Service::Gateway) if source.at_home => {
            "strife rebuild gateway --from-banks".to_owned()
        }
        Some(Service::Bank(bank)) if source.at_home => {
            format!("strife rebuild bank {bank} --from-gateway")
        }
        _ => {
            return vec![format!(
                "# no copy beside {directory} holds what is lost: take another copy of it"
            )];
        }
    };
    vec![
        "# stop everything first, and keep what is damaged".to_owned(),
        format!("mv {directory} {directory}.damaged"),
        again,
    ]
}

fn checked_directory(source: &Source) -> String {
    source.directory.display().to_string()
}
