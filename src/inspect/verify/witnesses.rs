//! What the other logs of a home remember of one.

use crate::home::Service;
use crate::inspect::Source;
use crate::inspect::fold::State;
use recovery::model::Witness;
use serde::Serialize;

/// One side's memory of a log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Memory {
    pub who: String,
    /// That log was durable at least up to here.
    pub lsn: u64,
    pub start_id: String,
    /// Of this data directory, and not of one that was there before or elsewhere.
    pub same_log: bool,
    #[serde(skip)]
    witness: Witness,
}

impl Memory {
    pub(super) fn is_held_by(&self, state: &State) -> bool {
        state.holds(&self.witness)
    }
}

/// What each of `known` remembers of `source`.
pub(super) fn of<'a>(
    source: &Source,
    known: impl Iterator<Item = (&'a Source, Option<&'a State>)>,
) -> Vec<Memory> {
    let (Some(identity), Some(service)) = (source.identity, source.service) else {
        return Vec::new();
    };
    if !source.at_home {
        return Vec::new();
    }
    let mut memories = Vec::new();
    for (other, state) in known.filter(|(other, _)| other.at_home) {
        let witness = match (service, state) {
            (Service::Gateway, Some(State::Bank(replay))) => {
                let fences = replay.state.fences.iter();
                fences
                    .filter(|(lineage, _)| lineage.0 == identity.lineage)
                    .find_map(|(lineage, _)| replay.state.remembered(*lineage))
            }
            (Service::Bank(name), Some(State::Gateway(replay))) => {
                let bank = replay.state.banks.iter().find(|bank| bank.name == name);
                bank.and_then(|bank| bank.witness)
            }
            (_, Some(State::Gateway(_) | State::Bank(_)) | None) => None,
        };
        memories.extend(witness.map(|witness| Memory {
            who: other.name.clone(),
            lsn: witness.lsn,
            start_id: witness.start_id.to_string(),
            same_log: witness.lineage.0 == identity.lineage,
            witness,
        }));
    }
    memories
}
