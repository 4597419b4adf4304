//! Drills: a named fault, at a named instant, of a named victim, and the proof afterwards.
//!
//! Every crash point of every service is drilled, at each of the services that can come by it. A
//! drill whose fault did not happen fails: it would have shown nothing. Refuses to know how a
//! drill is printed.

mod crash;
mod cut;
mod damage;
mod disk;
mod lost;
mod twins;

pub use crash::Victim;

use super::scene::{Moment, Place, Scene, Settled, What};
use crate::errors::{Exit, Failure};
use crate::inspect::audit::Money;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A drill that can be run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drill {
    pub name: String,
    /// The service that it happens to.
    pub victim: String,
    /// What happens.
    pub fault: String,
    /// What must be seen then.
    pub shows: String,
    script: Script,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Script {
    Crash(crash::Crash),
    Damage(damage::Damage),
    Twins(twins::Twins),
    Lost(lost::Lost),
    DiskFull,
    CutOff,
}

/// What a script has to tell.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Told {
    /// What became of the payment, or of the process, in one word.
    outcome: String,
    recovered: Duration,
    settled: Settled,
}

/// How a script ends where it cannot be played: the tool that it misses.
const SKIPPED: &str = "SKIPPED ";

/// One line of the report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Report {
    pub name: String,
    pub victim: String,
    pub fault: String,
    pub outcome: String,
    pub recovered_ms: u64,
    pub settled_ms: u64,
    /// When the fault struck and when it was undone, since the cluster was begun.
    pub crashed_ms: Option<u64>,
    pub restarted_ms: Option<u64>,
    /// By the audit of all logs at the end; `None` where it did not come to that.
    pub money: Option<Money>,
    pub timeline: Vec<Moment>,
    pub took_ms: u64,
    pub ok: bool,
    /// The tool that was missing, where the drill was not run.
    pub skipped: Option<String>,
    /// Why not; empty when all went well.
    pub problem: String,
    /// Where the home was left, when not all went well.
    pub home: Option<PathBuf>,
    #[serde(skip, default = "done")]
    pub exit: Exit,
}

fn done() -> Exit {
    Exit::Done
}

/// Every drill, in the order of a payment's life.
pub fn all() -> Vec<Drill> {
    let crashes = crash::all().map(|crash| (crash.words(), Script::Crash(crash)));
    let damages = damage::ALL.iter().map(|damage| (damage.words(), Script::Damage(*damage)));
    let twins = twins::ALL.iter().map(|twins| (twins.words(), Script::Twins(*twins)));
    let drill = |([name, victim, fault, shows], script): ([String; 4], Script)| Drill {
        name,
        victim,
        fault,
        shows,
        script,
    };
    let lost = lost::ALL.iter().map(|lost| (lost.words(), Script::Lost(*lost)));
    let others = [(disk::words(), Script::DiskFull), (cut::words(), Script::CutOff)];
    crashes.chain(damages).chain(twins).chain(lost).chain(others).map(drill).collect()
}

impl Drill {
    /// Runs it to its report. The home is left only where something went wrong.
    pub fn run(&self, place: &Place) -> Report {
        let (mut scene, began) = (None, Instant::now());
        let told = match self.script {
            Script::Crash(crash) => crash.run(place, &mut scene),
            Script::Damage(damage) => damage.run(place, &mut scene),
            Script::Twins(twins) => twins.run(place, &mut scene),
            Script::Lost(lost) => lost.run(place, &mut scene),
            Script::DiskFull => disk::run(place, &mut scene),
            Script::CutOff => cut::run(place, &mut scene),
        };
        let timeline = scene.as_ref().map(|scene| scene.moments().to_vec()).unwrap_or_default();
        let at = |kind: What| {
            timeline.iter().find(|moment| moment.kind == kind).map(|moment| moment.at_ms)
        };
        let Self { name, victim, fault, .. } = self.clone();
        let report = Report {
            name,
            victim,
            fault,
            outcome: String::new(),
            recovered_ms: 0,
            settled_ms: 0,
            crashed_ms: at(What::Fault),
            restarted_ms: at(What::Restart),
            money: None,
            timeline,
            took_ms: began.elapsed().as_millis() as u64,
            ok: true,
            skipped: None,
            problem: String::new(),
            home: None,
            exit: Exit::Done,
        };
        match told {
            Ok(told) => Report {
                outcome: told.outcome,
                recovered_ms: told.recovered.as_millis() as u64,
                settled_ms: told.settled.settled.as_millis() as u64,
                money: Some(told.settled.money),
                ..report
            },
            Err(failure) if failure.what.starts_with(SKIPPED) => Report {
                outcome: "SKIPPED".to_owned(),
                skipped: Some(failure.what.trim_start_matches(SKIPPED).to_owned()),
                ..report
            },
            Err(failure) => Report {
                outcome: "FAILED".to_owned(),
                ok: false,
                home: scene.as_mut().map(|scene| scene.cluster.keep()),
                exit: failure.exit,
                problem: problem(&failure),
                ..report
            },
        }
    }
}

fn problem(failure: &Failure) -> String {
    let parts = [&failure.what, &failure.money, &failure.todo];
    let parts: Vec<_> = parts.into_iter().map(String::as_str).filter(|p| !p.is_empty()).collect();
    parts.join("; ")
}

/// The stage of a script: left in place, so that its home can be kept when the script fails.
type Stage = Option<Scene>;

/// Sets the stage, and gives it out to be played on.
fn enter<'a>(stage: &'a mut Stage, place: &Place) -> Result<&'a mut Scene, Failure> {
    Ok(stage.insert(Scene::set(place)?))
}

/// This script cannot be played here, for want of a tool.
fn skipped(tool: &str) -> Failure {
    Failure::plain(Exit::Done, format!("{SKIPPED}{tool}"))
}

/// An expectation of a script that was not met: an invariant is broken.
fn broken(what: impl Into<String>) -> Failure {
    Failure::plain(Exit::Damaged, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use recovery::drill::point::Point;
    use std::collections::BTreeSet;

    #[test]
    fn every_crash_point_is_drilled() {
        let drills = all();
        for point in Point::ALL {
            let drilled = drills.iter().any(
                |drill| matches!(drill.script, Script::Crash(crash) if crash.point() == *point),
            );
            assert!(drilled, "{point} has no drill");
        }
    }

    #[test]
    fn every_drill_has_a_name_of_its_own() {
        let drills = all();
        let names: BTreeSet<_> = drills.iter().map(|drill| &drill.name).collect();
        assert_eq!(names.len(), drills.len());
    }
}
