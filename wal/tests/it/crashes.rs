//! Power cuts and kills at every storage operation of a scripted life, openings included.
//!
//! The claims: a log is never refused after a crash, what was acknowledged is there, and what is
//! there is what was appended.

use wal::{CrashDisk, CreateError, Log, Lsn, OpenError};

use crate::support::{IDENTITY, SEVEN_BLOCKS, entry};

/// What the outside knows of a log.
#[derive(Default)]
struct Memory {
    /// All that was appended and not known to be lost, in order.
    appended: Vec<Vec<u8>>,
    /// The number before the log's first record.
    before: u64,
    acknowledged: u64,
    created: bool,
    serial: u32,
}

/// The machine is off.
#[derive(Debug)]
struct Off;

impl Memory {
    fn payload(&mut self, len: usize) -> Vec<u8> {
        self.serial += 1;
        let mut payload = self.serial.to_le_bytes().to_vec();
        payload.resize(len.max(4), 0);
        self.appended.push(payload.clone());
        payload
    }

    fn make(&mut self, disk: &CrashDisk) -> Result<(), Off> {
        if self.appended.is_empty() {
            self.payload(4);
        }
        let (first, made) = (Lsn::new(self.before + 1), [entry(&self.appended[0])]);
        let made = wal::create_at(disk, IDENTITY, SEVEN_BLOCKS, first, &made);
        match made {
            Ok(()) => {}
            Err(CreateError::Io(_)) => return Err(Off),
            Err(other) => panic!("{other}"),
        }
        self.created = true;
        Ok(())
    }

    /// Opens, checks all that is there against all that was said, and begins an epoch.
    fn start(&mut self, disk: &CrashDisk) -> Result<Log<CrashDisk>, Off> {
        let opened = match wal::open(disk.clone(), SEVEN_BLOCKS, None) {
            Ok(opened) => opened,
            Err(OpenError::Missing { .. }) if !self.created => {
                self.make(disk)?;
                return self.start(disk);
            }
            Err(OpenError::Io(_)) => return Err(Off),
            Err(other) => panic!("false alarm: {other:?}"),
        };
        let last = opened.last().get() - self.before;
        let durable = opened.durable().get() - self.before;
        assert!(last >= self.acknowledged, "lost: {last} of {}", self.acknowledged);
        assert!(durable <= last);
        let mut replayed = Vec::new();
        opened
            .replay::<()>(|record, _| {
                replayed.push(record.payload.to_vec());
                Ok(())
            })
            .map_err(|_| Off)?;
        assert_eq!(replayed[..], self.appended[..last as usize], "changed");
        self.appended.truncate(last as usize);
        let epoch = opened.epoch() + 1;
        let started = self.payload(8);
        match opened.begin(epoch, entry(&started)) {
            Ok((log, durable)) => {
                self.created = true;
                self.acknowledge(durable.lsn());
                assert_eq!(durable.lsn().get() - self.before, self.appended.len() as u64);
                Ok(log)
            }
            Err(OpenError::Io(_)) => Err(Off),
            Err(other) => panic!("{other}"),
        }
    }

    fn acknowledge(&mut self, lsn: Lsn) {
        let lsn = lsn.get() - self.before;
        assert!(lsn >= self.acknowledged && lsn <= self.appended.len() as u64);
        self.acknowledged = lsn;
    }

    /// One life: batches of all sizes, Marks now and then, rotations with and without a spare.
    fn live(&mut self, disk: &CrashDisk) -> Result<(), Off> {
        let mut log = self.start(disk)?;
        for (step, len) in [5, 3900, 600, 0, 8000, 40, 40, 2000].into_iter().enumerate() {
            if step % 3 == 1
                && let Some(task) = log.spare_wanted()
            {
                task.run().map_err(|_| Off)?;
            }
            for len in [len, 30] {
                let payload = self.payload(len);
                let lsn = log.append(entry(&payload)).map_err(|_| Off)?;
                assert_eq!(lsn.get() - self.before, self.appended.len() as u64);
            }
            let synced = log.sync().map_err(|_| Off)?;
            self.acknowledge(synced.durable.lsn());
            if step % 2 == 1 {
                log.mark().map_err(|_| Off)?;
            }
        }
        Ok(())
    }

    fn two_lives(&mut self, disk: &CrashDisk) -> Result<(), Off> {
        self.make(disk)?;
        self.live(disk)?;
        disk.kill();
        self.live(disk)
    }
}

/// How many operations the script takes when nothing stops it.
fn operations() -> u64 {
    let disk = CrashDisk::new(0);
    Memory::default().two_lives(&disk).unwrap();
    disk.operations()
}

/// The script up to its `n`-th operation.
fn stopped_at(n: u64) -> (CrashDisk, Memory) {
    // Where a log begins makes no difference: every second one begins far above 1.
    let before = if n.is_multiple_of(2) { 0 } else { 3_000_000_000 };
    let (disk, mut memory) = (CrashDisk::new(n), Memory { before, ..Memory::default() });
    disk.stop_at_operation(n);
    memory.two_lives(&disk).unwrap_err();
    (disk, memory)
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_acknowledged_and_raises_no_alarm() {
    let (mut lost, mut kept, mut names_lost) = (0, 0, 0);
    for n in 1..=operations() {
        for seed in 0..12 {
            let (disk, mut memory) = stopped_at(n);
            disk.power_cut(seed * 1009 + n);
            memory.live(&disk).unwrap();
            let counts = disk.counts();
            lost += counts.sectors_lost;
            kept += counts.sectors_kept;
            names_lost += counts.names_lost;
        }
    }
    assert!(lost > 1000 && kept > 1000 && names_lost > 100, "the faults happened");
}

#[test]
fn a_kill_at_any_operation_loses_nothing_that_was_written() {
    for n in 1..=operations() {
        let (disk, mut memory) = stopped_at(n);
        disk.kill();
        memory.live(&disk).unwrap();
    }
}

#[test]
fn a_kill_then_a_power_cut_at_any_operation_of_the_opening_loses_nothing() {
    for n in 1..=operations() {
        for opening in 1..=14 {
            let (disk, mut memory) = stopped_at(n);
            disk.kill();
            disk.stop_at_operation(opening);
            let _ = memory.start(&disk);
            disk.clear_faults();
            disk.power_cut(n * 31 + opening);
            memory.live(&disk).unwrap();
        }
    }
}

#[test]
fn power_cuts_in_opening_after_opening_lose_nothing() {
    for n in (1..=operations()).step_by(3) {
        for seed in 0..8 {
            let (disk, mut memory) = stopped_at(n);
            disk.power_cut(seed);
            for opening in 0..20 {
                disk.stop_at_operation(1 + (seed * 7 + opening * 5) % 13);
                let _ = memory.start(&disk);
                disk.clear_faults();
                if opening % 3 == 0 {
                    disk.kill();
                } else {
                    disk.power_cut(seed + opening * 97);
                }
            }
            memory.live(&disk).unwrap();
        }
    }
}

#[test]
fn a_second_power_cut_right_after_a_start_loses_nothing_that_was_only_readable() {
    for n in 1..=operations() {
        for seed in 0..4 {
            let (disk, mut memory) = stopped_at(n);
            disk.kill();
            let log = memory.start(&disk).unwrap();
            drop(log);
            disk.power_cut(seed);
            memory.live(&disk).unwrap();
        }
    }
}
