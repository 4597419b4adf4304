//! Power cuts on a real file system: the image under a running cluster is copied in mid-traffic,
//! and the cluster recovers from the copy.
//!
//! All processes stand still while it is copied, so that the copy is of one instant. What they
//! wrote and did not sync is in the page cache above the image, and not in it, or in part: that is
//! what a power cut leaves.

use crate::support::edge::{has_tool, skipped};
use crate::support::live::{Turn, good, place};
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use strife::live::{Asked, Place, Scene};
use tempfile::TempDir;

const IMAGE_MIB: u64 = 200;
const CUTS: usize = 3;
/// Payments under way when the power goes.
const PAYMENTS: i64 = 40;

fn run(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

/// An ext4 file system in a file, mounted until it is dropped.
struct Image {
    file: PathBuf,
    at: PathBuf,
}

impl Image {
    fn mount(file: &Path, at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a mount point");
        let (file, at) = (file.to_owned(), at.to_owned());
        let paths = [file.to_str()?, at.to_str()?];
        run("mount", &["-o", "loop,commit=300", paths[0], paths[1]]).then_some(Self { file, at })
    }

    fn make(directory: &Path) -> Option<Self> {
        let file = directory.join("image");
        let made = std::fs::File::create(&file).and_then(|made| made.set_len(IMAGE_MIB << 20));
        made.expect("an image");
        let formatted = run("mkfs.ext4", &["-q", "-F", file.to_str()?]);
        if formatted { Self::mount(&file, &directory.join("mounted")) } else { None }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let at = self.at.to_string_lossy();
        let _ = run("umount", &[&at]) || run("umount", &["-l", &at]);
    }
}

/// The cluster under payments loses its power: all that is left is what the image has.
fn cut(scene: &mut Scene, image: Image, number: usize) -> Option<Image> {
    let Scene { cluster, payers, .. } = scene;
    let copied = image.file.with_file_name(format!("after-cut-{number}"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..PAYMENTS {
                payers[0].pay(&format!("cut-{number}-{i}"), 2, 100 + i);
            }
        });
        std::thread::sleep(Duration::from_millis(400));
        for service in cluster.services() {
            good(cluster.signal(service, Signal::SIGSTOP));
        }
        std::fs::copy(&image.file, &copied).expect("copied");
        for service in cluster.services() {
            good(cluster.kill(service));
        }
    });
    let at = image.at.clone();
    drop(image);
    Image::mount(&copied, &at)
}

#[test]
fn a_power_cut_under_load_loses_nothing_that_was_answered() {
    if !nix::unistd::geteuid().is_root() {
        return skipped("root");
    }
    if !has_tool("mkfs.ext4") {
        return;
    }
    let _turn = Turn::take();
    let directory = TempDir::new().expect("a directory");
    let Some(image) = Image::make(directory.path()) else { return skipped("loop") };
    let mut mounted = Some(image);
    let at = directory.path().join("mounted");
    let mut scene = good(Scene::set(&Place { parent: at, ..place(5) }));
    for number in 0..CUTS {
        good(scene.begin());
        good(scene.pay_for_sure());
        mounted = cut(&mut scene, mounted.take().expect("mounted"), number);
        assert!(mounted.is_some(), "the file system does not survive its power cut");
    }
    good(scene.begin());
    good(scene.conclude());
    let asked = scene.payers[0].asked().values();
    let answers = asked.filter_map(Asked::answer);
    let committed = answers.filter(|answer| answer.is_committed()).count();
    assert!(committed > CUTS, "{committed} payments went through: the load was none");
    drop(scene);
}
