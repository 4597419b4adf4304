//! Small logs over any storage, and what was put into them.

use wal::read::Survey;
use wal::scan::scan;
use wal::{CrashDisk, Entry, Identity, Log, Lsn, Opened, Options, Record, Storage};

pub(crate) const IDENTITY: Identity =
    Identity { cluster: [1; 16], node: [2; 16], lineage: [3; 16] };
pub(crate) const SMALL: Options = Options { segment_bytes: 32 << 10 };
/// Seven blocks: a header, five of batches, and the place of a Mark.
pub(crate) const SEVEN_BLOCKS: Options = Options { segment_bytes: 28 << 10 };

/// The files of a log's directory by name.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

pub(crate) fn entry(payload: &[u8]) -> Entry<'_> {
    Entry { kind: 7, kind_version: 1, wall_ms: 1_700_000_000_000, payload }
}

/// A log whose first record is "made".
pub(crate) fn made<S: Storage>(storage: &S) {
    wal::create(storage, IDENTITY, SMALL, &[entry(b"made")]).unwrap();
}

pub(crate) fn opened<S: Storage>(storage: &S) -> Opened<S> {
    wal::open(storage.clone(), SMALL, None).unwrap()
}

/// Opens, and starts the epoch after the highest.
pub(crate) fn begun<S: Storage>(storage: &S) -> Log<S> {
    begun_with(storage, SMALL)
}

pub(crate) fn begun_with<S: Storage>(storage: &S, options: Options) -> Log<S> {
    let opened = wal::open(storage.clone(), options, None).unwrap();
    let epoch = opened.epoch() + 1;
    opened.begin(epoch, entry(b"started")).unwrap().0
}

pub(crate) fn payloads<S: Storage>(opened: &Opened<S>) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    let mut expected = Lsn::ZERO;
    opened
        .replay::<std::convert::Infallible>(|record: Record<'_>, _| {
            expected = expected.next();
            assert_eq!(record.lsn, expected, "records are dense");
            payloads.push(record.payload.to_vec());
            Ok(())
        })
        .unwrap();
    assert_eq!(expected, opened.last());
    payloads
}

/// The log's files as they are seen now.
pub(crate) fn files(disk: &CrashDisk) -> Files {
    let paths = disk.paths().into_iter();
    paths
        .filter_map(|path| {
            let name = path.strip_prefix("wal/")?.to_owned();
            Some((name, disk.contents(&path).unwrap()))
        })
        .collect()
}

/// A log of four segments: made, two starts, and a rotation. All is acknowledged, and the last
/// batch has its Mark if `marked`.
pub(crate) fn four_segments(identity: Identity, flavour: u8, marked: bool) -> Files {
    let disk = CrashDisk::new(1);
    wal::create(&disk, identity, SEVEN_BLOCKS, &[entry(b"made")]).unwrap();
    let mut log = begun_with(&disk, SEVEN_BLOCKS);
    log.append(entry(&[flavour; 100])).unwrap();
    log.sync().unwrap();
    drop(log);
    let mut log = begun_with(&disk, SEVEN_BLOCKS);
    log.append(entry(&[flavour; 3000])).unwrap();
    log.sync().unwrap();
    log.mark().unwrap();
    log.append(entry(&[flavour; 3800])).unwrap();
    log.sync().unwrap();
    for _ in 0..2 {
        log.append(entry(&[flavour; 900])).unwrap();
        log.sync().unwrap();
    }
    if marked {
        log.mark().unwrap();
    }
    let files = files(&disk);
    assert_eq!(files.len(), 4);
    files
}

pub(crate) fn sound(survey: &Survey) -> bool {
    survey.first_unsound().is_none()
}

/// The last record of a log that must be sound.
pub(crate) fn last_of(files: &Files) -> Lsn {
    let survey = scan(files, None);
    assert!(sound(&survey), "{survey:#?}");
    survey.last
}
