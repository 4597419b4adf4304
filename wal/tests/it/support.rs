//! A small workload over any storage, and what it was told.

use wal::{Entry, Identity, Log, Lsn, Opened, Options, Record, Storage};

pub(crate) const IDENTITY: Identity =
    Identity { cluster: [1; 16], node: [2; 16], lineage: [3; 16] };
pub(crate) const SMALL: Options = Options { segment_bytes: 32 << 10 };

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
    let opened = opened(storage);
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
