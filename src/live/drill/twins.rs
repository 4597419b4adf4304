//! Two of what there must be one of: gateways on one directory, on a copy of it, and directories
//! that are older than what others remember of them.

use super::{Place, Scene, Stage, Told, Victim, What, broken, enter};
use crate::errors::{Exit, Failure};
use crate::home::{Home, Service};
use crate::live::{Cluster, Process};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// By then one of two has given up.
const REFUSE_MAX: Duration = Duration::from_mins(1);

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Twins {
    /// Another gateway is started on the directory of one that runs.
    SameDirectory,
    /// Another gateway is started on a copy of it.
    CopiedDirectory,
    /// The same, and payments were made since the copy was taken.
    StaleCopy,
    /// A directory is put back as it was before the last payments.
    OldBackup(Victim),
}

pub(super) const ALL: [Twins; 5] = [
    Twins::SameDirectory,
    Twins::CopiedDirectory,
    Twins::StaleCopy,
    Twins::OldBackup(Victim::Gateway),
    Twins::OldBackup(Victim::PayersBank),
];

impl Twins {
    pub(super) fn words(self) -> [String; 4] {
        let (name, victim, fault, shows) = match self {
            Self::SameDirectory => (
                "second-gateway",
                Victim::Gateway,
                "a second gateway on its directory",
                "the second ends with 8, and the first does not notice",
            ),
            Self::CopiedDirectory => (
                "copied-gateway",
                Victim::Gateway,
                "a second gateway on a copy of its directory",
                "one of the two ends with 6, and nothing moves twice",
            ),
            Self::StaleCopy => (
                "stale-copy-gateway",
                Victim::Gateway,
                "a second gateway on a copy of its directory, some payments old",
                "the copy ends with 6 before any bank has let it in",
            ),
            Self::OldBackup(Victim::Gateway) => (
                "old-backup-gateway",
                Victim::Gateway,
                "its directory put back as it was some payments ago",
                "it ends with 6, naming the gap, until the newest copy is back",
            ),
            Self::OldBackup(victim) => (
                "old-backup-bank",
                victim,
                "its directory put back as it was some payments ago",
                "it ends with 6, naming the gap, until the newest copy is back",
            ),
        };
        [name.to_owned(), victim.to_string(), fault.to_owned(), shows.to_owned()]
    }

    pub(super) fn run(self, place: &Place, stage: &mut Stage) -> Result<Told, Failure> {
        let scene = enter(stage, place)?;
        scene.begin()?;
        scene.pay_for_sure()?;
        scene.wait_quiet()?;
        match self {
            Self::SameDirectory => same_directory(scene),
            Self::CopiedDirectory => copied_directory(scene),
            Self::StaleCopy => stale_copy(scene),
            Self::OldBackup(victim) => old_backup(scene, victim.service()),
        }
    }
}

fn same_directory(scene: &mut Scene) -> Result<Told, Failure> {
    let home = scene.cluster.home().clone();
    let second = scene.cluster.run("second", &home, vec!["gateway".into()])?;
    expect_end(second, Exit::Configuration, "locked")?;
    scene.mark(What::Fault, "a second gateway on the same directory has ended with 8");
    scene.pay_for_sure()?;
    scene.healed();
    let settled = scene.conclude()?;
    Ok(Told { outcome: "REFUSED".to_owned(), recovered: Duration::ZERO, settled })
}

fn copied_directory(scene: &mut Scene) -> Result<Told, Failure> {
    let copy = copied_home(&scene.cluster)?;
    let mut second = scene.cluster.run("second", &copy, vec!["gateway".into()])?;
    scene.mark(What::Fault, "a second gateway is started on a copy");
    let until = Instant::now() + REFUSE_MAX;
    // Quiet until the banks have let one of them in. Traffic in just that instant can shut out
    // both, which is safe, and needs a rebuild.
    let log = copy.log_file(Service::Gateway);
    let greeted = || fs::read_to_string(&log).unwrap_or_default().matches("bank is ready").count();
    let banks = scene.cluster.banks().count();
    while greeted() < banks && second.ended().is_none() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    // Payments go on meanwhile: whoever takes them, they move money once.
    let first_lost = loop {
        scene.pay();
        std::thread::sleep(Duration::from_millis(20));
        if !scene.cluster.is_running(Service::Gateway) {
            break true;
        }
        if second.ended().is_some() {
            break false;
        }
        if Instant::now() >= until {
            return Err(broken("two gateways on copies of one directory both run on"));
        }
    };
    let (status, said) = if first_lost {
        let status = scene.cluster.wait_ended(Service::Gateway, REFUSE_MAX)?;
        (status, scene.cluster.talk(Service::Gateway))
    } else {
        (second.wait(REFUSE_MAX)?, second.talk())
    };
    if status.code() != Some(Exit::Damaged.code().into()) {
        return Err(broken(format!("one gateway was to end with 6: {status}")).todo(said));
    }
    if !first_lost {
        let settled = scene.conclude()?;
        let outcome = "COPY_REFUSED".to_owned();
        return Ok(Told { outcome, recovered: Duration::ZERO, settled });
    }
    // The copy has taken over: it is the gateway from now on.
    drop(second);
    let data = |home: &Home| home.data(Service::Gateway);
    let (old, new) = (data(scene.cluster.home()), data(&copy));
    let swapped = fs::rename(&old, old.with_extension("old")).and_then(|()| fs::rename(new, old));
    swapped.map_err(|error| Failure::unexpected("swap two directories", &error))?;
    let recovered = scene.restart(Service::Gateway)?;
    let settled = scene.conclude()?;
    Ok(Told { outcome: "ORIGINAL_FENCED".to_owned(), recovered, settled })
}

