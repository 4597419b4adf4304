//! Looking on from outside, beside a writer that does not know.

use std::sync::atomic::{AtomicBool, Ordering};

use wal::read::{Cursor, FollowError, follow, follow_batches, survey};
use wal::{CrashDisk, Disk, Lsn, ReadError, Storage};

use crate::support::{SMALL, begun, entry, made, opened, payloads, sound};

fn read_on(storage: &impl Storage, cursor: &mut Cursor) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    follow(storage, cursor, |record, position| {
        assert!(position.offset < position.record_offset);
        assert!(position.durable_lsn < position.first_lsn);
        assert!(record.lsn >= position.first_lsn);
        payloads.push(record.payload.to_vec());
        Ok::<(), std::convert::Infallible>(())
    })
    .unwrap();
    payloads
}

#[test]
fn a_reader_goes_on_where_it_stopped_through_rotations_and_restarts() {
    let disk = CrashDisk::new(1);
    made(&disk);
    let (mut cursor, mut seen) = (Cursor::default(), Vec::new());
    for life in 0..4_u8 {
        let mut log = begun(&disk);
        for step in 0..30_u8 {
            log.append(entry(&[life, step])).unwrap();
            log.sync().unwrap();
            if step % 3 == 0 {
                log.mark().unwrap();
            }
            if step % 7 == 0 {
                seen.extend(read_on(&disk, &mut cursor));
            }
        }
    }
    seen.extend(read_on(&disk, &mut cursor));
    assert!(read_on(&disk, &mut cursor).is_empty());
    assert_eq!(seen, payloads(&opened(&disk)));
    assert_eq!(cursor.seen(), opened(&disk).last());
}

#[test]
fn a_reader_can_begin_behind_any_record() {
    let disk = CrashDisk::new(1);
    made(&disk);
    let mut log = begun(&disk);
    for step in 0..60_u8 {
        log.append(entry(&[step])).unwrap();
        log.sync().unwrap();
    }
    let all = read_on(&disk, &mut Cursor::default());
    for lsn in 0..=62 {
        let rest = read_on(&disk, &mut Cursor::after(Lsn::new(lsn)));
        assert_eq!(rest[..], all[lsn as usize..]);
    }
}

#[test]
fn a_reader_stops_at_damage_in_a_sealed_segment_and_says_where() {
    let disk = CrashDisk::new(1);
    made(&disk);
    drop(begun(&disk));
    let first = disk.paths().into_iter().find(|path| path.starts_with("wal/")).unwrap();
    let mut log = begun(&disk);
    log.append(entry(b"a")).unwrap();
    log.sync().unwrap();
    disk.flip_bit(&first, 4096 + 100, 3).unwrap();
    let stopped = follow(&disk, &mut Cursor::default(), |_, _| Ok::<(), ()>(())).unwrap_err();
    let FollowError::Damaged(wal::OpenError::Corrupt { offset, lsn, .. }) = stopped else {
        panic!("{stopped:?}")
    };
    assert_eq!((offset, lsn), (4096, Lsn::new(1)));
    assert!(!sound(&survey(&disk, None).unwrap()));
}

#[test]
fn a_reader_of_batches_sees_the_images_that_the_writer_gave() {
    let disk = CrashDisk::new(1);
    made(&disk);
    let mut log = begun(&disk);
    let mut given = Vec::new();
    for step in 0..40_u8 {
        log.append(entry(&[step; 50])).unwrap();
        given.extend(log.sync().unwrap().batches);
        if step % 4 == 0 {
            log.mark().unwrap();
        }
    }
    let mut read = Vec::new();
    follow_batches(&disk, &mut Cursor::after(Lsn::new(1)), |segment, batch, _| {
        read.push(batch.image(segment));
        Ok::<(), ()>(())
    })
    .unwrap();
    assert_eq!(read, given);
}

#[test]
fn looking_at_no_log_says_so() {
    let disk = CrashDisk::new(1);
    assert!(matches!(survey(&disk, None), Err(ReadError::Missing { .. })));
}

#[test]
fn beside_a_live_writer_nothing_looks_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::new(directory.path());
    made(&disk);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut log = begun(&disk);
            for number in 0..700_u32 {
                log.append(entry(&number.to_le_bytes().repeat(1 + number as usize % 900))).unwrap();
                log.sync().unwrap();
                if number % 5 == 0 {
                    log.mark().unwrap();
                }
            }
            stop.store(true, Ordering::Release);
        });
        let mut cursor = Cursor::default();
        let mut looks = 0;
        while !stop.load(Ordering::Acquire) {
            // The first segments appear while we look.
            let seen = survey(&disk, None).unwrap();
            assert!(sound(&seen), "{:#?}", seen.first_unsound());
            let before = cursor.seen();
            read_on(&disk, &mut cursor);
            assert!(cursor.seen() >= before);
            looks += 1;
        }
        assert!(looks > 0);
        read_on(&disk, &mut cursor);
        assert_eq!(cursor.seen(), Lsn::new(702));
    });
    assert_eq!(survey(&disk, None).unwrap().last, Lsn::new(702));
    assert_eq!(SMALL.segment_bytes, 32 << 10);
}
