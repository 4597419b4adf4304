//! The bytes themselves: what every later version must still read, and what they prove.

use wal::read::{Cursor, follow};
use wal::{BatchImage, CrashDisk, Lsn, Salt, Storage, StorageFile, parse_batch};

use crate::support::{
    Files, IDENTITY, SEVEN_BLOCKS, begun, begun_with, entry, files, four_segments, made, opened,
    payloads,
};

#[test]
fn the_checksum_is_crc_32_iso_hdlc() {
    assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
}

#[test]
fn a_checksum_is_seeded_by_its_salt() {
    assert_ne!(Salt(1).crc(b"a memo"), Salt(2).crc(b"a memo"));
    assert_ne!(Salt(1).crc(b""), 0, "nothing must not verify as zeros");
}

#[test]
fn every_batch_proves_the_one_before_it_durable() {
    let disk = CrashDisk::new(1);
    made(&disk);
    let mut log = begun(&disk);
    for step in 0..50_u8 {
        log.append(entry(&[step])).unwrap();
        log.append(entry(&[step])).unwrap();
        log.sync().unwrap();
    }
    let mut proofs = Vec::new();
    follow(&disk, &mut Cursor::default(), |record, position| {
        if record.lsn == position.first_lsn && record.lsn > Lsn::new(3) {
            assert_eq!(position.durable_lsn.next(), position.first_lsn);
            proofs.push(position.durable_lsn);
        }
        Ok::<(), ()>(())
    })
    .unwrap();
    assert!(proofs.is_sorted_by(|a, b| a < b), "durable_lsn really advances");
    assert_eq!(proofs.len(), 49);
}

#[test]
fn a_mark_uses_no_record_number_and_proves_the_last_batch() {
    let disk = CrashDisk::new(1);
    made(&disk);
    let mut log = begun(&disk);
    let lsn = log.append(entry(b"last")).unwrap();
    log.sync().unwrap();
    let unmarked = disk.snapshot();
    let mark = log.mark().unwrap().unwrap();
    assert_eq!(log.next_lsn(), lsn.next());
    let parsed = parse_batch(&mark.bytes, mark.salt, mark.offset).unwrap();
    assert_eq!((parsed.header.records, parsed.header.durable_lsn), (0, lsn));
    drop(log);
    assert_eq!(opened(&disk).durable(), lsn);
    disk.restore(&unmarked);
    let opened = opened(&disk);
    assert_eq!(opened.durable().next(), lsn, "without the Mark it is only readable");
    assert_eq!(opened.last(), lsn);
    assert_eq!(opened.report().unproven, 1);
    drop(opened.begin(2, entry(b"started")).unwrap());
    assert!(crate::support::opened(&disk).durable() > lsn, "and durable once begun");
}

#[test]
fn the_images_of_a_log_put_it_back_together() {
    let disk = CrashDisk::new(1);
    wal::create(&disk, IDENTITY, SEVEN_BLOCKS, &[entry(b"made")]).unwrap();
    let mut images: Vec<BatchImage> = Vec::new();
    for _ in 0..3 {
        let mut log = begun_with(&disk, SEVEN_BLOCKS);
        for step in 0..9_u8 {
            log.append(entry(&[step; 700])).unwrap();
            images.extend(log.sync().unwrap().batches);
            if step % 2 == 0 {
                log.mark().unwrap();
            }
        }
    }
    let expected = payloads(&opened(&disk));
    let whole = files(&disk);
    // Everything but headers and the first segment, which no writer wrote, is wiped and put back.
    for (name, bytes) in &whole[1..] {
        let mut wiped = bytes.clone();
        wiped[wal::BLOCK..].fill(0);
        disk.replace(&format!("wal/{name}"), &wiped).unwrap();
    }
    for image in &images {
        let batch = parse_batch(&image.bytes, image.salt, image.offset).unwrap();
        assert_eq!(batch.header.first_lsn, image.first_lsn);
        let name = &whole[image.segment as usize - 1].0;
        let path = format!("wal/{name}");
        let mut bytes = disk.contents(&path).unwrap();
        let (start, end) = (image.offset as usize, image.offset as usize + image.bytes.len());
        if end <= bytes.len() {
            bytes[start..end].copy_from_slice(&image.bytes);
            disk.replace(&path, &bytes).unwrap();
        }
    }
    assert_eq!(payloads(&opened(&disk)), expected);
}

#[test]
fn an_image_moved_or_under_another_salt_does_not_parse() {
    let disk = CrashDisk::new(1);
    made(&disk);
    let mut log = begun(&disk);
    log.append(entry(b"a")).unwrap();
    for image in log.sync().unwrap().batches {
        assert!(parse_batch(&image.bytes, image.salt, image.offset).is_ok());
        assert!(parse_batch(&image.bytes, image.salt, image.offset + 4096).is_err());
        assert!(parse_batch(&image.bytes, Salt(image.salt.0 ^ 1), image.offset).is_err());
        assert!(parse_batch(&image.bytes[..4095], image.salt, image.offset).is_err());
    }
}

#[test]
fn a_log_outgrows_its_batches_and_its_options() {
    let disk = CrashDisk::new(1);
    made(&disk);
    let mut log = begun(&disk);
    for _ in 0..30 {
        log.append(entry(&[1; 2000])).unwrap();
    }
    assert!(log.pending_bytes() > 60_000, "more than a batch, more than a segment");
    assert!(log.sync().unwrap().durable.covers(Lsn::new(32)));
    drop(log);
    // A smaller segment than the batch that has to be written again.
    let smaller = wal::Options { segment_bytes: wal::SEGMENT_BYTES_MIN };
    let mut log = begun_with(&disk, smaller);
    log.append(entry(b"small")).unwrap();
    log.sync().unwrap();
    assert_eq!(opened_count(&disk, log), 34);
}

fn opened_count(disk: &CrashDisk, log: wal::Log<CrashDisk>) -> usize {
    drop(log);
    payloads(&opened(disk)).len()
}

fn golden(version: &str) -> Files {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(version);
    let mut files: Files = path
        .read_dir()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn the_first_format_is_read_by_every_later_version() {
    let files = golden("v1");
    let disk = CrashDisk::new(1);
    disk.create_dir("wal").unwrap();
    for (name, bytes) in &files {
        disk.create(&format!("wal/{name}")).unwrap().write_at(bytes, 0).unwrap();
    }
    let opened = opened(&disk);
    assert_eq!(opened.identity(), IDENTITY);
    assert_eq!(opened.epoch(), 2);
    assert_eq!(opened.durable(), Lsn::new(8));
    let lengths: Vec<usize> = payloads(&opened).iter().map(Vec::len).collect();
    assert_eq!(lengths, [4, 7, 100, 7, 3000, 3800, 900, 900]);
    let mut first = Vec::new();
    opened
        .replay::<()>(|record, position| {
            first.push((record.kind, record.kind_version, record.wall_ms, position.crc));
            Ok(())
        })
        .unwrap();
    assert_eq!(first[0], (7, 1, 1_700_000_000_000, first[0].3));
    assert_ne!(first[0].3, 0);
}

#[test]
fn the_format_written_today_is_the_newest_golden_one() {
    assert!(golden("v1") == four_segments(IDENTITY, b'g', true), "bump the format");
}
