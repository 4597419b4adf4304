//! A data directory is gone, with everything in it, and an operator has it made again from the
//! others: what `strife rebuild` does, with the same functions, on simulated disks. All services
//! stand still meanwhile. An operator who is interrupted says the command again.

use super::setup::{GATEWAY_NODE, bank_node};
use super::{BankService, Event, GatewayService, Kind, Meddling, Place, World};
use crate::fact::{self, GatewayFact};
use crate::gateway;
use crate::model::{Lineage, StartId};
use crate::rebuild::{self, Survivors};
use wal::{CrashDisk, DiskImage};

impl<G: GatewayService, B: BankService> World<'_, G, B> {
    /// Where only one log is sound and a person has put another in the place of a second, two are
    /// lost: that is not covered, and not done.
    pub(super) fn lose_directory(&mut self, kind: Kind) {
        let gateway = kind == Kind::LostGatewayDirectory;
        let covered = self.meddling.is_none() && self.pristine.is_empty() && G::PROMISES;
        if !covered || (gateway && !self.carries_proof()) {
            return;
        }
        self.count(kind);
        self.meddling = Some(Meddling::Rebuilt);
        // Connections end with the processes at both ends.
        self.queue.retain(|_, event| !matches!(event, Event::Deliver(_)));
        for place in self.everywhere() {
            let power = self.random.coin();
            self.fall(place, power);
            self.disk(place).set_capacity(u64::MAX);
        }
        let rebuilt = if gateway {
            self.rebuild_gateway()
        } else {
            let bank = self.below(self.banks.len() as u64) as usize;
            self.rebuild_bank(bank)
        };
        self.judge(rebuilt);
    }

    fn rebuild_bank(&mut self, b: usize) -> Result<(), String> {
        self.note_place(Place::Bank(b), || "has lost its directory".into());
        let name = self.names[b];
        // The first try may have been interrupted before there was a journal.
        let tries = 1 + self.below(2);
        let mut made = None;
        for _ in 0..tries {
            let (new, start_id) = (Lineage(self.bits()), StartId(self.bits()));
            let mut seen = 0;
            let state = self.gateways[0].append_offline(&self.config, start_id, |state| {
                let known = G::audited(state).and_then(|state| known(state, name));
                seen = known.and_then(|bank| bank.witness).map_or(0, |witness| witness.lsn);
                let old = known.and_then(|bank| bank.lineage);
                let replaced = old.map(|old| fact::BankReplaced { bank: name, old, new }.into());
                replaced.into_iter().chain([fact::Stopped {}.into()]).collect()
            })?;
            let state = G::audited(&state).ok_or("no log to rebuild from")?;
            let facts = rebuild::journal(state, name, new).ok_or("the bank has not joined")?;
            made = Some((new, rebuild::first_lsn(seen), facts));
        }
        let (new, first, facts) = made.ok_or("nobody tried")?;
        let (empty, start_id) = (self.empty(), StartId(self.bits()));
        self.banks[b].make(&self.config, &empty, (new, bank_node(b)), first, start_id, facts)
    }

    fn rebuild_gateway(&mut self) -> Result<(), String> {
        self.note_place(Place::Gateway(0), || "has lost its directory".into());
        if self.random.coin() {
            let (until, new) = (self.below(self.banks.len() as u64) as usize, self.bits());
            self.tally("rebuild-interrupted");
            self.replace_gateway(Lineage(new), until)?;
        }
        let new = Lineage(self.bits());
        self.replace_gateway(new, self.banks.len())?;
        let mut survivors = Survivors::default();
        for (node, name) in self.banks.iter().zip(&self.names) {
            for fact in node.read_offline()? {
                survivors.record(*name, &fact);
            }
        }
        if !survivors.missing().is_empty() {
            return Err(format!("{:?} are missing", survivors.missing()));
        }
        let mut facts = survivors.log(new).ok_or("no journal was read")?;
        // The world calls banks by their place in the log, the service by their names.
        facts.sort_by_key(|fact| match fact {
            GatewayFact::Initialised(_) => 0,
            GatewayFact::BankJoined(joined) => {
                1 + self.names.iter().position(|name| *name == joined.bank).unwrap_or_default()
            }
            _ => usize::MAX,
        });
        // Whatever was answered is in the new log, as it was answered.
        let judged = self.truth.remade(&facts);
        self.judge(judged);
        let (empty, start_id) = (self.empty(), StartId(self.bits()));
        let first = survivors.first_lsn();
        self.gateways[0].make(&self.config, &empty, (new, GATEWAY_NODE), first, start_id, facts)?;
        self.line_of[0] = self.lines;
        self.lines += 1;
        Ok(())
    }

    /// The first `until` banks record that they have another gateway now.
    fn replace_gateway(&mut self, new: Lineage, until: usize) -> Result<(), String> {
        for b in 0..until {
            let start_id = StartId(self.bits());
            self.banks[b].append_offline(&self.config, start_id, |state| {
                let fences = B::audited(state).into_iter().flat_map(|state| state.fences.keys());
                let olds = fences.copied().filter(|old| *old != new);
                let replaced = olds.map(|old| fact::GatewayReplaced { old, new }.into());
                replaced.chain([fact::BankStopped {}.into()]).collect()
            })?;
        }
        Ok(())
    }

    fn empty(&mut self) -> DiskImage {
        CrashDisk::new(self.random.bits()).snapshot()
    }

    fn bits(&mut self) -> [u8; 16] {
        let halves = [self.random.bits(), self.random.bits()].map(u64::to_le_bytes);
        halves.concat().try_into().expect("16 bytes")
    }
}

fn known(state: &gateway::State, name: crate::model::BankName) -> Option<&gateway::Bank> {
    state.banks.iter().find(|bank| bank.name == name)
}
