//! A data directory that is gone, and made again from the others by `strife rebuild`.

use super::{Place, Scene, Stage, Told, Victim, What, broken, enter};
use crate::errors::{Exit, Failure};
use crate::home::Service;
use std::ffi::OsString;
use std::fs;
use std::time::Duration;

/// By then a command has ended.
const REBUILD_MAX: Duration = Duration::from_mins(1);

/// Whose directory.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Lost(Victim);

pub(super) const ALL: [Lost; 2] = [Lost(Victim::Gateway), Lost(Victim::PayersBank)];

impl Lost {
    pub(super) fn words(self) -> [String; 4] {
        let (name, shows) = match self.0 {
            Victim::Gateway => {
                ("lost-gateway", "made again from the banks, it gives every id the same answer")
            }
            _ => ("lost-bank", "made again from the gateway's log, it has every balance as before"),
        };
        let fault = "its data directory is gone, and rebuilt from the others";
        [name.to_owned(), self.0.to_string(), fault.to_owned(), shows.to_owned()]
    }

    pub(super) fn run(self, place: &Place, stage: &mut Stage) -> Result<Told, Failure> {
        let scene = enter(stage, place)?;
        scene.begin()?;
        for _ in 0..3 {
            scene.pay_for_sure()?;
        }
        scene.pay_minor(2_000_000_000);
        scene.wait_quiet()?;
        // All at once, in mid-traffic or not: what was answered is beyond the loss of any one log.
        for service in scene.cluster.services() {
            scene.cluster.kill(service)?;
        }
        let service = self.0.service();
        let data = scene.cluster.home().data(service);
        fs::remove_dir_all(&data)
            .map_err(|error| Failure::unexpected("remove a data directory", &error))?;
        scene.mark(What::Fault, format!("all are killed, and the directory of {service} is gone"));
        refused(scene, service)?;
        rebuild(scene, service)?;
        scene.mark(What::Restart, format!("the log of {service} is made again from the others"));
        if service == Service::Gateway {
            scene.payers.iter_mut().for_each(crate::live::Payer::renumbered);
        }
        let recovered = scene.restart(service)?;
        scene.cluster.start_all()?;
        let settled = scene.conclude()?;
        Ok(Told { outcome: "REBUILT".to_owned(), recovered, settled })
    }
}

/// Without its directory it must not begin anew.
fn refused(scene: &mut Scene, service: Service) -> Result<(), Failure> {
    scene.cluster.spawn(service, None)?;
    let status = scene.cluster.wait_ended(service, REBUILD_MAX)?;
    let said = scene.cluster.talk(service);
    // A terminal's width may part the two words.
    let named = said.split_whitespace().collect::<Vec<_>>().join(" ").contains("strife rebuild");
    if status.code() == Some(Exit::Damaged.code().into()) && named {
        return Ok(());
    }
    let what = format!("{service} was to refuse with 6 and name strife rebuild: {status}");
    Err(broken(what).todo(said))
}

fn rebuild(scene: &Scene, service: Service) -> Result<(), Failure> {
    let command: Vec<OsString> = match service {
        Service::Bank(bank) => {
            vec!["rebuild".into(), "bank".into(), bank.as_str().into(), "--from-gateway".into()]
        }
        Service::Gateway | Service::Console => {
            vec!["rebuild".into(), "gateway".into(), "--from-banks".into()]
        }
    };
    let home = scene.cluster.home().clone();
    let mut process = scene.cluster.run("rebuild", &home, command)?;
    let status = process.wait(REBUILD_MAX)?;
    if status.success() {
        return Ok(());
    }
    Err(broken(format!("strife rebuild ended with {status}")).todo(process.talk()))
}
