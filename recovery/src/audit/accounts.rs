//! Money: each account against the payments that moved it, and all of them together.

use super::{Auditor, Disagreement, Money};
use crate::bank;
use crate::model::{AccountNumber, BankName, Decision, Side};
use std::collections::BTreeMap;

/// A bank whose books were not given: nothing there was compared. What it must hold is the
/// gateway's word alone, for whoever can ask that bank.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unread {
    pub bank: BankName,
    /// Each account with its opening and every payment that the bank acknowledged as posted.
    pub accounts: BTreeMap<AccountNumber, i128>,
    /// Committed payments that the bank has not acknowledged: it may have posted them or not.
    pub unacknowledged: u64,
}

impl Auditor<'_> {
    /// Each account as its bank has it, against the gateway's directory, the holds on it and the
    /// payments posted to it (I1, I6).
    pub(super) fn accounts(&mut self) {
        for (number, listed) in &self.gateway.accounts {
            let bank = self.gateway.bank(listed.bank).name;
            let known = self.banks.get(&bank).map(|state| state.accounts.get(number));
            if known == Some(None) {
                self.found.push(Disagreement::AccountMissing { bank, account: *number });
            }
        }
        let moved = self.moved();
        let mut found = Vec::new();
        for (bank, state) in &self.banks {
            for (account, kept) in &state.accounts {
                found.extend(self.differs(*bank, *account, kept));
                let moved = moved.get(account).copied().unwrap_or_default();
                let expected_minor = i128::from(kept.opening_minor) + moved;
                if expected_minor != i128::from(kept.posted_minor) {
                    found.push(Disagreement::BalanceWrong {
                        bank: *bank,
                        account: *account,
                        expected_minor,
                        found_minor: kept.posted_minor,
                    });
                }
            }
            found.extend(set_aside(*bank, state));
        }
        self.found.append(&mut found);
    }

    /// The field of an account that the two sides know differently.
    fn differs(
        &self,
        bank: BankName,
        account: AccountNumber,
        kept: &bank::Account,
    ) -> Option<Disagreement> {
        let Some(listed) = self.gateway.accounts.get(&account) else {
            return Some(Disagreement::AccountUnlisted { bank, account });
        };
        let fields = [
            ("bank", self.gateway.bank(listed.bank).name == bank),
            ("owner", listed.owner == kept.owner),
            ("currency_code", listed.currency == kept.currency),
            ("opening_minor", listed.opening_minor == kept.opening_minor),
        ];
        let (field, _) = fields.into_iter().find(|(_, same)| !same)?;
        Some(Disagreement::AccountDiffers { bank, account, field })
    }

    /// What the payments posted at each account's bank have moved.
    fn moved(&self) -> BTreeMap<AccountNumber, i128> {
        let mut moved = BTreeMap::<AccountNumber, i128>::new();
        for (payment, entry) in &self.gateway.payments {
            let amount = i128::from(entry.terms.amount.minor());
            if self.posted(*payment, entry, Side::Debit) {
                *moved.entry(entry.terms.payer).or_default() -= amount;
            }
            if self.posted(*payment, entry, Side::Credit) {
                *moved.entry(entry.terms.payee).or_default() += amount;
            }
        }
        moved
    }

    pub(super) fn unread(&self) -> Vec<Unread> {
        let absent = self.gateway.banks.iter().filter(|bank| !self.banks.contains_key(&bank.name));
        absent.map(|bank| self.by_the_gateways_word(bank.name)).collect()
    }

    fn by_the_gateways_word(&self, bank: BankName) -> Unread {
        let index = self.gateway.bank_index(bank).expect("a bank that has joined");
        let here = self.gateway.accounts.iter().filter(|(_, account)| account.bank == index);
        let mut accounts: BTreeMap<_, _> =
            here.map(|(number, account)| (*number, i128::from(account.opening_minor))).collect();
        let mut unacknowledged = 0;
        for entry in self.gateway.payments.values() {
            let Some(party) = entry.party(index) else { continue };
            let commits = entry.payment.decision() == Some(Decision::Commit);
            if commits && !entry.payment.settled().has(party) {
                unacknowledged += 1;
                continue;
            }
            if commits == entry.payment.against.has(party) {
                continue;
            }
            let amount = i128::from(entry.terms.amount.minor());
            // Only those of the two that are accounts of this bank are in the map.
            for (account, moved) in [(entry.terms.payer, -amount), (entry.terms.payee, amount)] {
                if let Some(balance) = accounts.get_mut(&account) {
                    *balance += moved;
                }
            }
        }
        Unread { bank, accounts, unacknowledged }
    }

    /// All openings against all balances, with what was posted on one side only put back (I1).
    pub(super) fn money(&self) -> Money {
        let accounts = || self.banks.values().flat_map(|state| state.accounts.values());
        let opened: i128 = accounts().map(|account| i128::from(account.opening_minor)).sum();
        let posted: i128 = accounts().map(|account| i128::from(account.posted_minor)).sum();
        let on_its_way: i128 = self
            .gateway
            .payments
            .iter()
            .map(|(payment, entry)| {
                let amount = i128::from(entry.terms.amount.minor());
                let side = |side| i128::from(self.posted(*payment, entry, side));
                amount * (side(Side::Debit) - side(Side::Credit))
            })
            .sum();
        Money { expected_minor: opened, found_minor: posted + on_its_way }
    }
}

/// What is set aside on each account of a bank, against its holds.
fn set_aside(bank: BankName, state: &bank::State) -> Vec<Disagreement> {
    let mut sums = BTreeMap::<(AccountNumber, Side), i128>::new();
    for order in state.holds.values().filter_map(|hold| hold.order.as_ref()) {
        for side in order.sides_at(bank) {
            let amount = i128::from(order.terms.amount.minor());
            *sums.entry((order.account(side), side)).or_default() += amount;
        }
    }
    let mut found = Vec::new();
    for (&account, kept) in &state.accounts {
        for (side, found_minor) in
            [(Side::Debit, kept.held_minor), (Side::Credit, kept.incoming_minor)]
        {
            let expected_minor = sums.get(&(account, side)).copied().unwrap_or_default();
            if expected_minor != i128::from(found_minor) {
                let wrong = Disagreement::HeldWrong { bank, account, expected_minor, found_minor };
                found.push(wrong);
            }
        }
        let available_minor = kept.available_minor();
        if available_minor < 0 {
            found.push(Disagreement::Overdrawn { bank, account, available_minor });
        }
    }
    found
}
