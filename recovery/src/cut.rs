//! The latest instant that copies of several logs agree on.
//!
//! Logs that are copied one after the other are copied at different instants, and the later copy
//! may remember more of an earlier one's log than was copied of it: [`crate::witness`] would refuse
//! them together. What each record rests on in another log stands in it, so the latest instant at
//! which none does can be found afterwards, and no service has to pause.
//!
//! ```text
//!   gateway   ---o------o---x......      x rests on record 7 of HDFC, of which 6 were copied;
//!   HDFC      ---o------o--|             without x the two are as they once stood together
//! ```
//!
//! It is the maximal consistent cut below the copies (Mattern 1989; Johnson and Zwaenepoel 1990),
//! found by taking units away until none rests on what is not there. The cut through all logs at
//! any instant before the copying began is consistent, so nothing from before is ever taken away.

use crate::fact::{BankFact, GatewayFact};
use crate::model::{BankName, Lineage};
use wal::Lsn;

/// Another log, as a record names it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Peer {
    Gateway(Lineage),
    Bank(BankName),
}

/// What this record of a gateway's log rests on: how far a bank's journal had come.
pub fn of_gateway(fact: &GatewayFact) -> Option<(Peer, Lsn)> {
    let (bank, lsn) = match fact {
        GatewayFact::BankMet(met) => (met.bank, met.witness.lsn),
        GatewayFact::Voted(voted) => (voted.bank, voted.bank_lsn),
        GatewayFact::Settled(settled) => (settled.bank, settled.bank_lsn),
        GatewayFact::HeuristicDiffered(differed) => (differed.bank, differed.bank_lsn),
        GatewayFact::Initialised(_)
        | GatewayFact::Started(_)
        | GatewayFact::Stopped(_)
        | GatewayFact::BankJoined(_)
        | GatewayFact::LogMended(_)
        | GatewayFact::AccountListed(_)
        | GatewayFact::BankReplaced(_)
        | GatewayFact::Began(_)
        | GatewayFact::Decided(_)
        | GatewayFact::Ended(_)
        | GatewayFact::HeuristicAsked(_)
        | GatewayFact::HeuristicDecided(_)
        | GatewayFact::SessionOpened(_)
        | GatewayFact::SessionClosed(_)
        | GatewayFact::Audited(_) => return None,
    };
    Some((Peer::Bank(bank), Lsn::new(lsn)))
}

/// What this record of a bank's journal rests on: how far the gateway's log had come.
pub fn of_bank(fact: &BankFact) -> Option<(Peer, Lsn)> {
    let (gateway, lsn) = match fact {
        BankFact::Fenced(fenced) => (fenced.gateway, fenced.gateway_lsn),
        BankFact::Held(held) => (held.heard.gateway, held.heard.lsn),
        BankFact::Refused(refused) => (refused.heard.gateway, refused.heard.lsn),
        BankFact::Posted(posted) => (posted.heard.gateway, posted.heard.lsn),
        BankFact::Released(released) => (released.heard.gateway, released.heard.lsn),
        BankFact::Tombstoned(tombstoned) => (tombstoned.heard.gateway, tombstoned.heard.lsn),
        BankFact::HeuristicObeyed(obeyed) => (obeyed.heard.gateway, obeyed.heard.lsn),
        // What is forgotten was posted or released before, and that rests on more.
        BankFact::Founded(_)
        | BankFact::BankStarted(_)
        | BankFact::BankStopped(_)
        | BankFact::JournalMended(_)
        | BankFact::AccountOpened(_)
        | BankFact::GatewayReplaced(_)
        | BankFact::Forgot(_) => return None,
    };
    Some((Peer::Gateway(gateway), Lsn::new(lsn)))
}

/// Records of a log that are there together or not at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unit {
    pub last: Lsn,
    /// Records of other logs, by the log's index, without which these cannot be.
    pub rests_on: Vec<(usize, Lsn)>,
}

/// The end of what was certainly there before the copying began, and what came after it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tail {
    pub from: Lsn,
    pub units: Vec<Unit>,
}

/// The record at which each log is to end.
pub fn latest(tails: &[Tail]) -> Vec<Lsn> {
    let mut kept: Vec<usize> = tails.iter().map(|tail| tail.units.len()).collect();
    let end = |kept: &[usize], log: usize| {
        let tail = &tails[log];
        kept[log].checked_sub(1).map_or(tail.from, |last| tail.units[last].last)
    };
    loop {
        let before = kept.clone();
        for (log, tail) in tails.iter().enumerate() {
            let stands = |unit: &Unit| unit.rests_on.iter().all(|on| on.1 <= end(&kept, on.0));
            let falls = tail.units[..kept[log]].iter().position(|unit| !stands(unit));
            kept[log] = falls.unwrap_or(kept[log]);
        }
        if kept == before {
            return (0..tails.len()).map(|log| end(&kept, log)).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(from: u64, units: &[(u64, &[(usize, u64)])]) -> Tail {
        let unit = |(last, on): &(u64, &[(usize, u64)])| Unit {
            last: Lsn::new(*last),
            rests_on: on.iter().map(|(log, lsn)| (*log, Lsn::new(*lsn))).collect(),
        };
        Tail { from: Lsn::new(from), units: units.iter().map(unit).collect() }
    }

    fn ends(tails: &[Tail]) -> Vec<u64> {
        latest(tails).into_iter().map(Lsn::get).collect()
    }

    #[test]
    fn copies_that_agree_are_kept_whole() {
        let gateway = tail(10, &[(12, &[(1, 5)]), (13, &[(1, 6)])]);
        assert_eq!(ends(&[gateway, tail(4, &[(6, &[(0, 12)])])]), [13, 6]);
        assert_eq!(ends(&[tail(3, &[]), tail(4, &[])]), [3, 4]);
    }

    #[test]
    fn what_rests_on_a_record_that_was_not_copied_goes_and_all_that_rests_on_it() {
        // 13 rests on record 9 of the second log, the third on 13, and 14 is behind 13.
        let first = tail(10, &[(12, &[(1, 6)]), (13, &[(1, 9)]), (14, &[])]);
        let second = tail(4, &[(6, &[]), (8, &[(2, 3)])]);
        let third = tail(2, &[(3, &[(0, 13)]), (4, &[])]);
        assert_eq!(ends(&[first, second, third]), [12, 6, 2]);
    }

    #[test]
    fn two_that_rest_on_each_other_stay_together() {
        let first = tail(1, &[(2, &[(1, 2)])]);
        let second = tail(1, &[(2, &[(0, 2)])]);
        assert_eq!(ends(&[first, second]), [2, 2]);
    }
}
