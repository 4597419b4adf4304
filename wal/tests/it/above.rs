//! A log that does not begin at record 1: made in the place of a lost one, above all its numbers.

use wal::read::{Cursor, follow, survey};
use wal::{CrashDisk, Lsn, Options, Why};

use crate::support::{Files, IDENTITY, SEVEN_BLOCKS, begun_with, entry, files, sound};
use wal::scan::scan;

const ABOVE: u64 = 7_000_000_000;

/// Made with two records, two starts, a rotation, a Mark; its records from `before + 1` on.
fn lived(before: u64) -> CrashDisk {
    let disk = CrashDisk::new(1);
    let first = Lsn::new(before + 1);
    wal::create_at(&disk, IDENTITY, SEVEN_BLOCKS, first, &[entry(b"made"), entry(b"so")]).unwrap();
    for _ in 0..2 {
        let mut log = begun_with(&disk, SEVEN_BLOCKS);
        for len in [10, 3800, 3800, 3800, 3800, 900] {
            log.append(entry(&vec![b'x'; len])).unwrap();
            log.sync().unwrap();
        }
        log.mark().unwrap();
    }
    disk
}

/// Every record behind `cursor`: its number without what the log begins above, and its length.
fn read(disk: &CrashDisk, before: u64, mut cursor: Cursor) -> Vec<(u64, usize)> {
    let mut records = Vec::new();
    let read = follow::<_, ()>(disk, &mut cursor, |record, _| {
        records.push((record.lsn.get() - before, record.payload.len()));
        Ok(())
    });
    read.unwrap();
    records
}

#[test]
fn a_log_that_begins_above_is_as_good_as_one_that_begins_at_1() {
    let (low, high) = (lived(0), lived(ABOVE));
    let all = read(&low, 0, Cursor::default());
    assert_eq!(all.len(), 16);
    assert_eq!(read(&high, ABOVE, Cursor::default()), all, "from its beginning");
    assert_eq!(read(&high, ABOVE, Cursor::after(Lsn::new(12))), all, "from the lost log's numbers");
    let tail = read(&high, ABOVE, Cursor::after(Lsn::new(ABOVE + 9)));
    assert_eq!(tail, all[9..], "from the middle");
    for (disk, before) in [(&low, 0), (&high, ABOVE)] {
        let seen = survey(disk, None).unwrap();
        assert!(sound(&seen) && seen.segments.len() > 3, "{seen:#?}");
        assert_eq!((seen.last, seen.durable), (Lsn::new(before + 16), Lsn::new(before + 16)));
        let opened = wal::open(disk.clone(), SEVEN_BLOCKS, None).unwrap();
        assert_eq!((opened.last(), opened.report().records), (Lsn::new(before + 16), 16));
        let (mut log, durable) = opened.begin(3, entry(b"again")).unwrap();
        assert_eq!(durable.lsn(), Lsn::new(before + 17));
        assert_eq!(log.append(entry(b"next")).unwrap(), Lsn::new(before + 18));
    }
}

#[test]
fn a_log_made_empty_above_begins_there() {
    let disk = CrashDisk::new(1);
    wal::create_at(&disk, IDENTITY, SEVEN_BLOCKS, Lsn::new(ABOVE + 1), &[]).unwrap();
    let opened = wal::open(disk.clone(), SEVEN_BLOCKS, None).unwrap();
    assert_eq!((opened.last(), opened.durable()), (Lsn::new(ABOVE), Lsn::new(ABOVE)));
    let (_log, durable) = opened.begin(1, entry(b"first")).unwrap();
    assert_eq!(durable.lsn(), Lsn::new(ABOVE + 1));

    let disk = CrashDisk::new(1);
    let two = [entry(b"made"), entry(b"so")];
    wal::create_at(&disk, IDENTITY, SEVEN_BLOCKS, Lsn::new(ABOVE + 1), &two).unwrap();
    let seen = survey(&disk, None).unwrap();
    assert_eq!((seen.last, seen.durable), (Lsn::new(ABOVE + 2), Lsn::new(ABOVE + 2)), "born with");
}

#[test]
fn what_was_witnessed_must_be_there_and_what_lies_below_it_was_never_this_logs() {
    let disk = lived(ABOVE);
    for fine in [0, 12, ABOVE, ABOVE + 16] {
        assert!(sound(&survey(&disk, Some(Lsn::new(fine))).unwrap()), "{fine}");
    }
    let lost = survey(&disk, Some(Lsn::new(ABOVE + 17))).unwrap();
    assert!(!sound(&lost), "a record behind the end was durable: {lost:#?}");
}

#[test]
fn no_flipped_bit_makes_it_begin_elsewhere_and_no_segment_goes_missing() {
    let whole = files(&lived(ABOVE));
    for at in 0..wal::BLOCK {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[0].1[at] ^= 1 << bit;
            assert!(!sound(&scan(&flipped, None)), "byte {at}, bit {bit}");
        }
    }
    for gone in 0..whole.len() {
        let mut fewer: Files = whole.clone();
        fewer.remove(gone);
        assert!(!sound(&scan(&fewer, None)), "without {}", whole[gone].0);
    }
    let mut renamed = whole;
    renamed[0].0 = "0000000001-00000000000000000001.seg".to_owned();
    let seen = scan(&renamed, None);
    let wal::read::Verdict::Corrupt { why, .. } = seen.segments[0].verdict else {
        panic!("{seen:#?}")
    };
    assert_eq!(why, Why::Renamed);
}

#[test]
fn a_crash_at_any_operation_of_its_making_leaves_nothing_or_all_of_it() {
    let options: Options = SEVEN_BLOCKS;
    let make = |disk: &CrashDisk| {
        let first = Lsn::new(ABOVE + 1);
        wal::create_at(disk, IDENTITY, options, first, &[entry(b"made")])
    };
    let (mut without, mut with) = (0, 0);
    for operation in 1.. {
        let disk = CrashDisk::new(operation);
        disk.stop_at_operation(operation);
        let made = make(&disk).is_ok();
        disk.clear_faults();
        disk.power_cut(operation);
        match wal::open(disk.clone(), options, None) {
            Ok(opened) => {
                with += 1;
                assert_eq!((opened.last(), opened.report().records), (Lsn::new(ABOVE + 1), 1));
            }
            Err(wal::OpenError::Missing { .. }) => {
                without += 1;
                assert!(!made, "it was told to be there");
                make(&disk).unwrap();
            }
            Err(other) => panic!("operation {operation}: {other}"),
        }
        if made {
            break;
        }
    }
    assert!(with > 0 && without > 5, "{with} {without}");
}