fn stale_copy(scene: &mut Scene) -> Result<Told, Failure> {
    let copy = copied_home(&scene.cluster)?;
    for _ in 0..3 {
        scene.pay_for_sure()?;
    }
    let second = scene.cluster.run("second", &copy, vec!["gateway".into()])?;
    expect_end(second, Exit::Damaged, "record")?;
    scene.mark(What::Fault, "a second gateway on an old copy has ended with 6");
    scene.healed();
    let settled = scene.conclude()?;
    Ok(Told { outcome: "COPY_REFUSED".to_owned(), recovered: Duration::ZERO, settled })
}

/// A home like the cluster's, with a gateway of its own and the same banks.
fn copied_home(cluster: &Cluster) -> Result<Home, Failure> {
    let from = cluster.home();
    let to = Home::new(from.root().with_file_name("copy"));
    let copy = || -> io::Result<()> {
        copy_tree(&from.certs(), &to.certs())?;
        copy_tree(&from.data(Service::Gateway), &to.data(Service::Gateway))?;
        for directory in [to.logs(), to.run()] {
            fs::create_dir_all(directory)?;
        }
        fs::copy(from.version_file(), to.version_file())?;
        fs::copy(from.users_file(), to.users_file())?;
        let config = cluster.config();
        let mut moved = config.clone();
        let free = config.clone().with_free_ports()?;
        moved.gateway.address = free.gateway.address;
        moved.gateway.internal_address = free.gateway.internal_address;
        moved.console.address = free.console.address;
        fs::write(to.config_file(), moved.to_toml())
    };
    copy().map_err(|error| Failure::unexpected("copy a home", &error))?;
    Ok(to)
}

fn old_backup(scene: &mut Scene, service: Service) -> Result<Told, Failure> {
    let data = scene.cluster.home().data(service);
    let beside = |name: &str| -> PathBuf {
        scene.cluster.home().root().with_file_name(format!("{name}-{}", service.file_stem()))
    };
    let (old, newest) = (beside("old"), beside("newest"));
    let failed = |error: io::Error| Failure::unexpected("move a data directory", &error);
    scene.cluster.stop(service)?;
    copy_tree(&data, &old).map_err(failed)?;
    scene.restart(service)?;
    for _ in 0..3 {
        scene.pay_for_sure()?;
    }
    scene.wait_quiet()?;
    scene.cluster.stop(service)?;
    fs::rename(&data, &newest).and_then(|()| fs::rename(&old, &data)).map_err(failed)?;

    scene.mark(What::Fault, format!("{service} is started on an old backup"));
    scene.cluster.spawn(service, None)?;
    let status = scene.cluster.wait_ended(service, REFUSE_MAX)?;
    let said = scene.cluster.talk(service);
    let named = said.contains("record") || said.contains("epoch");
    if status.code() != Some(Exit::Damaged.code().into()) || !named {
        let what = format!("{service} was to end with 6, naming the gap: {status}");
        return Err(broken(what).todo(said));
    }
    fs::remove_dir_all(&data).and_then(|()| fs::rename(&newest, &data)).map_err(failed)?;
    let recovered = scene.restart(service)?;
    let settled = scene.conclude()?;
    Ok(Told { outcome: "REFUSED".to_owned(), recovered, settled })
}

fn expect_end(mut process: Process, exit: Exit, saying: &str) -> Result<(), Failure> {
    let status = process.wait(REFUSE_MAX)?;
    let said = process.talk();
    if status.code() == Some(exit.code().into()) && said.contains(saying) {
        return Ok(());
    }
    let code = exit.code();
    Err(broken(format!("a process was to end with {code}, and {status}")).todo(said))
}

/// As `cp -r`: files as they are at that instant.
pub(super) fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
