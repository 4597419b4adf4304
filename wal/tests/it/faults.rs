//! A device that fails, fills up, or writes less than it was asked to.

use wal::{AppendError, CrashDisk, Disk, Lsn, OpenError, WriteFault};

use crate::support::{
    IDENTITY, SEVEN_BLOCKS, SMALL, begun, begun_with, entry, made, opened, payloads,
};

/// A life that goes on until the log refuses. Says what was acknowledged, and with what it ended.
fn live_until_refused(disk: &CrashDisk) -> (Lsn, Option<AppendError>) {
    let mut log = begun_with(disk, SEVEN_BLOCKS);
    let mut acknowledged = log.durable().lsn();
    for number in 0..12_u8 {
        let synced = log.append(entry(&[number; 1500])).and_then(|_| log.sync());
        let marked = match synced {
            Ok(synced) => {
                acknowledged = synced.durable.lsn();
                log.mark()
            }
            Err(error) => Err(error),
        };
        if let Err(error) = marked {
            let then = log.append(entry(b"more")).map(|_| ());
            assert!(matches!(then, Err(AppendError::Poisoned)), "appending goes on: {error}");
            assert!(matches!(log.sync(), Err(AppendError::Poisoned)));
            assert!(matches!(log.mark(), Err(AppendError::Poisoned)));
            return (acknowledged, Some(error));
        }
    }
    (acknowledged, None)
}

fn made_small(disk: &CrashDisk) {
    wal::create(disk, IDENTITY, SEVEN_BLOCKS, &[entry(b"made")]).unwrap();
}

#[test]
fn a_failed_sync_poisons_the_log_and_loses_nothing_acknowledged() {
    // The first five syncs are those of the opening.
    for nth in 6..42 {
        for power_cut in [false, true] {
            let disk = CrashDisk::new(nth);
            made_small(&disk);
            disk.fail_nth_sync(nth);
            let (acknowledged, error) = live_until_refused(&disk);
            if disk.counts().syncs_failed == 0 {
                assert!(nth > 20, "the fault happened");
                continue;
            }
            assert!(matches!(error, Some(AppendError::Io(_))), "{nth}: {error:?}");
            if power_cut {
                disk.power_cut(nth);
            } else {
                disk.kill();
            }
            assert!(opened(&disk).last() >= acknowledged);
        }
    }
}

#[test]
fn a_failed_write_poisons_the_log_and_loses_nothing_acknowledged() {
    for fault in [WriteFault::Io, WriteFault::NoSpace] {
        for nth in 3..24 {
            let disk = CrashDisk::new(nth);
            made_small(&disk);
            disk.fail_nth_write(nth, fault);
            let (acknowledged, error) = live_until_refused(&disk);
            let error = error.unwrap();
            match fault {
                WriteFault::NoSpace => assert!(matches!(error, AppendError::NoSpace { .. })),
                WriteFault::Io | WriteFault::Short => assert!(matches!(error, AppendError::Io(_))),
            }
            disk.kill();
            assert!(opened(&disk).last() >= acknowledged);
            disk.power_cut(nth);
            assert!(opened(&disk).last() >= acknowledged);
        }
    }
}

#[test]
fn a_short_write_is_gone_on_with() {
    for nth in 1..24 {
        let disk = CrashDisk::new(nth);
        made_small(&disk);
        disk.fail_nth_write(nth, WriteFault::Short);
        let (acknowledged, error) = live_until_refused(&disk);
        assert!(error.is_none() && disk.counts().writes_short == 1);
        disk.power_cut(nth);
        assert_eq!(opened(&disk).last(), acknowledged);
    }
}

#[test]
fn a_failed_sync_in_an_opening_is_an_error_and_no_damage() {
    let mut failed = 0;
    for nth in 1.. {
        let disk = CrashDisk::new(nth);
        made_small(&disk);
        disk.fail_nth_sync(nth);
        let opening = wal::open(disk.clone(), SMALL, None).unwrap().begin(1, entry(b"started"));
        if disk.counts().syncs_failed == 0 {
            break;
        }
        failed += 1;
        assert!(matches!(opening.err().unwrap(), OpenError::Io(_)), "sync {nth}");
        disk.power_cut(nth);
        assert_eq!(payloads(&opened(&disk))[0], b"made");
    }
    assert_eq!(failed, 5, "the segment, two directories, the new name, the cut");
}

