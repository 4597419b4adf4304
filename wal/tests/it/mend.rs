//! A second copy put to use: what it has is put back byte for byte, and nothing else is touched.

use wal::mend::{MendError, plan};
use wal::read::follow_batches;
use wal::{BatchImage, CrashDisk, Lsn, OpenError};

use crate::support::{Files, IDENTITY, four_segments};

/// A disk that holds `files`, all of it durable.
fn disk_of(files: &Files) -> CrashDisk {
    let disk = CrashDisk::new(3);
    wal::create(&disk, IDENTITY, crate::support::SMALL, &[]).unwrap();
    for path in disk.paths().into_iter().filter(|path| path.starts_with("wal/")) {
        wal::Storage::remove(&disk, &path).unwrap();
    }
    for (name, bytes) in files {
        use wal::{Storage, StorageFile};
        let mut file = disk.create(&format!("wal/{name}")).unwrap();
        let mut at = 0;
        while at < bytes.len() {
            at += file.write_at(&bytes[at..], at as u64).unwrap();
        }
        file.sync_data().unwrap();
    }
    wal::Storage::sync_dir(&disk, "wal").unwrap();
    disk
}

/// What a view keeps: every batch with records in it.
fn copies_of(disk: &CrashDisk) -> Vec<BatchImage> {
    let mut copies = Vec::new();
    let keep = |segment: &wal::SegmentHeader, batch: &wal::Batch<'_>, _: Lsn| {
        if batch.header.records > 0 {
            copies.push(batch.image(segment));
        }
        Ok::<_, ()>(())
    };
    follow_batches(disk, &mut wal::read::Cursor::default(), keep).unwrap();
    copies
}

fn of_segment(copies: &[BatchImage], segment: u64) -> Vec<BatchImage> {
    copies.iter().filter(|copy| copy.segment == segment).cloned().collect()
}

fn path(files: &Files, index: usize) -> String {
    format!("wal/{}", files[index].0)
}

/// Damages the log, mends it, and asks that it be byte for byte as it was.
fn mends(files: &Files, damage: impl Fn(&CrashDisk), what: &dyn std::fmt::Debug) {
    let disk = disk_of(files);
    let copies = copies_of(&disk);
    damage(&disk);
    let mending = plan(&disk, None, |segment| Ok::<_, ()>(of_segment(&copies, segment)))
        .unwrap_or_else(|error| panic!("{what:?}: {error:?}"));
    assert!(!mending.patches.is_empty(), "{what:?}");
    let kept = mending.apply(&disk).unwrap();
    assert_eq!(kept.len(), 1, "{what:?}");
    for (index, (_, bytes)) in files.iter().enumerate() {
        assert!(disk.contents(&path(files, index)).unwrap() == *bytes, "{what:?}");
    }
}

#[test]
fn whatever_bit_of_a_batch_is_flipped_the_copy_puts_it_back() {
    let files = four_segments(IDENTITY, b'm', true);
    let survey = wal::scan::scan(&files, None);
    for (index, segment) in survey.segments.iter().enumerate() {
        for byte in (wal::BLOCK as u64..segment.used_len).step_by(331) {
            let damage = |disk: &CrashDisk| {
                disk.flip_bit(&path(&files, index), byte, (byte % 8) as u8).unwrap();
            };
            mends(&files, damage, &(index, byte));
        }
    }
}

#[test]
fn a_zeroed_sector_and_a_segment_that_was_cut_come_back_whole() {
    let files = four_segments(IDENTITY, b'm', true);
    mends(&files, |disk| disk.zero_sector(&path(&files, 2), 8).unwrap(), &"zeroed");
    let cut = |disk: &CrashDisk| {
        let whole = disk.contents(&path(&files, 2)).unwrap();
        disk.replace(&path(&files, 2), &whole[..wal::BLOCK + 100]).unwrap();
    };
    mends(&files, cut, &"cut");
}

