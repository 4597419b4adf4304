//! Brings a home that is stopped up to its configuration and its users: new banks join, new
//! accounts are opened. Said again after a crash, it does what is left.

use super::logs::found_or_find;
use super::offline::append;
use crate::certs;
use crate::config::Config;
use crate::errors::Failure;
use crate::home::{Home, Service};
use crate::users::{self, Opening, Users};
use recovery::fact::{AccountListed, AccountOpened, BankJoined, GatewayFact};
use recovery::model::{BankName, ClientId};
use recovery::{bank, gateway};

/// What was added.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Added {
    pub banks: Vec<BankName>,
    pub accounts: usize,
}

/// Makes the logs say what `config` and `all` say. An account is opened in its bank's journal
/// first: one that the gateway does not list cannot be paid, and is listed when this is said again.
pub fn extend(home: &Home, config: &Config, all: &Users) -> Result<Added, Failure> {
    super::each_account_has_a_bank(config, all)?;
    // Locks the gateway out for a moment, and says who the banks must obey.
    let known = append::<gateway::State>(home, config, Service::Gateway, |_| Ok(Vec::new()))?;
    let openings: Vec<(ClientId, Opening)> = all.openings().collect();
    let new: Vec<BankName> = {
        let configured = config.banks.keys().copied();
        configured.filter(|name| known.bank_index(*name).is_none()).collect()
    };
    let mut joined = Vec::new();
    for name in &new {
        certs::add_bank(home, *name)?;
        let foreign = config.banks[name].foreign;
        let lineage =
            if foreign { None } else { Some(found_or_find(home, config, &known, *name)?) };
        joined.push(BankJoined { bank: *name, lineage });
    }
    for (name, place) in &config.banks {
        let here = openings.iter().filter(|(_, opening)| opening.bank == *name);
        let unlisted = here.filter(|(_, opening)| !known.accounts.contains_key(&opening.account));
        let unlisted: Vec<_> = unlisted.collect();
        if !place.foreign && !unlisted.is_empty() {
            open(home, config, *name, &unlisted)?;
        }
    }
    users::save(&home.users_file(), all)?;
    let mut added = Added { banks: new, accounts: 0 };
    append::<gateway::State>(home, config, Service::Gateway, |state| {
        let mut facts: Vec<GatewayFact> = joined.into_iter().map(Into::into).collect();
        let unlisted =
            openings.iter().filter(|(_, opening)| !state.accounts.contains_key(&opening.account));
        for (owner, opening) in unlisted {
            added.accounts += 1;
            facts.push(listed(*owner, *opening).into());
        }
        Ok(facts)
    })?;
    Ok(added)
}

pub(super) fn listed(owner: ClientId, opening: Opening) -> AccountListed {
    let Opening { bank, account, balance_minor: opening_minor, currency } = opening;
    AccountListed { account, bank, owner, currency, opening_minor }
}

pub(super) fn opened(owner: ClientId, opening: Opening) -> AccountOpened {
    let Opening { account, balance_minor: opening_minor, currency, .. } = opening;
    AccountOpened { account, owner, currency, opening_minor }
}

fn open(
    home: &Home,
    config: &Config,
    bank: BankName,
    openings: &[&(ClientId, Opening)],
) -> Result<(), Failure> {
    append::<bank::State>(home, config, Service::Bank(bank), |state| {
        let new = openings.iter().filter(|(_, new)| !state.accounts.contains_key(&new.account));
        Ok(new.map(|(owner, opening)| opened(*owner, *opening).into()).collect())
    })
    .map(drop)
}
