//! How long the disk takes to make a block safe: what every figure rests on.

use super::tally::us;
use crate::errors::Failure;
use crate::home::Home;
use hdrhistogram::Histogram;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::time::Instant;

const BLOCK: usize = 4096;
const FILE_BLOCKS: u64 = 1_024;
const SAMPLES: u64 = 400;

/// The median of overwriting one block of a zero-filled file and syncing it, in microseconds.
pub(super) fn fdatasync_us(home: &Home) -> Result<u64, Failure> {
    let path = home.root().join("fdatasync");
    let measure = || -> std::io::Result<u64> {
        let mut new = OpenOptions::new();
        let file = new.read(true).write(true).create(true).truncate(true).open(&path)?;
        for block in 0..FILE_BLOCKS {
            file.write_all_at(&[0; BLOCK], block * BLOCK as u64)?;
        }
        file.sync_all()?;
        let mut times = Histogram::<u64>::new(3).expect("sound precision");
        for sample in 0..SAMPLES {
            file.write_all_at(&[1; BLOCK], sample % FILE_BLOCKS * BLOCK as u64)?;
            let began = Instant::now();
            file.sync_data()?;
            times.saturating_record(us(began.elapsed()));
        }
        Ok(times.value_at_quantile(0.5))
    };
    let measured = measure().map_err(|error| Failure::unexpected("measure fdatasync", &error));
    let _ = std::fs::remove_file(&path);
    measured
}
