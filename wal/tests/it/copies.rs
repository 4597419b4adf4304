//! A copy that ends at a chosen record is a log that stopped there.

use wal::{CopyError, CrashDisk, CreateError, Log, Lsn, Storage};

use crate::support::{
    IDENTITY, SEVEN_BLOCKS, begun, begun_with, entry, files, last_of, made, opened, payloads,
};

/// Two starts, rotations, batches of one and of many records, and Marks.
fn original(disk: &CrashDisk) {
    wal::create(disk, IDENTITY, SEVEN_BLOCKS, &[entry(b"made"), entry(b"and opened")]).unwrap();
    for life in 0..3_u8 {
        let mut log = begun_with(disk, SEVEN_BLOCKS);
        for step in 0..7_u8 {
            for record in 0..=step % 3 {
                log.append(entry(&[life, step, record])).unwrap();
            }
            log.sync().unwrap();
            if step % 2 == 0 {
                log.mark().unwrap();
            }
        }
    }
}

#[test]
fn a_copy_through_any_record_opens_with_exactly_what_was_before_it() {
    let disk = CrashDisk::new(1);
    original(&disk);
    let all = payloads(&opened(&disk));
    let mut ends = Vec::new();
    for through in 0..=all.len() + 1 {
        let copy = CrashDisk::new(2);
        let last = wal::copy(&disk, Lsn::new(through as u64), &copy).unwrap();
        assert!(last.get() <= through.max(2) as u64, "no further than asked, but for the making");
        assert_eq!(last_of(&files(&copy)), last, "a sound log, and no longer");
        let kept = payloads(&opened(&copy));
        assert_eq!(kept[..], all[..last.get() as usize]);
        // It is a log: it starts, and goes on where it ends.
        let mut log = begun(&copy);
        assert_eq!(log.append(entry(b"next")).unwrap(), Lsn::new(last.get() + 2));
        log.sync().unwrap();
        ends.push(last.get());
    }
    ends.dedup();
    // Every batch is a place to stop, and what a start is born with is one.
    assert!(ends.len() > 15, "{ends:?}");
    assert_eq!(ends.last(), Some(&(all.len() as u64)));
}

#[test]
fn a_copy_of_a_whole_log_is_the_log_byte_for_byte() {
    let disk = CrashDisk::new(1);
    original(&disk);
    let copy = CrashDisk::new(2);
    wal::copy(&disk, Lsn::new(u64::MAX), &copy).unwrap();
    assert_eq!(files(&copy), files(&disk));
}

#[test]
fn a_copy_of_a_damaged_log_says_so_by_its_last_record() {
    let disk = CrashDisk::new(1);
    original(&disk);
    let whole = opened(&disk).last();
    let names: Vec<_> = files(&disk).into_iter().map(|(name, _)| format!("wal/{name}")).collect();
    for name in &names[..names.len() - 1] {
        disk.flip_bit(name, 4096 + 100, 3).unwrap();
        let copy = CrashDisk::new(2);
        let last = wal::copy(&disk, whole, &copy).unwrap();
        assert!(last < whole, "{name}");
        disk.flip_bit(name, 4096 + 100, 3).unwrap();
    }
}

#[test]
fn a_copy_is_made_beside_a_writer_and_never_over_a_log() {
    let disk = CrashDisk::new(1);
    made(&disk);
    let mut log: Log<CrashDisk> = begun(&disk);
    for step in 0..40_u8 {
        log.append(entry(&[step])).unwrap();
        log.sync().unwrap();
        let copy = CrashDisk::new(2);
        let last = wal::copy(&disk, Lsn::new(u64::MAX), &copy).unwrap();
        assert_eq!(last, Lsn::new(u64::from(step) + 3));
        let again = wal::copy(&disk, last, &copy).unwrap_err();
        assert!(matches!(again, CopyError::Write(CreateError::AlreadyThere { .. })), "{again}");
    }
    let nothing = CrashDisk::new(3);
    assert!(matches!(wal::copy(&nothing, Lsn::new(1), &disk), Err(CopyError::Read(_))));
    assert!(disk.list("wal").unwrap().len() > 1);
}
