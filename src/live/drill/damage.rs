//! Files that are lost, torn or rotten while their service is stopped, and a bank that stands
//! still. Refuses to know what the files say: it knows where they end.

use super::{Place, Scene, Stage, Told, Victim, What, broken, enter};
use crate::errors::{Exit, Failure};
use crate::home::Service;
use crate::live::Heard;
use nix::sys::signal::Signal;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;
use wal::Disk;
use wal::read::survey;

/// By then a service that must refuse to start has refused.
const REFUSE_MAX: Duration = Duration::from_mins(1);
const SECTOR: u64 = 512;
const BLOCK: u64 = 4096;

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Damage {
    /// The SQLite file is deleted.
    ViewLost(Victim),
    /// A write that did not finish stands behind the log's end.
    TornTail(Victim),
    /// One bit of a record that was acknowledged.
    FlippedBit(Victim),
    /// SIGSTOP for a while, in mid-traffic.
    StandsStill,
}

pub(super) const ALL: [Damage; 7] = [
    Damage::ViewLost(Victim::Gateway),
    Damage::ViewLost(Victim::PayersBank),
    Damage::TornTail(Victim::Gateway),
    Damage::TornTail(Victim::PayersBank),
    Damage::FlippedBit(Victim::Gateway),
    Damage::FlippedBit(Victim::PayersBank),
    Damage::StandsStill,
];

impl Damage {
    pub(super) fn words(self) -> [String; 4] {
        let at = |victim| if victim == Victim::Gateway { "gateway" } else { "bank" };
        let (name, victim, fault, shows) = match self {
            Self::ViewLost(Victim::Gateway) => (
                "lost-mirror".to_owned(),
                Victim::Gateway,
                "its mirror deleted while stopped",
                "every answer is as before, and the mirror is made again",
            ),
            Self::ViewLost(victim) => (
                "lost-book".to_owned(),
                victim,
                "its book deleted while stopped",
                "every balance is as before, and the book is made again",
            ),
            Self::TornTail(victim) => (
                format!("torn-tail-{}", at(victim)),
                victim,
                "SIGKILL, and half a write behind the log's end",
                "what nobody was told of is set aside, and nothing else",
            ),
            Self::FlippedBit(victim) => (
                format!("flipped-bit-{}", at(victim)),
                victim,
                "one bit of an acknowledged record flipped",
                "it refuses to start, naming file and offset, until the bit is back",
            ),
            Self::StandsStill => (
                "stopped-bank".to_owned(),
                Victim::PayeesBank,
                "SIGSTOP for 2 s under payments",
                "its payments end alike on both sides, and other banks' go through meanwhile",
            ),
        };
        [name, victim.to_string(), fault.to_owned(), shows.to_owned()]
    }

    pub(super) fn run(self, place: &Place, stage: &mut Stage) -> Result<Told, Failure> {
        let scene = enter(stage, place)?;
        scene.begin()?;
        for _ in 0..3 {
            scene.pay_for_sure()?;
        }
        scene.pay_minor(2_000_000_000);
        scene.wait_quiet()?;
        match self {
            Self::ViewLost(victim) => view_lost(scene, victim.service()),
            Self::TornTail(victim) => torn_tail(scene, victim.service()),
            Self::FlippedBit(victim) => flipped_bit(scene, victim.service()),
            Self::StandsStill => stands_still(scene),
        }
    }
}

fn view_lost(scene: &mut Scene, service: Service) -> Result<Told, Failure> {
    scene.cluster.stop(service)?;
    let database = scene.cluster.home().database(service);
    let lost =
        ["", "-wal", "-shm"].map(|end| PathBuf::from(format!("{}{end}", database.display())));
    let had = database.exists();
    for file in lost.iter().filter(|file| file.exists()) {
        fs::remove_file(file).map_err(|error| Failure::unexpected("delete a view", &error))?;
    }
    scene.mark(What::Fault, format!("the SQLite file of {service} is deleted"));
    let recovered = scene.restart(service)?;
    let settled = scene.conclude()?;
    if had && !database.exists() {
        return Err(broken(format!("{} was not made again", database.display())));
    }
    Ok(Told { outcome: "AS_BEFORE".to_owned(), recovered, settled })
}

