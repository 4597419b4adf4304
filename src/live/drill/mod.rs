//! Drills: a named fault, at a named instant, of a named victim, and the proof afterwards.
//!
//! Every crash point of every service is drilled, at each of the services that can come by it. A
//! drill whose fault did not happen fails: it would have shown nothing. Refuses to know how a
//! drill is printed.

mod crash;
mod damage;
mod twins;

pub use crash::Victim;

use super::scene::{Place, Scene, Settled};
use crate::errors::{Exit, Failure};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

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
}

/// What a script has to tell.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Told {
    /// What became of the payment, or of the process, in one word.
    outcome: String,
    recovered: Duration,
    settled: Settled,
}

/// One line of the report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    pub name: String,
    pub victim: String,
    pub fault: String,
    pub outcome: String,
    pub recovered_ms: u64,
    pub settled_ms: u64,
    pub ok: bool,
    /// Why not; empty when all went well.
    pub problem: String,
    /// Where the home was left, when not all went well.
    pub home: Option<PathBuf>,
    #[serde(skip)]
    pub exit: Exit,
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
    crashes.chain(damages).chain(twins).map(drill).collect()
}

impl Drill {
    /// Runs it to its report. The home is left only where something went wrong.
    pub fn run(&self, place: &Place) -> Report {
        let mut scene = None;
        let told = match self.script {
            Script::Crash(crash) => crash.run(place, &mut scene),
            Script::Damage(damage) => damage.run(place, &mut scene),
            Script::Twins(twins) => twins.run(place, &mut scene),
        };
        let Self { name, victim, fault, .. } = self.clone();
        let report = Report {
            name,
            victim,
            fault,
            outcome: String::new(),
            recovered_ms: 0,
            settled_ms: 0,
            ok: true,
            problem: String::new(),
            home: None,
            exit: Exit::Done,
        };
        match told {
            Ok(told) => Report {
                outcome: told.outcome,
                recovered_ms: told.recovered.as_millis() as u64,
                settled_ms: told.settled.settled.as_millis() as u64,
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
