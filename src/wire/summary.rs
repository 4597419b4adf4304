//! A bank's whole state as pages of messages, and those pages put together again.

use super::bank::{WireError, field, prepare_from, prepare_to, report_from, report_to};
use super::handshake::{intro_from, intro_to, token, witness_from, witness_to};
use super::v1;
use recovery::bank::{Account, Fence, Hold, State};
use recovery::message::Report;
use recovery::model::{BankName, GlobalId, HoldState, Lineage, Start, StartId, Witness};
use recovery::witness::Written;
use wal::Lsn;

/// Things in one page: well below what a message may be long.
const PAGE_MAX: usize = 1_000;

/// All pages. The first says who speaks and what is few. `None` before the first start.
pub fn summary_to(state: &State) -> Option<Vec<v1::SummaryResponse>> {
    let (start, bank) = state.start().zip(state.bank)?;
    let starts = state.starts.iter().map(|written| v1::SummaryStart {
        start_id: written.start_id.0.to_vec(),
        epoch: written.epoch,
        first_lsn: written.first.get(),
    });
    let fences = state.fences.iter().map(|(lineage, fence)| v1::SummaryFence {
        lineage: lineage.0.to_vec(),
        remembered: fence.map(|fence| {
            let (lineage, start_id, lsn) = (*lineage, fence.start_id, fence.lsn);
            witness_to(&Witness { lineage, start_id, lsn })
        }),
        epoch: fence.map_or(0, |fence| fence.epoch),
    });
    let mut pages = vec![v1::SummaryResponse {
        bank: Some(intro_to(&start, state.last.get())),
        name: bank.to_string(),
        starts: starts.collect(),
        fences: fences.collect(),
        forgotten_through: state.forgotten.values().map(GlobalId::to_string).collect(),
        ..Default::default()
    }];
    let accounts: Vec<_> = state.accounts.iter().collect();
    pages.extend(accounts.chunks(PAGE_MAX).map(|chunk| v1::SummaryResponse {
        accounts: chunk.iter().map(|(number, account)| account_to(number, account)).collect(),
        ..Default::default()
    }));
    let holds: Vec<_> = state.holds.iter().collect();
    pages.extend(holds.chunks(PAGE_MAX).map(|chunk| {
        let holds = chunk.iter().map(|(payment, hold)| hold_to(&start, bank, **payment, hold));
        v1::SummaryResponse { holds: holds.collect(), ..Default::default() }
    }));
    Some(pages)
}

fn account_to(number: &impl ToString, account: &Account) -> v1::SummaryAccount {
    v1::SummaryAccount {
        account_number: number.to_string(),
        client_id: account.owner.to_string(),
        currency_code: account.currency.to_string(),
        opening_minor: account.opening_minor,
        balance_minor: account.posted_minor,
        held_minor: account.held_minor,
        incoming_minor: account.incoming_minor,
    }
}

fn hold_to(start: &Start, bank: BankName, payment: GlobalId, hold: &Hold) -> v1::SummaryHold {
    let order = hold.order.as_ref();
    v1::SummaryHold {
        report: Some(report_to(&Report { payment, state: hold.state, alarm: false })),
        order: order.map(|order| prepare_to(start, hold.lsn.get(), bank, payment, order)),
    }
}

/// Pages as they come, added up.
#[derive(Debug, Default)]
pub struct SummaryParts {
    state: State,
    started: bool,
}

impl SummaryParts {
    pub fn add(&mut self, page: &v1::SummaryResponse) -> Result<(), WireError> {
        let state = &mut self.state;
        if page.bank.is_some() {
            let (start, lsn) = intro_from(page.bank.as_ref())?;
            state.cluster = Some(start.cluster);
            state.lineage = Some(start.lineage);
            state.bank = Some(field("name", &page.name)?);
            state.last = Lsn::new(lsn);
            self.started = true;
        }
        for started in &page.starts {
            let start_id = StartId(token("start_id", &started.start_id)?);
            let (epoch, first) = (started.epoch, Lsn::new(started.first_lsn));
            state.starts.push(Written { start_id, epoch, first });
        }
        for fence in &page.fences {
            let lineage = Lineage(token("lineage", &fence.lineage)?);
            let remembered = fence.remembered.as_ref().map(witness_from).transpose()?;
            let epoch = fence.epoch;
            let fence =
                remembered.map(|Witness { start_id, lsn, .. }| Fence { epoch, start_id, lsn });
            state.fences.insert(lineage, fence);
        }
        for through in &page.forgotten_through {
            let through: GlobalId = field("forgotten_through", through)?;
            state.forgotten.insert(through.origin, through);
        }
        for account in &page.accounts {
            let kept = Account {
                owner: field("client_id", &account.client_id)?,
                currency: field("currency_code", &account.currency_code)?,
                opening_minor: account.opening_minor,
                posted_minor: account.balance_minor,
                held_minor: account.held_minor,
                incoming_minor: account.incoming_minor,
            };
            state.accounts.insert(field("account_number", &account.account_number)?, kept);
        }
        page.holds.iter().try_for_each(|hold| self.hold(hold))
    }

    fn hold(&mut self, hold: &v1::SummaryHold) -> Result<(), WireError> {
        let report = hold.report.as_ref().ok_or_else(|| WireError::missing("report"))?;
        let Report { payment, state, .. } = report_from(report)?;
        let order = hold.order.as_ref().map(prepare_from).transpose()?;
        let lsn = Lsn::new(hold.order.as_ref().map_or(0, |order| order.lsn));
        let order = order.map(|(_, order)| Box::new(order));
        if state == HoldState::Held {
            self.state.open.insert(payment);
        }
        self.state.holds.insert(payment, Hold { state, order, lsn, held_ms: 0 });
        Ok(())
    }

    /// The state that all pages make. Places and times of ended holds are not in it.
    pub fn state(self) -> Result<State, WireError> {
        if self.started { Ok(self.state) } else { Err(WireError::missing("bank")) }
    }
}