#[test]
fn what_no_copy_has_is_left_as_it_is() {
    let files = four_segments(IDENTITY, b'm', true);
    let damages: [&dyn Fn(&CrashDisk); 2] = [
        // A segment's header: there is no second one.
        &|disk| disk.flip_bit(&path(&files, 1), 70, 2).unwrap(),
        &|disk| disk.flip_bit(&path(&files, 3), 4096 + 20, 2).unwrap(),
    ];
    for damage in damages {
        let disk = disk_of(&files);
        let copies: Vec<_> =
            copies_of(&disk).into_iter().filter(|copy| copy.segment != 4).collect();
        damage(&disk);
        let planned = plan(&disk, None, |segment| Ok::<_, ()>(of_segment(&copies, segment)));
        assert!(matches!(planned, Err(MendError::Beyond(_))));
    }
}

#[test]
fn a_copy_that_is_not_what_was_written_mends_nothing() {
    let files = four_segments(IDENTITY, b'm', true);
    let disk = disk_of(&files);
    let mut copies = copies_of(&disk);
    for copy in &mut copies {
        copy.bytes[70] ^= 1;
    }
    disk.flip_bit(&path(&files, 2), 4096 + 90, 3).unwrap();
    let planned = plan(&disk, None, |segment| Ok::<_, ()>(of_segment(&copies, segment)));
    assert!(matches!(planned, Err(MendError::Beyond(_))));
    // Nor does the copy of another log, or of another place.
    let other = disk_of(&four_segments(IDENTITY, b'x', true));
    let copies = copies_of(&other);
    let planned = plan(&disk, None, |segment| Ok::<_, ()>(of_segment(&copies, segment)));
    assert!(matches!(planned, Err(MendError::Beyond(_))));
}

#[test]
fn a_whole_log_is_mended_by_nothing_and_a_running_one_not_at_all() {
    let files = four_segments(IDENTITY, b'm', true);
    let disk = disk_of(&files);
    let copies = copies_of(&disk);
    let mending = plan(&disk, None, |segment| Ok::<_, ()>(of_segment(&copies, segment))).unwrap();
    assert!(mending.patches.is_empty());
    disk.flip_bit(&path(&files, 2), 4096 + 90, 3).unwrap();
    let mending = plan(&disk, None, |segment| Ok::<_, ()>(of_segment(&copies, segment))).unwrap();
    let _running = wal::Storage::lock(&disk, "LOCK").unwrap().expect("free");
    assert!(matches!(mending.apply(&disk), Err(OpenError::Locked { .. })));
}

#[test]
fn a_power_cut_at_any_operation_of_a_repair_leaves_a_log_that_can_be_repaired_again() {
    let files = four_segments(IDENTITY, b'm', true);
    for n in 0.. {
        let disk = disk_of(&files);
        let copies = copies_of(&disk);
        disk.flip_bit(&path(&files, 2), 4096 + 90, 3).unwrap();
        let damaged = disk.contents(&path(&files, 2)).unwrap();
        let mending =
            plan(&disk, None, |segment| Ok::<_, ()>(of_segment(&copies, segment))).unwrap();
        disk.stop_at_operation(n + 1);
        let done = mending.apply(&disk).is_ok();
        disk.power_cut(n);
        let found = disk.contents(&path(&files, 2)).unwrap();
        assert!(found == damaged || found == files[2].1, "after operation {n}");
        if found != damaged {
            let kept = |path: &String| path.starts_with("quarantine/");
            let kept: Vec<_> = disk.paths().into_iter().filter(kept).collect();
            assert_eq!(disk.contents(&kept[0]).unwrap(), damaged, "after operation {n}");
        }
        let again = plan(&disk, None, |segment| Ok::<_, ()>(of_segment(&copies, segment))).unwrap();
        again.apply(&disk).unwrap();
        assert!(disk.contents(&path(&files, 2)).unwrap() == files[2].1, "after operation {n}");
        if done {
            assert!(n >= 8, "{n} operations were too few to be a repair");
            return;
        }
    }
}