/// The last segment of a log, and where its last batch ends.
fn end_of(scene: &Scene, service: Service) -> Result<(PathBuf, u64), Failure> {
    let home = scene.cluster.home();
    let seen = survey(&Disk::new(home.data(service)), None);
    let seen = seen.map_err(|error| Failure::unexpected("look at a log", &error))?;
    let last = seen.segments.last().ok_or_else(|| broken("the log has no segment"))?;
    Ok((home.wal(service).join(&last.name), last.used_len))
}

fn torn_tail(scene: &mut Scene, service: Service) -> Result<Told, Failure> {
    scene.cluster.kill(service)?;
    let (segment, end) = end_of(scene, service)?;
    // Its first sector never reached the disk, and its others did.
    let torn = vec![0xa5_u8; (BLOCK - SECTOR) as usize];
    let file = OpenOptions::new().write(true).open(&segment);
    let written = file.and_then(|file| file.write_all_at(&torn, end + SECTOR));
    written.map_err(|error| Failure::unexpected("tear a write", &error))?;
    scene.mark(What::Fault, format!("{service} is killed, with half a write behind its log's end"));
    let recovered = scene.restart(service)?;
    let kept = fs::read_dir(scene.cluster.home().quarantine(service));
    if kept.map_or(0, Iterator::count) == 0 {
        return Err(broken(format!("{service} kept no copy of the torn write")));
    }
    let settled = scene.conclude()?;
    Ok(Told { outcome: "SET_ASIDE".to_owned(), recovered, settled })
}

fn flipped_bit(scene: &mut Scene, service: Service) -> Result<Told, Failure> {
    scene.cluster.stop(service)?;
    let (segment, end) = end_of(scene, service)?;
    // In the body of the first batch behind the segment's header, which ends before `end`.
    let offset = BLOCK + 100;
    if end <= offset {
        return Err(broken("the last segment holds no batch"));
    }
    flip(&segment, offset)?;
    scene.mark(What::Fault, format!("a bit of the log of {service} flips"));
    refuses(scene, service, &segment)?;
    scene.mark(What::Fault, format!("{service} has refused to start, naming file and offset"));
    flip(&segment, offset)?;
    let recovered = scene.restart(service)?;
    let settled = scene.conclude()?;
    Ok(Told { outcome: "REFUSED".to_owned(), recovered, settled })
}

fn flip(file: &std::path::Path, offset: u64) -> Result<(), Failure> {
    let flip = || -> std::io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(file)?;
        let mut byte = [0; 1];
        file.read_exact_at(&mut byte, offset)?;
        file.write_all_at(&[byte[0] ^ 0x10], offset)
    };
    flip().map_err(|error| Failure::unexpected("flip a bit", &error))
}

/// `service` must end with 6 and name the file and the offset.
fn refuses(scene: &mut Scene, service: Service, segment: &std::path::Path) -> Result<(), Failure> {
    scene.cluster.spawn(service, None)?;
    let status = scene.cluster.wait_ended(service, REFUSE_MAX)?;
    let said = scene.cluster.talk(service);
    let name = segment.file_name().unwrap_or_default().to_string_lossy();
    let named = said.contains(&*name) && said.contains(&BLOCK.to_string());
    if status.code() == Some(Exit::Damaged.code().into()) && named {
        return Ok(());
    }
    let what = format!("{service} was to refuse with 6, naming {name} and the offset: {status}");
    Err(broken(what).todo(said))
}

fn stands_still(scene: &mut Scene) -> Result<Told, Failure> {
    let service = Victim::PayeesBank.service();
    scene.cluster.signal(service, Signal::SIGSTOP)?;
    scene.mark(What::Fault, format!("{service} stands still"));
    let heard = scene.pay();
    let died_of = scene.last_id();
    let others = scene.other_banks()?;
    std::thread::sleep(Duration::from_secs(1));
    scene.cluster.signal(service, Signal::SIGCONT)?;
    scene.healed();
    if !others.is_committed() {
        return Err(broken(format!("a payment between two other banks heard {others:?}")));
    }
    if heard.is_committed() {
        return Err(broken("a payment to a bank that stands still was committed"));
    }
    let settled = scene.conclude()?;
    let answer = scene.payers[0].asked().get(&died_of).and_then(|asked| asked.answer());
    let outcome = answer.map_or("NONE", Heard::name).to_owned();
    Ok(Told { outcome, recovered: Duration::ZERO, settled })
}
