//! What each side remembers of the other's log.
//!
//! A log that lost its tail, an old backup and a copied directory all look whole from inside. They
//! do not look whole to those who were told what they held.

use crate::drill::mutant::{self, Mutant};
use crate::model::{Epoch, Lineage, StartId, Witness};
use wal::Lsn;

/// Records from `first` on were written by this start, up to the next one's first.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Written {
    pub start_id: StartId,
    pub epoch: Epoch,
    pub first: Lsn,
}

/// Does a log of `lineage`, whose starts are `starts` and whose last record is `last`, hold the
/// record that `witness` remembers, written under the start that it remembers?
pub fn holds(lineage: Option<Lineage>, starts: &[Written], last: Lsn, witness: &Witness) -> bool {
    let remembered = Lsn::new(witness.lsn);
    if mutant::is(Mutant::BareWitness) {
        return remembered <= last;
    }
    let written = starts.iter().position(|start| start.start_id == witness.start_id);
    let Some(place) = written else { return false };
    let end = starts.get(place + 1).map_or(last, |next| Lsn::new(next.first.get() - 1));
    lineage == Some(witness.lineage) && starts[place].first <= remembered && remembered <= end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness(start: u8, lsn: u64) -> Witness {
        Witness { lineage: Lineage([7; 16]), start_id: StartId([start; 16]), lsn }
    }

    #[test]
    fn a_log_that_grew_again_past_a_lost_tail_does_not_hold_what_was_lost() {
        let written = |start: u8, first| Written {
            start_id: StartId([start; 16]),
            epoch: u64::from(start),
            first: Lsn::new(first),
        };
        let starts = [written(1, 2), written(3, 10)];
        let check = |w| holds(Some(Lineage([7; 16])), &starts, Lsn::new(20), &w);
        assert!(check(witness(1, 9)), "the last record of the first start");
        assert!(!check(witness(1, 10)), "the second start wrote this one");
        assert!(check(witness(3, 20)));
        assert!(!check(witness(3, 21)), "longer than the log");
        assert!(!check(witness(2, 12)), "a start that this log never had");
        assert!(!check(witness(1, 1)), "before that start wrote");
    }
}
