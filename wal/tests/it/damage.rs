//! Rot: bits, cuts, sectors and segments. Either the log refuses, or nothing that was
//! acknowledged is missing or changed.

use wal::Lsn;
use wal::read::Verdict;
use wal::scan::scan;

use crate::support::{Files, IDENTITY, four_segments, last_of, sound};

const SECTOR: usize = wal::SECTOR;

/// A log, and how much of each of its files holds a header and acknowledged records.
struct Original {
    files: Files,
    acknowledged: Lsn,
    vital: Vec<usize>,
}

fn original(marked: bool) -> Original {
    let files = four_segments(IDENTITY, b'a', marked);
    let survey = scan(&files, None);
    let mut vital: Vec<usize> =
        survey.segments.iter().map(|segment| segment.used_len as usize).collect();
    if marked {
        *vital.last_mut().unwrap() -= wal::BLOCK;
    }
    Original { acknowledged: last_of(&files), vital, files }
}

impl Original {
    /// The one claim of this file.
    fn survives_or_refuses(&self, damaged: &Files, what: &dyn std::fmt::Debug) -> bool {
        let survey = scan(damaged, None);
        if !sound(&survey) {
            return false;
        }
        assert_eq!(survey.last, self.acknowledged, "silent loss: {what:?}");
        for (index, vital) in self.vital.iter().enumerate() {
            let same = self.files[index].1[..*vital] == damaged[index].1[..*vital];
            assert!(same, "believed what was not written: {what:?}");
        }
        true
    }
}

fn flip_every_bit(log: &Original, chosen: impl Fn(usize) -> bool) {
    let mut damaged = log.files.clone();
    for file in (0..damaged.len()).filter(|file| chosen(*file)) {
        let mut refused = 0;
        for byte in 0..damaged[file].1.len() {
            // Behind the end all bytes are alike; one block of them will do, and a few more.
            if byte > log.vital[file] + wal::BLOCK && byte % 61 != 0 {
                continue;
            }
            for bit in 0..8 {
                damaged[file].1[byte] ^= 1 << bit;
                let survived = log.survives_or_refuses(&damaged, &(file, byte, bit));
                assert!(!survived || byte >= log.vital[file], "{file} {byte} {bit}");
                refused += usize::from(!survived);
                damaged[file].1[byte] ^= 1 << bit;
            }
        }
        assert!(refused >= log.vital[file] * 8);
    }
}

#[test]
fn every_flipped_bit_of_a_sealed_segment_is_refused() {
    let log = original(true);
    let last = log.files.len() - 1;
    flip_every_bit(&log, |file| file < last);
}

#[test]
fn every_flipped_bit_of_the_last_segment_is_refused_or_behind_its_end() {
    for marked in [true, false] {
        let log = original(marked);
        let last = log.files.len() - 1;
        flip_every_bit(&log, |file| file == last);
    }
}

#[test]
fn every_cut_file_is_refused() {
    let log = original(true);
    for file in 0..log.files.len() {
        for len in 0..log.files[file].1.len() {
            let mut damaged = log.files.clone();
            damaged[file].1.truncate(len);
            assert!(!sound(&scan(&damaged, None)), "file {file} cut to {len} bytes");
        }
    }
}

#[test]
fn every_zeroed_sector_is_refused_or_harmless() {
    let log = original(true);
    for file in 0..log.files.len() {
        for sector in log.files[file].1.chunks(SECTOR).enumerate().map(|(sector, _)| sector) {
            let mut damaged = log.files.clone();
            damaged[file].1[sector * SECTOR..][..SECTOR].fill(0);
            log.survives_or_refuses(&damaged, &(file, sector));
        }
    }
}

#[test]
fn every_sector_written_to_the_wrong_place_is_refused_or_harmless() {
    let log = original(true);
    let sectors: Vec<(usize, usize)> = (0..log.files.len())
        .flat_map(|file| (0..log.vital[file] / SECTOR + 9).map(move |sector| (file, sector)))
        .filter(|&(file, sector)| (sector + 1) * SECTOR <= log.files[file].1.len())
        .collect();
    for &from in &sectors {
        for &to in &sectors {
            let (mut copied, mut swapped) = (log.files.clone(), log.files.clone());
            let read = |at: (usize, usize)| log.files[at.0].1[at.1 * SECTOR..][..SECTOR].to_vec();
            copied[to.0].1[to.1 * SECTOR..][..SECTOR].copy_from_slice(&read(from));
            log.survives_or_refuses(&copied, &("copied", from, to));
            swapped[to.0].1[to.1 * SECTOR..][..SECTOR].copy_from_slice(&read(from));
            swapped[from.0].1[from.1 * SECTOR..][..SECTOR].copy_from_slice(&read(to));
            log.survives_or_refuses(&swapped, &("swapped", from, to));
        }
    }
}

