//! What is done to the services, and when an operator's mistake has been refused, undone.

use super::node::{Down, Node};
use super::{BankService, Event, GatewayService, Kind, Meddling, Place, Service, World};
use crate::drill::mutant::{self, Mutant};
use crate::drill::point::{CrashAt, Point, Role, Trap};
use crate::fact::BankFact;
use crate::gateway::Ack;
use wal::{CrashDisk, OpenError, Storage as _};

/// Clocks jump by up to this, either way.
const JUMP_MS_MAX: u64 = 6 * 3_600_000;

impl<G: GatewayService, B: BankService> World<'_, G, B> {
    pub(super) fn trouble(&mut self, kind: Kind) {
        if self.healing {
            return;
        }
        let place = self.somewhere();
        self.note(|| format!("trouble: {kind}"));
        match kind {
            Kind::Kill | Kind::PowerCut => {
                self.count(kind);
                self.fall(place, kind == Kind::PowerCut);
            }
            Kind::Blackout => {
                self.count(kind);
                for place in self.everywhere() {
                    self.fall(place, true);
                }
            }
            Kind::KillThenPowerCut => {
                self.fall(place, false);
                let later_ms = 61 + self.below(40);
                self.at(later_ms, Event::Aftermath(kind, place));
            }
            Kind::MidWrite => {
                self.count(kind);
                let operation = 1 + self.below(3);
                self.disk(place).stop_at_operation(operation);
            }
            Kind::CrashInRecovery => {
                self.fall(place, false);
                // What stops here is the start that follows.
                let operation = 1 + self.below(12);
                self.disk(place).stop_at_operation(operation);
            }
            Kind::CrashPoint => self.set_trap(),
            Kind::FsyncError => {
                self.count(kind);
                let sync = 1 + self.below(4);
                self.disk(place).fail_nth_sync(sync);
            }
            Kind::DiskFull => self.fill(place),
            Kind::CutOff => {
                let bank = self.below(self.banks.len() as u64) as usize;
                self.cut_off(bank);
            }
            Kind::SlowBank => {
                self.count(kind);
                let bank = self.below(self.banks.len() as u64) as usize;
                self.banks[bank].slow_until_ms = self.now_ms + 50 + self.below(300);
            }
            Kind::ClockJump => {
                self.count(kind);
                let jump = self.below(2 * JUMP_MS_MAX);
                let wall = self.wall(place);
                *wall = (*wall + jump).saturating_sub(JUMP_MS_MAX);
            }
            Kind::SecondGateway => self.second_gateway(),
            Kind::CopiedDirectory => self.copied_directory(),
            Kind::OldGatewayBackup | Kind::OldBankBackup => self.back_up(kind),
            Kind::LostGatewayDirectory | Kind::LostBankDirectory => self.lose_directory(kind),
            Kind::BitRot => self.rot(place),
            Kind::SectorsLost
            | Kind::TornWrite
            | Kind::MessageLost
            | Kind::MessageDuplicated
            | Kind::MessageLate
            | Kind::MessageReordered => {}
        }
    }

    pub(super) fn aftermath(&mut self, kind: Kind, place: Place) {
        match kind {
            Kind::KillThenPowerCut if !self.healing => {
                self.count(kind);
                self.fall(place, true);
            }
            Kind::DiskFull => self.disk(place).set_capacity(u64::MAX),
            Kind::OldGatewayBackup | Kind::OldBankBackup => self.restore_backup(kind, place),
            _ => {}
        }
    }

    fn somewhere(&mut self) -> Place {
        if self.below(3) == 0 {
            Place::Gateway(self.below(self.gateways.len() as u64) as usize)
        } else {
            Place::Bank(self.below(self.banks.len() as u64) as usize)
        }
    }

    pub(super) fn everywhere(&self) -> Vec<Place> {
        let gateways = (0..self.gateways.len()).map(Place::Gateway);
        gateways.chain((0..self.banks.len()).map(Place::Bank)).collect()
    }

    pub(super) fn disk(&self, place: Place) -> CrashDisk {
        match place {
            Place::Gateway(g) => self.gateways[g].disk.clone(),
            Place::Bank(b) => self.banks[b].disk.clone(),
        }
    }

    fn wall(&mut self, place: Place) -> &mut u64 {
        match place {
            Place::Gateway(g) => &mut self.gateways[g].wall_ms,
            Place::Bank(b) => &mut self.banks[b].wall_ms,
        }
    }

    fn fill(&mut self, place: Place) {
        self.count(Kind::DiskFull);
        let room = self.below(3) * 8192;
        let disk = self.disk(place);
        disk.set_capacity(disk.used() + room);
        let for_ms = 30 + self.below(200);
        self.at(for_ms, Event::Aftermath(Kind::DiskFull, place));
    }

    fn set_trap(&mut self) {
        let point = Point::ALL[self.below(Point::ALL.len() as u64) as usize];
        let trap = Trap::new(CrashAt { point, nth: 1 + self.below(3) });
        match point.role() {
            Role::Gateway => self.gateways[0].trap = Some(trap),
            Role::Bank => {
                let bank = self.below(self.banks.len() as u64) as usize;
                self.banks[bank].trap = Some(trap);
            }
        }
        // A trap at a start needs a start.
        let recovering = [
            Point::RecoveringBeforeFence,
            Point::RecoveringBeforeHello,
            Point::RecoveringAfterFence,
        ];
        if recovering.contains(&point) {
            self.fall(Place::Gateway(0), false);
        }
    }

    fn second_gateway(&mut self) {
        if self.gateways[0].process.is_none() {
            return;
        }
        let disk = self.gateways[0].disk.clone();
        if disk.list("wal").is_err() {
            return;
        }
        self.count(Kind::SecondGateway);
        let opened = wal::open(disk, wal::Options::default(), None);
        if !matches!(opened, Err(OpenError::Locked { .. })) {
            self.violate("a second gateway has the directory of a running one");
        }
    }

    /// Has an operator made a mistake?
    pub(super) fn mistaken(&self) -> bool {
        self.meddling == Some(Meddling::Mistake)
    }

    /// With `decided`, what is answered rests on one log alone; the loss of that is not covered.
    pub(super) fn carries_proof(&self) -> bool {
        self.config.gateway.ack == Ack::Settled
    }

    /// Somebody copies the directory of the running gateway and starts it beside the original.
    fn copied_directory(&mut self) {
        if self.meddling.is_some() || self.gateways[0].process.is_none() || !self.carries_proof() {
            return;
        }
        self.count(Kind::CopiedDirectory);
        self.meddling = Some(Meddling::Mistake);
        let copy = CrashDisk::new(self.random.bits());
        copy.restore(&self.gateways[0].disk.snapshot());
        let mut node = Node::new(copy, self.gateways[0].wall_ms);
        node.swapped = true;
        self.gateways.push(node);
        self.line_of.push(self.lines);
        self.lines += 1;
        let later_ms = self.below(100);
        self.start_later(Place::Gateway(1), later_ms);
    }

    /// An old copy is made now, and put in the original's place later.
    fn back_up(&mut self, kind: Kind) {
        if self.meddling.is_some() || (kind == Kind::OldGatewayBackup && !self.carries_proof()) {
            return;
        }
        self.meddling = Some(Meddling::Mistake);
        let place = if kind == Kind::OldGatewayBackup {
            Place::Gateway(0)
        } else {
            Place::Bank(self.below(self.banks.len() as u64) as usize)
        };
        let sound = self.pristine.get(&place).cloned();
        let backup = sound.unwrap_or_else(|| self.disk(place).snapshot());
        self.backups.push((place, backup));
        let later_ms = if self.random.coin() { 5 + self.below(40) } else { self.below(300) };
        if self.random.coin() {
            // One bank does not hear what is done between the copy and its return.
            let bank = self.below(self.banks.len() as u64) as usize;
            self.cut_until_ms[bank] = self.now_ms + later_ms;
        }
        self.at(later_ms, Event::Aftermath(kind, place));
    }

    fn restore_backup(&mut self, kind: Kind, place: Place) {
        let Some((_, backup)) = self.backups.pop() else { return };
        if self.healing {
            return;
        }
        self.count(kind);
        self.fall(place, false);
        let disk = self.disk(place);
        let pristine = self.pristine.remove(&place);
        self.kept_aside.insert(place, pristine.unwrap_or_else(|| disk.snapshot()));
        disk.restore(&backup);
        if self.random.coin() {
            // One bank, perhaps the one that knows better, is silent at first.
            let bank = self.below(self.banks.len() as u64) as usize;
            self.cut_until_ms[bank] = self.now_ms + 60 + self.below(200);
        }
        match place {
            Place::Gateway(g) => {
                swap(&mut self.gateways[g]);
                self.line_of[g] = self.lines;
                self.lines += 1;
            }
            Place::Bank(b) => {
                swap(&mut self.banks[b]);
                self.truth.doubt(self.names[b], true);
            }
        }
    }

    /// A gateway has said that it must not run. If no bank obeys it, the right directory can be put
    /// back; if one does, the right one is refused in its turn, and a person has to rebuild.
    pub(super) fn gateway_refused(&mut self, g: usize) {
        let obeyed = self.banks.iter().any(|node| {
            let mut fences = node.ghost.iter().rev().filter_map(|fact| match fact {
                BankFact::Fenced(fenced) => Some(fenced.start_id),
                _ => None,
            });
            fences.next().is_some_and(|start| self.gateways[g].starts.last() == Some(&start))
        });
        let old_copy = self.gateways[g].ghost_aside.is_some();
        if old_copy && !obeyed {
            return self.put_back(Place::Gateway(g));
        }
        self.gateways[g].down = Down::Refused;
        self.fall(Place::Gateway(g), false);
    }

    /// The operator sees the refusal and puts the right directory back.
    pub(super) fn put_back(&mut self, place: Place) {
        let Some(image) = self.kept_aside.remove(&place) else { return };
        self.tally("put-back");
        self.fall(place, false);
        self.disk(place).restore(&image);
        match place {
            Place::Gateway(g) => {
                unswap(&mut self.gateways[g]);
                self.line_of[g] = 0;
            }
            Place::Bank(b) => {
                unswap(&mut self.banks[b]);
                self.truth.believe_bank(self.names[b], &self.banks[b].ghost);
                self.truth.doubt(self.names[b], false);
            }
        }
    }

    /// A bit flips in the log of a service that stands still.
    fn rot(&mut self, place: Place) {
        if self.meddling == Some(Meddling::Rebuilt) || self.pristine.contains_key(&place) {
            return;
        }
        self.fall(place, false);
        let disk = self.disk(place);
        let before = disk.snapshot();
        let segments: Vec<_> =
            disk.paths().into_iter().filter(|path| path.starts_with("wal/")).collect();
        let chosen = self.below(segments.len() as u64) as usize;
        let Some(path) = segments.get(chosen) else { return };
        let len = disk.contents(path).map_or(0, |bytes| bytes.len() as u64);
        let (byte, bit) = (self.below(len), self.below(8) as u8);
        if disk.flip_bit(path, byte, bit).is_ok() {
            self.count(Kind::BitRot);
            self.pristine.insert(place, before);
        }
    }

    /// A service refuses its log. With a bit flipped that is right, and the operator helps; without
    /// one it is a false alarm.
    pub(super) fn damaged(&mut self, place: Place, error: &OpenError) {
        if mutant::is(Mutant::FirstBadIsTorn) {
            self.cut_at(place, error);
            return;
        }
        let Some(image) = self.pristine.remove(&place) else {
            return self.violate(format!("{place:?} refuses a sound log: {error}"));
        };
        self.note_place(place, || format!("refuses its log: {error}"));
        self.tally("damage-refused");
        self.fall(place, false);
        self.disk(place).restore(&image);
    }

    /// The broken rule: what is bad is taken for torn, and all behind it for never written.
    fn cut_at(&mut self, place: Place, error: &OpenError) {
        let OpenError::Corrupt { file, offset, .. } = error else { return };
        let (disk, path) = (self.disk(place), file.to_string_lossy().into_owned());
        let segments = wal::read::survey(&disk, None).map(|survey| survey.segments);
        let segments = segments.unwrap_or_default();
        let bad = segments.iter().find(|segment| path.ends_with(&segment.name));
        let capacity = bad.and_then(|segment| segment.header).map(|header| header.capacity);
        for later in disk.paths().into_iter().filter(|p| p.starts_with("wal/") && *p > path) {
            let _ = disk.remove(&later);
        }
        if let Some(capacity) = capacity.filter(|_| *offset > 0) {
            let mut bytes = disk.contents(&path).unwrap_or_default();
            bytes.truncate(*offset as usize);
            bytes.resize(capacity as usize, 0);
            let _ = disk.replace(&path, &bytes);
        } else {
            let _ = disk.remove(&path);
        }
        self.start_later(place, 1);
    }

    /// Of two gateways one must have given up, or both.
    pub(super) fn gateway_left(&self) -> Option<usize> {
        (0..self.gateways.len()).find(|g| self.gateways[*g].down != Down::Refused)
    }
}

fn swap<M: Service>(node: &mut Node<M>) {
    node.swapped = true;
    node.ghost_aside = Some(std::mem::take(&mut node.ghost));
}

fn unswap<M: Service>(node: &mut Node<M>) {
    node.swapped = false;
    node.down = Down::Waiting;
    if let Some(ghost) = node.ghost_aside.take() {
        node.ghost = ghost;
    }
}