#[test]
fn what_cannot_be_read_is_not_called_rotten() {
    for nth in 1.. {
        let disk = CrashDisk::new(nth);
        made_small(&disk);
        drop(begun(&disk));
        disk.fail_nth_read(nth);
        let opening = wal::open(disk.clone(), SMALL, None);
        if disk.counts().reads_failed == 0 {
            assert!(nth > 4, "two headers, two segments");
            break;
        }
        assert!(matches!(opening.err().unwrap(), OpenError::Io(_)), "read {nth}");
        assert_eq!(opened(&disk).last(), Lsn::new(2));
    }
}

#[test]
fn no_space_for_a_spare_is_no_poison_and_can_be_tried_again() {
    let disk = CrashDisk::new(1);
    made(&disk);
    let mut log = begun(&disk);
    let room = log.room();
    disk.set_capacity(disk.used() + 5000);
    let task = log.spare_wanted().unwrap();
    assert!(log.spare_wanted().is_none(), "one is enough");
    assert!(matches!(task.run(), Err(AppendError::NoSpace { .. })));
    assert!(disk.paths().iter().all(|path| !path.starts_with("spare/")), "the half is removed");
    log.append(entry(b"still decides")).unwrap();
    log.sync().unwrap();
    assert!(log.room() < room);
    disk.set_capacity(u64::MAX);
    let poorer = log.room();
    log.spare_wanted().unwrap().run().unwrap();
    assert!(log.room() > poorer);
    assert!(log.spare_wanted().is_none(), "there is one");
}

#[test]
fn room_is_never_promised_that_is_not_there() {
    let disk = CrashDisk::new(1);
    made(&disk);
    let mut log = begun(&disk);
    log.spare_wanted().unwrap().run().unwrap();
    disk.set_capacity(0);
    while log.room() >= wal::BLOCK as u64 {
        log.append(entry(&[1; 2000])).unwrap();
        log.sync().unwrap();
        log.mark().unwrap();
    }
    log.append(entry(&[1; 2000])).unwrap();
    assert!(matches!(log.sync(), Err(AppendError::NoSpace { .. })));
}

#[test]
fn a_dropped_task_leaves_the_spare_wanted() {
    let disk = CrashDisk::new(1);
    made(&disk);
    let log = begun(&disk);
    drop(log.spare_wanted().unwrap());
    assert!(log.spare_wanted().is_some());
}

#[test]
fn a_full_disk_refuses_to_start_and_starts_when_there_is_room() {
    let disk = CrashDisk::new(1);
    made(&disk);
    disk.set_capacity(disk.used());
    let full = opened(&disk).begin(1, entry(b"started")).err().unwrap();
    assert!(matches!(full, OpenError::NoSpace { .. }));
    disk.set_capacity(u64::MAX);
    begun(&disk);
}

#[test]
fn directories_are_0700_and_files_0600() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("data");
    let disk = Disk::new(&root);
    made(&disk);
    let log = begun(&disk);
    log.spare_wanted().unwrap().run().unwrap();
    let mut directories = vec![root];
    let mut files = 0;
    while let Some(directory) = directories.pop() {
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700, "{directory:?}");
        for entry in directory.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                assert_eq!(mode(&path), 0o600, "{path:?}");
                files += 1;
            }
        }
    }
    assert_eq!(files, 4, "two segments, a spare, the lock");
}

#[test]
fn a_torn_tail_is_kept_in_quarantine_and_counted() {
    let disk = CrashDisk::new(1);
    made(&disk);
    let mut log = begun(&disk);
    log.append(entry(&[7; 1000])).unwrap();
    log.sync().unwrap();
    drop(log);
    let path = disk.paths().into_iter().rfind(|path| path.starts_with("wal/")).unwrap();
    // The last batch loses its second sector, and nothing says that it was durable.
    let lost = 2 * wal::BLOCK as u64 / 512 + 1;
    let before = disk.contents(&path).unwrap();
    disk.zero_sector(&path, lost).unwrap();
    let opened = opened(&disk);
    let torn = opened.report().torn.clone().unwrap();
    assert_eq!((torn.segment, torn.offset, torn.bytes), (2, 8192, 4096));
    let quarantine = torn.quarantine.to_str().unwrap().to_owned();
    drop(opened.begin(2, entry(b"started")).unwrap());
    let kept = disk.contents(&quarantine).unwrap();
    assert_eq!(kept[..512], before[8192..8192 + 512]);
    assert_eq!(kept.len(), 4096);
    disk.power_cut(1);
    assert_eq!(disk.contents(&quarantine).unwrap(), kept);
    assert_eq!(opened_report_torn(&disk), None, "a tear is found once");
}

fn opened_report_torn(disk: &CrashDisk) -> Option<wal::Torn> {
    opened(disk).report().torn.clone()
}
