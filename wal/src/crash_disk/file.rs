//! A file's bytes, as the processes see them and as the platters have them.

use super::FaultCounts;
use crate::frame::SECTOR;
use crate::splitmix::SplitMix64;

/// A file's bytes in the page cache and on disk, and the sectors in which they may differ.
#[derive(Clone, Debug, Default)]
pub(super) struct FileNode {
    pub(super) cache: Vec<u8>,
    disk: Vec<u8>,
    /// Ranges of sectors written since the last sync.
    dirty: Vec<(usize, usize)>,
    /// A sync failed: pages marked clean are not what the disk has.
    lied: bool,
}

impl FileNode {
    pub(super) fn write(&mut self, bytes: &[u8], at: usize) {
        let (old, end) = (self.cache.len(), at + bytes.len());
        if at == old {
            self.cache.extend_from_slice(bytes);
        } else {
            self.cache.resize(old.max(end), 0);
            self.cache[at..end].copy_from_slice(bytes);
        }
        self.touch(at.min(old), end);
    }

    pub(super) fn set_len(&mut self, len: usize) {
        let old = self.cache.len();
        self.cache.resize(len, 0);
        self.touch(old.min(len), len);
    }

    fn touch(&mut self, from: usize, to: usize) {
        if from < to {
            self.dirty.push((from / SECTOR, to.div_ceil(SECTOR)));
        }
    }

    pub(super) fn sync(&mut self) {
        if self.disk.is_empty() {
            self.dirty.clear();
            self.disk.clone_from(&self.cache);
        }
        self.disk.resize(self.cache.len(), 0);
        for (from, to) in std::mem::take(&mut self.dirty) {
            let range = bytes_of(from, to, self.cache.len());
            self.disk[range.clone()].copy_from_slice(&self.cache[range]);
        }
    }

    /// Makes what is seen what the disk has.
    pub(super) fn settle(&mut self) {
        self.dirty.clear();
        self.lied = false;
        self.disk.clone_from(&self.cache);
    }

    /// A sync that failed: some sectors reached the disk, all are marked clean, and no later sync
    /// will write the others.
    pub(super) fn sync_badly(&mut self, random: &mut SplitMix64) {
        self.lied = true;
        self.disk.resize(self.cache.len(), 0);
        for sector in self.take_dirty_sectors() {
            let range = bytes_of(sector, sector + 1, self.cache.len());
            if random.coin() {
                self.disk[range.clone()].copy_from_slice(&self.cache[range]);
            }
        }
    }

    fn take_dirty_sectors(&mut self) -> Vec<usize> {
        let mut sectors: Vec<usize> =
            std::mem::take(&mut self.dirty).into_iter().flat_map(|(from, to)| from..to).collect();
        sectors.sort_unstable();
        sectors.dedup();
        sectors
    }

    pub(super) fn power_cut(
        &mut self,
        odds: Odds,
        random: &mut SplitMix64,
        counts: &mut FaultCounts,
    ) {
        if self.dirty.is_empty() && self.disk.len() == self.cache.len() && !self.lied {
            return;
        }
        if self.disk.len() != self.cache.len() && odds.kept(random) {
            self.disk.resize(self.cache.len(), 0);
        }
        for sector in self.take_dirty_sectors() {
            let end = self.cache.len().min(self.disk.len());
            let range = bytes_of(sector, sector + 1, end);
            if odds.kept(random) {
                self.disk[range.clone()].copy_from_slice(&self.cache[range]);
                counts.sectors_kept += 1;
            } else {
                counts.sectors_lost += 1;
            }
        }
        self.cache.clone_from(&self.disk);
        self.lied = false;
    }

    /// Changes what is there behind everyone's back, on disk and in the cache.
    pub(super) fn damage(&mut self, harm: impl Fn(&mut Vec<u8>)) {
        harm(&mut self.cache);
        harm(&mut self.disk);
    }
}

fn bytes_of(from: usize, to: usize, len: usize) -> std::ops::Range<usize> {
    (from * SECTOR).min(len)..(to * SECTOR).min(len)
}

/// How likely what was not synced survives, in eighths: each power cut draws its own.
#[derive(Clone, Copy)]
pub(super) struct Odds(u64);

impl Odds {
    pub(super) fn draw(random: &mut SplitMix64) -> Self {
        Self([0, 1, 4, 4, 4, 7, 7, 8][random.below(8) as usize])
    }

    pub(super) fn kept(self, random: &mut SplitMix64) -> bool {
        random.below(8) < self.0
    }
}