#[test]
fn every_lost_swapped_duplicated_or_zeroed_segment_is_refused() {
    let log = original(true);
    for one in 0..log.files.len() {
        let mut lost = log.files.clone();
        lost.remove(one);
        assert!(!sound(&scan(&lost, None)), "segment {one} lost");
        let mut zeroed = log.files.clone();
        zeroed[one].1.fill(0);
        assert!(!sound(&scan(&zeroed, None)), "segment {one} zeroed");
        for other in (0..log.files.len()).filter(|other| *other != one) {
            let mut copied = log.files.clone();
            copied[one].1 = log.files[other].1.clone();
            assert!(!sound(&scan(&copied, None)), "contents of {other} in {one}");
            copied[other].1 = log.files[one].1.clone();
            assert!(!sound(&scan(&copied, None)), "contents of {other} and {one} swapped");
        }
    }
}

#[test]
fn a_segment_of_another_cluster_node_or_lineage_is_refused_by_name() {
    let ours = four_segments(IDENTITY, b'a', true);
    for foreign in [
        wal::Identity { cluster: [9; 16], ..IDENTITY },
        wal::Identity { node: [9; 16], ..IDENTITY },
        wal::Identity { lineage: [9; 16], ..IDENTITY },
    ] {
        let theirs = four_segments(foreign, b'a', true);
        for index in 1..ours.len() {
            let mut mixed = ours.clone();
            mixed[index].1.clone_from(&theirs[index].1);
            let survey = scan(&mixed, None);
            let verdict = survey.first_unsound().unwrap().verdict;
            assert_eq!(verdict, Verdict::WrongIdentity { expected: IDENTITY, found: foreign });
        }
    }
}

#[test]
fn a_block_of_another_log_never_verifies_in_the_same_place() {
    let log = original(true);
    let foreign = wal::Identity { lineage: [9; 16], ..IDENTITY };
    let copy_gone_its_own_way = four_segments(IDENTITY, b'b', true);
    for theirs in [four_segments(foreign, b'a', true), copy_gone_its_own_way] {
        for file in 0..log.files.len() {
            for at in (0..log.files[file].1.len()).step_by(wal::BLOCK) {
                let (ours, block) =
                    (&log.files[file].1[at..at + wal::BLOCK], &theirs[file].1[at..at + wal::BLOCK]);
                let mut mixed = log.files.clone();
                mixed[file].1[at..at + wal::BLOCK].copy_from_slice(block);
                let survived = log.survives_or_refuses(&mixed, &(file, at));
                assert!(!survived || ours == block || at >= log.vital[file], "{file} {at}");
            }
        }
    }
}

#[test]
fn a_bad_batch_before_a_good_one_stops_the_start() {
    let mut files = four_segments(IDENTITY, b'a', false);
    let last = files.len() - 1;
    let at = 3 * wal::BLOCK;
    assert!(files[last - 1].1.len() > at);
    files[last - 1].1[at + 100] ^= 1;
    let survey = scan(&files, None);
    let unsound = survey.first_unsound().unwrap();
    assert_eq!(unsound.name, files[last - 1].0);
    assert!(matches!(unsound.verdict, Verdict::Corrupt { offset, .. } if offset == at as u64));
}

#[test]
fn an_older_copy_of_the_last_segment_is_refused_if_anyone_remembers_more() {
    let whole = four_segments(IDENTITY, b'a', false);
    let mut older = whole.clone();
    let remembered = last_of(&whole);
    let last = older.len() - 1;
    older[last].1[wal::BLOCK..].fill(0);
    let forgotten = scan(&older, None);
    assert!(sound(&forgotten) && forgotten.last < remembered, "nothing inside the log tells");
    assert!(!sound(&scan(&older, Some(remembered))));
}
