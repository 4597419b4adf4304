//! What a log does when nothing goes wrong, on both storages.

use wal::{AppendError, CrashDisk, CreateError, Disk, Lsn, OpenError, Storage};

use crate::support::{IDENTITY, SMALL, begun, entry, made, opened, payloads};

fn what_was_synced_is_there_after_reopening(storage: &impl Storage) {
    made(storage);
    let mut log = begun(storage);
    assert_eq!(log.next_lsn(), Lsn::new(3));
    assert_eq!(log.append(entry(b"a")).unwrap(), Lsn::new(3));
    assert_eq!(log.append(entry(b"b")).unwrap(), Lsn::new(4));
    assert!(log.pending());
    assert!(!log.durable().covers(Lsn::new(3)));
    let synced = log.sync().unwrap();
    assert!(synced.durable.covers(Lsn::new(4)));
    assert!(!synced.durable.covers(Lsn::new(5)));
    assert!(log.mark().unwrap().is_some());
    assert!(log.mark().unwrap().is_none(), "there is nothing new to prove");
    drop(log);
    let opened = opened(storage);
    assert_eq!(payloads(&opened), [b"made".to_vec(), b"started".into(), b"a".into(), b"b".into()]);
    assert_eq!(opened.durable(), Lsn::new(4));
    assert_eq!(opened.epoch(), 1);
    assert_eq!(opened.identity(), IDENTITY);
}

#[test]
fn what_was_synced_is_there_after_reopening_a_disk() {
    let directory = tempfile::tempdir().unwrap();
    what_was_synced_is_there_after_reopening(&Disk::new(directory.path().join("data")));
}

#[test]
fn what_was_synced_is_there_after_reopening_a_crash_disk() {
    what_was_synced_is_there_after_reopening(&CrashDisk::new(1));
}

#[test]
fn thousands_of_records_go_through_many_segments() {
    let disk = CrashDisk::new(1);
    made(&disk);
    let mut log = begun(&disk);
    for number in 0..3000_u32 {
        if let Some(task) = log.spare_wanted() {
            task.run().unwrap();
        }
        log.append(entry(&number.to_le_bytes())).unwrap();
        if number % 7 == 0 {
            log.sync().unwrap();
            log.mark().unwrap();
        }
    }
    log.sync().unwrap();
    drop(log);
    let opened = opened(&disk);
    assert_eq!(payloads(&opened).len(), 3002);
    assert!(opened.report().segments > 50);
    assert_eq!(opened.report().torn, None);
}

#[test]
fn a_second_opener_is_locked_out_until_the_first_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::new(directory.path());
    made(&disk);
    let log = begun(&disk);
    let second = wal::open(disk.clone(), SMALL, None).err().unwrap();
    assert!(matches!(second, OpenError::Locked { .. }));
    drop(log);
    opened(&disk);
}

#[test]
fn an_empty_directory_is_no_log_and_a_log_is_made_once() {
    let disk = CrashDisk::new(1);
    let missing = wal::open(disk.clone(), SMALL, None).err().unwrap();
    assert!(matches!(missing, OpenError::Missing { .. }));
    made(&disk);
    let again = wal::create(&disk, IDENTITY, SMALL, &[]).unwrap_err();
    assert!(matches!(again, CreateError::AlreadyThere { .. }));
}

#[test]
fn a_payload_that_is_too_large_harms_nothing() {
    let disk = CrashDisk::new(1);
    made(&disk);
    let mut log = begun(&disk);
    let refused = log.append(entry(&vec![1; 100_000])).unwrap_err();
    assert!(matches!(refused, AppendError::TooLarge { bytes: 100_000, .. }));
    let AppendError::TooLarge { max, .. } = refused else { unreachable!() };
    let lsn = log.append(entry(&vec![0; max])).unwrap();
    assert!(log.sync().unwrap().durable.covers(lsn));
}

#[test]
fn a_log_and_its_spare_task_may_go_to_other_threads() {
    fn sent<T: Send + 'static>(_: &T) {}
    let disk = CrashDisk::new(1);
    made(&disk);
    let opened = opened(&disk);
    sent(&opened);
    let (log, _) = opened.begin(1, entry(b"started")).unwrap();
    sent(&log);
    sent(&log.spare_wanted());
}
