//! The disk that fails on command, shown to fail the way disks do. What is proven on it is worth
//! no more than this.

use wal::{CrashDisk, Storage, StorageFile};

const OLD: [u8; 4096] = [1; 4096];
const NEW: [u8; 4096] = [2; 4096];

/// A durable file "f" with old bytes, over which new ones were written and not synced.
fn overwritten() -> (CrashDisk, <CrashDisk as Storage>::File) {
    let disk = CrashDisk::new(1);
    let mut file = disk.create("f").unwrap();
    file.write_at(&OLD, 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir("").unwrap();
    file.write_at(&NEW, 0).unwrap();
    (disk, file)
}

#[test]
fn a_kill_keeps_what_was_written_and_ends_its_files() {
    let (disk, mut file) = overwritten();
    disk.kill();
    assert_eq!(disk.contents("f").unwrap(), NEW);
    assert!(file.write_at(&OLD, 0).is_err(), "a dead process writes nothing");
    assert!(file.sync_data().is_err());
}

#[test]
fn a_power_cut_keeps_or_loses_each_unsynced_sector_whole() {
    let (mut mixed, mut outcomes) = (0, std::collections::BTreeSet::new());
    for seed in 0..200 {
        let (disk, _file) = overwritten();
        disk.power_cut(seed);
        let bytes = disk.contents("f").unwrap();
        for sector in bytes.chunks(wal::SECTOR) {
            assert!(sector == &OLD[..wal::SECTOR] || sector == &NEW[..wal::SECTOR]);
        }
        mixed += u32::from(bytes != OLD && bytes != NEW);
        outcomes.insert(bytes);
    }
    assert!(mixed > 50 && outcomes.len() > 30, "torn, in many ways");
    assert!(outcomes.contains(&OLD[..]) && outcomes.contains(&NEW[..]));
}

#[test]
fn a_power_cut_loses_nothing_that_was_synced() {
    for seed in 0..50 {
        let (disk, mut file) = overwritten();
        file.sync_data().unwrap();
        disk.power_cut(seed);
        assert_eq!(disk.contents("f").unwrap(), NEW);
    }
}

#[test]
fn a_sync_after_a_failed_sync_lies() {
    let lost = (0..50).filter(|&seed| {
        let (disk, mut file) = overwritten();
        disk.fail_nth_sync(1);
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        assert_eq!(disk.contents("f").unwrap(), NEW, "the page cache has it");
        disk.power_cut(seed);
        disk.contents("f").unwrap() != NEW
    });
    assert!(lost.count() > 40);
}

#[test]
fn a_rename_across_directories_happens_as_one() {
    let (mut moved, mut stayed) = (0, 0);
    for seed in 0..100 {
        let disk = CrashDisk::new(1);
        for directory in ["a", "b"] {
            disk.create_dir(directory).unwrap();
        }
        disk.create("a/f").unwrap();
        for directory in ["", "a", "b"] {
            disk.sync_dir(directory).unwrap();
        }
        disk.rename("a/f", "b/f").unwrap();
        disk.power_cut(seed);
        match disk.paths().as_slice() {
            [path] if path == "a/f" => stayed += 1,
            [path] if path == "b/f" => moved += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(moved > 20 && stayed > 20);
}

#[test]
fn a_synced_rename_is_durable_and_the_old_name_gone() {
    for seed in 0..50 {
        let disk = CrashDisk::new(1);
        for directory in ["a", "b"] {
            disk.create_dir(directory).unwrap();
        }
        disk.sync_dir("").unwrap();
        disk.create("a/f").unwrap();
        disk.rename("a/f", "b/f").unwrap();
        disk.sync_dir("b").unwrap();
        disk.power_cut(seed);
        assert_eq!(disk.paths(), ["b/f"]);
    }
}

#[test]
fn a_file_in_a_directory_that_was_not_synced_may_be_gone() {
    let gone = (0..50).filter(|&seed| {
        let disk = CrashDisk::new(1);
        disk.create("f").unwrap().sync_data().unwrap();
        disk.power_cut(seed);
        disk.paths().is_empty()
    });
    assert!((5..45).contains(&gone.count()));
}

#[test]
fn the_same_seed_leaves_the_same_disk() {
    for seed in 0..20 {
        let [one, two] = [(); 2].map(|()| {
            let (disk, _file) = overwritten();
            disk.power_cut(seed);
            disk.contents("f").unwrap()
        });
        assert_eq!(one, two);
    }
}

#[test]
fn an_old_backup_brings_back_all_and_only_what_it_had() {
    let (disk, mut file) = overwritten();
    let backup = disk.snapshot();
    file.write_at(&OLD, 0).unwrap();
    disk.create("g").unwrap();
    disk.restore(&backup);
    disk.power_cut(1);
    assert_eq!(disk.contents("f").unwrap(), NEW);
    assert_eq!(disk.paths(), ["f"]);
    let elsewhere = CrashDisk::new(2);
    elsewhere.restore(&backup);
    assert_eq!(elsewhere.contents("f").unwrap(), NEW, "a copied directory");
}

#[test]
fn nothing_works_after_the_last_operation_until_the_power_is_back() {
    let (disk, mut file) = overwritten();
    disk.stop_at_operation(1);
    assert!(file.sync_data().is_err());
    assert!(disk.list("").is_err() && disk.open("f").is_err() && disk.create("g").is_err());
    disk.power_cut(0);
    assert!(disk.open("f").is_ok());
}
