//! A lost data directory made again from those that are left. Every service must be stopped.
//!
//! In this order, so that a crash in the middle leaves what can be said again: the survivors record
//! the replacement durably, then they are read, then the new log is built aside and renamed.

use super::logs::create;
use super::offline::append;
use crate::config::Config;
use crate::errors::{Exit, Failure, Reason, chain};
use crate::home::{Home, Service};
use recovery::fact::{BankReplaced, GatewayReplaced};
use recovery::model::{BankName, Lineage};
use recovery::rebuild::{self, Survivors, journal};
use recovery::record;
use recovery::{bank, gateway};
use wal::Disk;

/// What was made again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rebuilt {
    pub records: usize,
    pub payments: usize,
}

fn refuse_what_is_there(home: &Home, service: Service) -> Result<(), Failure> {
    let directory = home.data(service);
    if directory.exists() {
        let what = format!("{} is there", directory.display());
        let todo = "If it is damaged, move it away first: what is in it is not thrown away here.";
        return Err(Failure::new(Reason::HomeExists, what).todo(todo));
    }
    Ok(())
}

/// Makes the journal of `name` again from the gateway's log.
pub fn bank(home: &Home, config: &Config, name: BankName) -> Result<Rebuilt, Failure> {
    refuse_what_is_there(home, Service::Bank(name))?;
    let new = Lineage(rand::random());
    let mut seen = 0;
    let state = append::<gateway::State>(home, config, Service::Gateway, |state| {
        let known = state.banks.iter().find(|bank| bank.name == name);
        seen = known.and_then(|bank| bank.witness).map_or(0, |witness| witness.lsn);
        let old = known.and_then(|bank| bank.lineage).ok_or_else(|| {
            Failure::plain(Exit::Usage, format!("no bank {name} of ours has joined this gateway"))
                .todo("See the banks with: strife config show")
        })?;
        Ok(vec![BankReplaced { bank: name, old, new }.into()])
    })?;
    let facts = journal(&state, name, new).expect("the bank has joined");
    let cluster = state.cluster.expect("a gateway's log begins with its identity");
    let (service, first) = (Service::Bank(name), rebuild::first_lsn(seen));
    create::<bank::State>(home, config, service, (cluster, new), first, &facts)?;
    let index = state.bank_index(name).expect("the bank has joined");
    let payments = state.payments.values().filter(|entry| entry.party(index).is_some()).count();
    Ok(Rebuilt { records: facts.len(), payments })
}

/// Makes the gateway's log again from the journals of all banks.
pub fn gateway(home: &Home, config: &Config) -> Result<Rebuilt, Failure> {
    refuse_what_is_there(home, Service::Gateway)?;
    let names: Vec<BankName> = {
        let ours = config.banks.iter().filter(|(_, place)| !place.foreign);
        ours.map(|(name, _)| *name).collect()
    };
    all_are_there(home, config, &names)?;
    // What would be missing is known before anything is changed.
    let cannot = |missing: Vec<BankName>| incomplete(config, &missing);
    let missing = gather(home, &names)?.missing();
    if !missing.is_empty() {
        return Err(cannot(missing));
    }
    let new = Lineage(rand::random());
    for name in &names {
        append::<bank::State>(home, config, Service::Bank(*name), |state| {
            let old = state.fences.keys().copied().filter(|old| *old != new);
            Ok(old.map(|old| GatewayReplaced { old, new }.into()).collect())
        })?;
    }
    let survivors = gather(home, &names)?;
    let facts = survivors.log(new).ok_or_else(|| cannot(names.clone()))?;
    let cluster = survivors.cluster().ok_or_else(|| cannot(names.clone()))?;
    let (service, first) = (Service::Gateway, survivors.first_lsn());
    create::<gateway::State>(home, config, service, (cluster, new), first, &facts)?;
    let began =
        |fact: &&recovery::fact::GatewayFact| matches!(fact, recovery::fact::GatewayFact::Began(_));
    Ok(Rebuilt { records: facts.len(), payments: facts.iter().filter(began).count() })
}

fn gather(home: &Home, names: &[BankName]) -> Result<Survivors, Failure> {
    let mut survivors = Survivors::default();
    names.iter().try_for_each(|name| read(home, *name, &mut survivors))?;
    Ok(survivors)
}

fn all_are_there(home: &Home, config: &Config, names: &[BankName]) -> Result<(), Failure> {
    let gone = names.iter().copied().filter(|name| !home.wal(Service::Bank(*name)).exists());
    let gone: Vec<BankName> = gone.collect();
    if gone.is_empty() { Ok(()) } else { Err(incomplete(config, &gone)) }
}

fn incomplete(config: &Config, gone: &[BankName]) -> Failure {
    let named = |all: Vec<&BankName>| {
        all.into_iter().map(ToString::to_string).collect::<Vec<String>>().join(", ")
    };
    let is_foreign = |name: &&BankName| config.banks.get(*name).is_some_and(|bank| bank.foreign);
    let foreign: Vec<&BankName> = gone.iter().filter(is_foreign).collect();
    if !foreign.is_empty() {
        let names = named(foreign);
        let what = format!(
            "the gateway's log cannot be made again: {names} took part in payments, and its books \
             are of another make and cannot be read"
        );
        return Failure::new(Reason::DataMissing, what)
            .money("Only that bank knows whether it has posted them. Nothing was made or changed.")
            .todo("Restore the newest copy of data/gateway; an old one is refused by the banks.");
    }
    let names = named(gone.iter().collect());
    let what = format!("the gateway's log cannot be made again without the journal of {names}");
    Failure::new(Reason::DataMissing, what)
        .money("A payment may be known to that bank alone. Nothing was made.")
        .todo(format!("Restore the newest copy of {names} first; two losses need a backup."))
}

fn read(home: &Home, name: BankName, survivors: &mut Survivors) -> Result<(), Failure> {
    let disk = Disk::new(home.data(Service::Bank(name)));
    let mut cursor = wal::read::Cursor::default();
    let read = wal::read::follow(&disk, &mut cursor, |record, _| {
        survivors.record(name, &record::decode(&record)?);
        Ok::<_, record::DecodeError>(())
    });
    read.map_err(|error| {
        let what = format!("the journal of {name} cannot be read: {}", chain(&error));
        Failure::new(Reason::LogDamaged, what).todo(format!("See: strife wal verify {name}"))
    })
}
