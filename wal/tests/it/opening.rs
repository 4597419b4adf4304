//! What an opening proves, writes again, and refuses.

use wal::read::survey;
use wal::{CrashDisk, Log, Lsn, OpenError, Why};

use crate::support::{SMALL, begun, entry, made, opened, payloads};

/// A log whose last batch, records 3 to 5, is synced and nothing in the log proves it.
fn unproven() -> (CrashDisk, Log<CrashDisk>) {
    let disk = CrashDisk::new(1);
    made(&disk);
    let mut log = begun(&disk);
    for payload in [b"a", b"b", b"c"] {
        log.append(entry(payload)).unwrap();
    }
    log.sync().unwrap();
    (disk, log)
}

#[test]
fn what_was_only_readable_is_written_again_and_cut_where_it_was() {
    let (disk, log) = unproven();
    drop(log);
    let opened = opened(&disk);
    assert_eq!((opened.durable(), opened.last()), (Lsn::new(2), Lsn::new(5)));
    assert_eq!(opened.report().unproven, 3);
    let (_log, durable) = opened.begin(2, entry(b"again")).unwrap();
    assert!(durable.covers(Lsn::new(6)));
    let seen = survey(&disk, None).unwrap();
    let [_, second, third] = seen.segments.as_slice() else { panic!("{seen:?}") };
    assert_eq!((second.last_lsn, second.len, second.used_len), (Lsn::new(2), 8192, 8192));
    assert_eq!((third.records, third.header.unwrap().born_lsn), (4, Lsn::new(6)));
    assert_eq!(seen.durable, Lsn::new(6));
}

#[test]
fn what_is_proven_is_not_written_again() {
    let (disk, mut log) = unproven();
    log.mark().unwrap();
    drop(log);
    let opened = opened(&disk);
    assert_eq!((opened.durable(), opened.report().unproven), (Lsn::new(5), 0));
    let _log = opened.begin(2, entry(b"again")).unwrap();
    assert_eq!(survey(&disk, None).unwrap().segments[2].records, 1);
}

#[test]
fn a_record_keeps_the_epoch_that_wrote_it() {
    let (disk, log) = unproven();
    drop(log);
    drop(begun(&disk));
    let mut epochs = Vec::new();
    opened(&disk)
        .replay::<()>(|_, position| {
            epochs.push(position.epoch);
            Ok(())
        })
        .unwrap();
    assert_eq!(epochs, [0, 1, 1, 1, 1, 2]);
}

#[test]
fn a_witness_of_one_record_proves_its_whole_batch() {
    let (disk, log) = unproven();
    drop(log);
    let opened = wal::open(disk.clone(), SMALL, Some(Lsn::new(4))).unwrap();
    assert_eq!((opened.durable(), opened.report().unproven), (Lsn::new(5), 0));
}

#[test]
fn a_witness_ahead_of_the_log_stops_the_start_and_is_told_what_is_missing() {
    let (disk, log) = unproven();
    drop(log);
    let refused = wal::open(disk.clone(), SMALL, Some(Lsn::new(6))).err().unwrap();
    let OpenError::Corrupt { why, file, offset, lsn, .. } = refused else { panic!("{refused}") };
    assert_eq!(why, Why::Lost { durable: Lsn::new(6) });
    assert_eq!(file.to_str(), Some("wal/0000000002-00000000000000000002.seg"));
    assert_eq!((offset, lsn), (3 * 4096, Lsn::new(6)));
}

#[test]
fn a_lost_successor_stops_the_start() {
    let (disk, log) = unproven();
    drop(log);
    let before = disk.snapshot();
    drop(begun(&disk));
    let newest = disk.paths().into_iter().rfind(|path| path.starts_with("wal/")).unwrap();
    wal::Storage::remove(&disk, &newest).unwrap();
    let refused = wal::open(disk.clone(), SMALL, None).err().unwrap();
    let OpenError::Corrupt { why: Why::SuccessorLost { len, capacity }, .. } = refused else {
        panic!("{refused}")
    };
    assert_eq!((len, capacity), (8192, 32 << 10));
    disk.restore(&before);
    assert_eq!(payloads(&opened(&disk)).len(), 5, "before the start it had none");
}

#[test]
fn an_opening_that_is_not_begun_changes_nothing() {
    let (disk, log) = unproven();
    drop(log);
    let before = crate::support::files(&disk);
    for _ in 0..3 {
        drop(opened(&disk));
    }
    assert!(before == crate::support::files(&disk));
}

#[test]
fn leftovers_of_an_interrupted_start_are_removed() {
    let (disk, log) = unproven();
    drop(log);
    wal::Storage::create(&disk, "spare/half").unwrap();
    drop(opened(&disk));
    assert!(disk.paths().iter().all(|path| !path.starts_with("spare/")));
}

#[test]
#[should_panic(expected = "an epoch is begun once")]
fn an_epoch_is_never_begun_twice() {
    let (disk, log) = unproven();
    drop(log);
    let _ = opened(&disk).begin(1, entry(b"again"));
}

#[test]
fn a_segment_of_a_newer_format_is_not_called_corrupt() {
    let (disk, log) = unproven();
    drop(log);
    let path = "wal/0000000001-00000000000000000001.seg";
    let mut bytes = disk.contents(path).unwrap();
    bytes[8] = 2;
    let salt = wal::Salt(u64::from_le_bytes(bytes[121..129].try_into().unwrap()));
    let crc = salt.crc(&bytes[..129]);
    bytes[129..133].copy_from_slice(&crc.to_le_bytes());
    disk.replace(path, &bytes).unwrap();
    let refused = wal::open(disk, SMALL, None).err().unwrap();
    assert!(matches!(refused, OpenError::NewerFormat { format: 2, newest: 1, .. }), "{refused}");
}
