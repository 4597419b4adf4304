//! Who pays whom: users and accounts made up for a run, and the payments between them.

use crate::config::DEFAULT_BANKS;
use crate::errors::Failure;
use crate::users::{self, Opening, User, UserRole, Users};
use crate::wire::v1::PaymentRequest;
use recovery::model::{AccountNumber, BankName, Currency};
use serde::Serialize;
use wal::splitmix::SplitMix64;

/// Users that sign in; more accounts than these are only paid. Signing in is slow on purpose.
pub(super) const PAYERS_MAX: usize = 48;

/// The password of everybody here.
pub(super) const PASSWORD: &str = "bench";

const FIRST_ACCOUNT: u64 = 20_000_000_000_000;

/// Nobody here runs out of money by paying.
const OPENING_MINOR: i64 = 1_000_000_000_000;
const AMOUNT_MINOR_MAX: u64 = 500;

/// What the payments are like.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Anyone pays anyone at another bank
    Uniform,
    /// Everybody pays one account
    HotAccount,
    /// Payer and payee are at one bank
    SameBank,
    /// One payment in twenty is more than the payer has
    Insufficient,
    /// One payment in fifty is sent again under its id
    Duplicates,
    /// One bank is stopped half of the time, for a tenth of a second each
    SlowBank,
    /// One bank is killed in the middle of each round, and started again
    KilledBank,
}

impl Workload {
    /// Is there a bank that suffers?
    pub(super) fn is_troubled(self) -> bool {
        matches!(self, Self::SlowBank | Self::KilledBank)
    }
}

/// The bank that suffers, where one does.
pub(super) const VICTIM: usize = 1;

/// Has a payment of `payer` nothing to do with the bank that suffers?
pub(super) fn is_apart(payer: usize, payment: &PaymentRequest) -> bool {
    let at_victim = |account: usize| account % DEFAULT_BANKS.len() == VICTIM;
    let payee = payment.recipient_account_number.parse::<usize>();
    !at_victim(payer) && payee.is_ok_and(|number| !at_victim(number - FIRST_ACCOUNT as usize))
}

/// All accounts of a run.
#[derive(Clone, Debug)]
pub(super) struct Town {
    pub(super) users: Users,
}

fn number(index: usize) -> AccountNumber {
    AccountNumber::try_from(FIRST_ACCOUNT + index as u64).expect("fourteen digits")
}

pub(super) fn bank(index: usize) -> BankName {
    let name = DEFAULT_BANKS[index % DEFAULT_BANKS.len()];
    name.parse().expect("a bank's name")
}

impl Town {
    /// `accounts` of them, over the banks in turn.
    pub(super) fn found(accounts: usize) -> Result<Self, Failure> {
        let password_hash = users::hash(PASSWORD)?;
        let user = |index| {
            let opening = Opening {
                bank: bank(index),
                account: number(index),
                balance_minor: OPENING_MINOR,
                currency: Currency::INR,
            };
            let name = format!("b{index}");
            User {
                client_id: name.parse().expect("a client id"),
                username: name,
                password_hash: password_hash.clone(),
                role: UserRole::Client,
                opening: Some(opening),
            }
        };
        Ok(Self { users: Users { clients: (0..accounts).map(user).collect() } })
    }
}

/// An endless list of payments by one payer.
#[derive(Clone, Debug)]
pub(super) struct Payments {
    random: SplitMix64,
    workload: Workload,
    payer: usize,
    accounts: usize,
    prefix: String,
    count: u64,
    last: Option<PaymentRequest>,
}

impl Payments {
    pub(super) fn new(workload: Workload, payer: usize, accounts: usize, seed: u64) -> Self {
        let mut random = SplitMix64::new(seed);
        let prefix = format!("{:016x}", random.bits());
        Self { random, workload, payer, accounts, prefix, count: 0, last: None }
    }

    fn payee(&mut self) -> usize {
        let banks = DEFAULT_BANKS.len();
        let at_random = |random: &mut SplitMix64| random.below(self.accounts as u64) as usize;
        let other = loop {
            let other = at_random(&mut self.random);
            let same_bank = other % banks == self.payer % banks;
            if other != self.payer && same_bank == (self.workload == Workload::SameBank) {
                break other;
            }
        };
        let hot = self.workload == Workload::HotAccount && self.payer != 0;
        if hot { 0 } else { other }
    }

    pub(super) fn next(&mut self) -> PaymentRequest {
        let twice = self.workload == Workload::Duplicates && self.random.below(50) == 0;
        if let Some(last) = self.last.clone().filter(|_| twice) {
            return last;
        }
        self.count += 1;
        let broke = self.workload == Workload::Insufficient && self.random.below(20) == 0;
        let amount = 1 + self.random.below(AMOUNT_MINOR_MAX) as i64;
        let payment = PaymentRequest {
            transaction_id: format!("{}-{}", self.prefix, self.count),
            recipient_account_number: number(self.payee()).to_string(),
            amount_minor: if broke { OPENING_MINOR * 1_000 } else { amount },
            currency_code: "INR".to_owned(),
            memo: String::new(),
        };
        if self.workload == Workload::Duplicates {
            self.last = Some(payment.clone());
        }
        payment
    }
}
