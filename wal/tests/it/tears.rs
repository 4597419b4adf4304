//! A crash in mid-write: every set of sectors that one can leave behind.

use wal::scan::scan;
use wal::{CrashDisk, Lsn};

use crate::support::{Files, IDENTITY, SEVEN_BLOCKS, begun_with, entry, files, sound};

const SECTOR: usize = wal::SECTOR;

/// The last segment before and after a write in flight, and where the two differ.
struct InFlight {
    before: Files,
    after: Files,
    /// The highest record that was acknowledged before.
    acknowledged: Lsn,
    /// The highest record in flight.
    written: Lsn,
    sectors: Vec<usize>,
}

/// A synced batch, then, if `marked`, its Mark, and then a batch with this payload, in flight.
fn in_flight(marked: bool, payload: &[u8]) -> InFlight {
    let disk = CrashDisk::new(1);
    wal::create(&disk, IDENTITY, SEVEN_BLOCKS, &[entry(b"made")]).unwrap();
    let mut log = begun_with(&disk, SEVEN_BLOCKS);
    let acknowledged = log.append(entry(b"acknowledged")).unwrap();
    log.sync().unwrap();
    let before = files(&disk);
    if marked {
        log.mark().unwrap();
    }
    let written = log.append(entry(payload)).unwrap();
    log.sync().unwrap();
    let after = files(&disk);
    assert_eq!(before.len(), after.len(), "the batch goes into the same segment");
    let (old, new) = (&before.last().unwrap().1, &after.last().unwrap().1);
    let sectors = (0..old.len() / SECTOR)
        .filter(|sector| {
            let range = sector * SECTOR..(sector + 1) * SECTOR;
            old[range.clone()] != new[range]
        })
        .collect();
    InFlight { before, after, acknowledged, written, sectors }
}

impl InFlight {
    fn with(&self, kept: impl Fn(usize) -> bool) -> Files {
        let mut files = self.before.clone();
        let last = files.len() - 1;
        for (_, sector) in self.sectors.iter().enumerate().filter(|(index, _)| kept(*index)) {
            let range = sector * SECTOR..(sector + 1) * SECTOR;
            files[last].1[range.clone()].copy_from_slice(&self.after[last].1[range]);
        }
        files
    }

    /// Every subset of the sectors in flight: no alarm, no loss, and nothing whole is cut.
    fn every_subset_is_no_alarm(&self, batch_starts_with: usize) {
        let all = (1_u32 << self.sectors.len()) - 1;
        let batch = all & !((1 << batch_starts_with) - 1);
        for kept in 0..=all {
            let survey = scan(&self.with(|index| kept >> index & 1 == 1), None);
            assert!(sound(&survey), "false alarm for {kept:b}: {survey:#?}");
            let whole = kept & batch == batch;
            let expected = if whole { self.written } else { self.acknowledged };
            assert_eq!(survey.last, expected, "sectors {kept:b}");
        }
    }

    /// Every subset but the whole, once someone knows that the batch was durable.
    fn every_subset_is_refused_once_witnessed(&self) {
        for kept in 0..(1_u32 << self.sectors.len()) - 1 {
            let files = self.with(|index| kept >> index & 1 == 1);
            let survey = scan(&files, Some(self.written));
            assert!(!sound(&survey), "acknowledged loss called torn: sectors {kept:b}");
        }
    }
}

#[test]
fn every_subset_of_a_batch_in_flight_is_a_tear_and_no_alarm() {
    let write = in_flight(false, &[7; 3900]);
    assert_eq!(write.sectors.len(), 8);
    write.every_subset_is_no_alarm(0);
    write.every_subset_is_refused_once_witnessed();
}

#[test]
fn every_subset_of_two_blocks_in_flight_is_a_tear_and_no_alarm() {
    let write = in_flight(false, &[7; 6000]);
    assert_eq!(write.sectors.len(), 13, "twelve with records, and the trailer's");
    write.every_subset_is_no_alarm(0);
    write.every_subset_is_refused_once_witnessed();
}

#[test]
fn every_subset_of_a_mark_and_a_batch_in_flight_is_no_alarm_and_loses_nothing_whole() {
    let write = in_flight(true, &[7; 3900]);
    assert_eq!(write.sectors.len(), 10, "a Mark is a header and a trailer");
    write.every_subset_is_no_alarm(2);
    write.every_subset_is_refused_once_witnessed();
}

#[test]
fn a_payload_of_zeros_tears_as_any_other() {
    let write = in_flight(true, &[0; 6000]);
    assert_eq!(write.sectors.len(), 2 + 3, "header, checksum and trailer are not blank");
    write.every_subset_is_no_alarm(2);
    write.every_subset_is_refused_once_witnessed();
}

#[test]
fn every_length_at_which_a_write_stops_short_is_a_tear() {
    for (marked, payload) in [(false, vec![7; 1000]), (false, vec![0; 5000]), (true, vec![7; 20])] {
        let write = in_flight(marked, &payload);
        let last = write.before.len() - 1;
        let start = write.sectors[0] * SECTOR;
        let end = (write.sectors.last().unwrap() + 1) * SECTOR;
        for stop in start..end {
            let mut files = write.before.clone();
            files[last].1[start..stop].copy_from_slice(&write.after[last].1[start..stop]);
            let survey = scan(&files, None);
            assert!(sound(&survey), "stopped at {stop}: {survey:#?}");
            assert_eq!(survey.last, write.acknowledged, "stopped at {stop}");
        }
    }
}

#[test]
fn a_batch_with_its_mark_is_never_taken_for_torn() {
    let disk = CrashDisk::new(1);
    wal::create(&disk, IDENTITY, SEVEN_BLOCKS, &[entry(b"made")]).unwrap();
    let mut log = begun_with(&disk, SEVEN_BLOCKS);
    let before = files(&disk);
    log.append(entry(&[7; 3900])).unwrap();
    log.sync().unwrap();
    log.mark().unwrap();
    let after = files(&disk);
    let last = after.len() - 1;
    for lost in 1..256_u32 {
        let mut damaged = after.clone();
        for sector in (0..8).filter(|sector| lost >> sector & 1 == 1) {
            let range = 2 * wal::BLOCK + sector * SECTOR..2 * wal::BLOCK + (sector + 1) * SECTOR;
            damaged[last].1[range.clone()].copy_from_slice(&before[last].1[range]);
        }
        assert!(!sound(&scan(&damaged, None)), "acknowledged loss called torn: {lost:b}");
    }
}

#[test]
fn a_torn_batch_with_later_writes_behind_it_was_synced_and_stops_the_start() {
    let write = in_flight(false, &[7; 3900]);
    for beyond in [wal::BLOCK, 2 * wal::BLOCK - 1] {
        let mut files = write.with(|index| index != 3);
        let last = files.len() - 1;
        assert!(sound(&scan(&files, None)));
        files[last].1[write.sectors[0] * SECTOR + beyond] = 1;
        assert!(!sound(&scan(&files, None)));
    }
}
