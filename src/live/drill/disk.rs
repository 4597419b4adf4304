//! A bank whose disk is full: a small file system of its own, filled up under payments.
//!
//! Needs root, to mount it; without, the drill says so.

use super::{Place, Scene, Stage, Told, Victim, What, broken, enter, skipped};
use crate::errors::Failure;
use crate::home::Service;
use crate::live::Heard;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Of the file system: some segments, and no more. What is left of them takes some payments yet.
const SIZE: &str = "size=24m";
/// By then a payment has been refused for want of space.
const FULL_MAX: Duration = Duration::from_mins(2);

pub(super) fn words() -> [String; 4] {
    let victim = Victim::PayeesBank.to_string();
    let fault = "its disk is full under payments, and has room again after a while";
    let shows = "it declines or stops, nothing answered is lost, and it goes on when there is room";
    ["full-disk-bank".to_owned(), victim, fault.to_owned(), shows.to_owned()]
}

/// A mounted file system, until it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(at: &Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", SIZE, "strife-drill"])
            .arg(at)
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: what was killed a moment ago may still hold a file of it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

pub(super) fn run(place: &Place, stage: &mut Stage) -> Result<Told, Failure> {
    if !nix::unistd::geteuid().is_root() {
        return Err(skipped("root"));
    }
    let scene = enter(stage, place)?;
    let service = Victim::PayeesBank.service();
    let data = scene.cluster.home().data(service);
    let mounted = move_to_small_disk(&data)?;
    let told = fill(scene, service, &data);
    // Nothing of it may run on the file system when that goes.
    let _ = scene.cluster.signal(service, nix::sys::signal::Signal::SIGKILL);
    drop(mounted);
    told
}

fn move_to_small_disk(data: &Path) -> Result<Mounted, Failure> {
    let aside = data.with_extension("aside");
    let failed = |error: io::Error| Failure::unexpected("move a directory", &error);
    fs::rename(data, &aside).and_then(|()| fs::create_dir(data)).map_err(failed)?;
    let mounted = Mounted::new(data).ok_or_else(|| skipped("mount"))?;
    super::twins::copy_tree(&aside, data).map_err(failed)?;
    Ok(mounted)
}

fn fill(scene: &mut Scene, service: Service, data: &Path) -> Result<Told, Failure> {
    scene.begin()?;
    scene.pay_for_sure()?;
    let filler = data.join("filler");
    let file = File::create(&filler);
    let mut file = file.map_err(|error| Failure::unexpected("fill a disk", &error))?;
    let block = vec![0x55_u8; 64 << 10];
    while file.write_all(&block).is_ok() {}
    drop(file);
    scene.mark(What::Fault, format!("the disk of {service} is full"));
    let until = Instant::now() + FULL_MAX;
    let mut declined = None;
    while declined.is_none() && Instant::now() < until {
        let heard = scene.pay_minor(1);
        let full = matches!(&heard, Heard::Aborted { reason, .. } if reason == "LOG_FULL");
        let down = !scene.cluster.is_running(service);
        declined = (full || down).then_some(heard);
    }
    let Some(heard) = declined else {
        return Err(broken("payments go on although the disk is full"));
    };
    let stopped = !scene.cluster.is_running(service);
    let what = if stopped { "it has stopped" } else { "it declines with LOG_FULL" };
    scene.mark(What::Fault, format!("{service}: {what}, the payment heard {}", heard.name()));
    fs::remove_file(&filler).map_err(|error| Failure::unexpected("make room", &error))?;
    scene.healed();
    let recovered = if stopped { scene.restart(service)? } else { Duration::ZERO };
    let settled = scene.conclude()?;
    let outcome = if stopped { "STOPPED" } else { "DECLINED" };
    Ok(Told { outcome: outcome.to_owned(), recovered, settled })
}
