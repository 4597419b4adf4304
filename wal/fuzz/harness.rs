//! Harm to a log, read from bytes, and what must hold whatever they are. Used by the fuzzer, and
//! by a test that replays what the fuzzer kept.
//!
//! Besides overwriting, it can seal a header anew, for no fuzzer guesses a checksum.

use wal::scan::scan;
use wal::{CrashDisk, Entry, Identity, Lsn, Options, Salt, Storage, StorageFile};

type Files = Vec<(String, Vec<u8>)>;

const OPTIONS: Options = Options { segment_bytes: 16 << 10 };

fn entry(payload: &[u8]) -> Entry<'_> {
    Entry { kind: 1, kind_version: 1, wall_ms: 1, payload }
}

/// Three segments: made, and two starts, with Marks.
fn whole() -> Files {
    let disk = CrashDisk::new(0);
    let identity = Identity { cluster: [1; 16], node: [2; 16], lineage: [3; 16] };
    wal::create(&disk, identity, OPTIONS, &[entry(b"made")]).expect("an empty disk takes a log");
    for epoch in 1..3 {
        let opened = wal::open(disk.clone(), OPTIONS, None).expect("nothing is wrong yet");
        let (mut log, _) = opened.begin(epoch, entry(b"started")).expect("there is room");
        log.append(entry(&[7; 300])).expect("it fits");
        log.sync().expect("the disk works");
        log.mark().expect("the disk works");
    }
    let paths = disk.paths().into_iter();
    paths
        .filter_map(|path| {
            let bytes = disk.contents(&path).ok()?;
            Some((path.strip_prefix("wal/")?.to_owned(), bytes))
        })
        .collect()
}

fn take<'a>(data: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = data.split_at(count.min(data.len()));
    *data = rest;
    taken
}

fn number(data: &mut &[u8], bytes: usize) -> usize {
    take(data, bytes).iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// Makes the checksum at `at + covered` that of the bytes before it.
fn seal(bytes: &mut [u8], salt: Salt, at: usize, covered: usize) {
    if at + covered + 4 <= bytes.len() {
        let crc = salt.crc(&bytes[at..at + covered]);
        bytes[at + covered..at + covered + 4].copy_from_slice(&crc.to_le_bytes());
    }
}

fn harm(files: &mut Files, data: &mut &[u8]) {
    let what = number(data, 1);
    let file = number(data, 1) % files.len();
    let at = number(data, 2);
    let bytes = &mut files[file].1;
    let salt = bytes
        .get(121..129)
        .map_or(0, |salt| salt.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)));
    match what % 8 {
        0 => {
            let count = number(data, 1);
            for (byte, new) in bytes.iter_mut().skip(at).zip(take(data, count)) {
                *byte = *new;
            }
        }
        1 => seal(bytes, Salt(salt), 0, 129),
        2 => seal(bytes, Salt(salt), at / 4096 * 4096, 56),
        3 => bytes.truncate(at),
        4 => {
            let block = bytes.iter().skip(at / 512 * 512).take(512).copied().collect::<Vec<_>>();
            let to = number(data, 2) / 512 * 512;
            for (byte, new) in bytes.iter_mut().skip(to).zip(block) {
                *byte = new;
            }
        }
        5 => bytes.iter_mut().skip(at / 512 * 512).take(512).for_each(|byte| *byte = 0),
        6 => files[file].0 = format!("{:010}-{:020}.seg", at, number(data, 8)),
        _ => {
            files.remove(file);
            if files.is_empty() {
                files.push((String::from("x.seg"), data.to_vec()));
            }
        }
    }
}

fn disk_with(files: &Files) -> Option<CrashDisk> {
    let disk = CrashDisk::new(0);
    disk.create_dir("wal").ok()?;
    for (name, bytes) in files {
        disk.create(&format!("wal/{name}")).ok()?.write_at(bytes, 0).ok()?;
    }
    Some(disk)
}

/// Scanning never panics and never contradicts itself; what it calls sound can be started on, and
/// is then sound.
pub(crate) fn harm_and_scan(mut data: &[u8]) {
    static WHOLE: std::sync::OnceLock<Files> = std::sync::OnceLock::new();
    let mut files = WHOLE.get_or_init(whole).clone();
    let witnessed = Some(Lsn::new(number(&mut data, 1) as u64 % 8));
    while !data.is_empty() {
        harm(&mut files, &mut data);
    }
    files.sort();
    files.dedup_by(|a, b| a.0 == b.0);
    let survey = scan(&files, witnessed);
    let sound = survey.first_unsound().is_none() && !survey.segments.is_empty();
    if sound {
        assert!(Some(survey.last) >= witnessed, "a witnessed record is missing");
    }
    let Some(disk) = disk_with(&files) else { return };
    match wal::open(disk.clone(), OPTIONS, witnessed) {
        Err(_) => assert!(!sound, "scan and open disagree"),
        Ok(opened) => {
            assert!(sound, "scan and open disagree");
            let (last, epoch) = (opened.last(), opened.epoch());
            if epoch == u64::MAX || last.get() > 1 << 60 {
                return;
            }
            drop(opened.begin(epoch + 1, entry(b"again")).expect("a sound log can be begun"));
            disk.power_cut(0);
            let again = wal::open(disk, OPTIONS, witnessed).expect("what was begun is sound");
            assert_eq!(again.last(), last.next(), "beginning adds one record and loses none");
        }
    }
}
