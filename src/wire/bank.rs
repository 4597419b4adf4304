//! Instructions and reports between the gateway and a bank, as messages and as values.

use super::v1;
use recovery::message::{Heuristic, Instruction, Report};
use recovery::model::{
    Aborted, AccountNumber, Amount, BankName, Currency, Decision, GlobalId, HoldState, Memo, Order,
    Reason, Reference, Side, Start, Terms,
};

/// Why a message is not a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct WireError {
    pub field: &'static str,
    pub why: String,
}

impl WireError {
    pub fn missing(field: &'static str) -> Self {
        Self { field, why: "is missing".to_owned() }
    }
}

/// Parses one field, naming it in the error.
pub(super) fn field<T: std::str::FromStr>(field: &'static str, text: &str) -> Result<T, WireError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| WireError { field, why: error.to_string() })
}

/// The prepare of `payment` at `bank`.
pub fn prepare_to(
    sender: &Start,
    lsn: u64,
    bank: BankName,
    payment: GlobalId,
    order: &Order,
) -> v1::TransactionRequest {
    let leg = |side| v1::Leg {
        account_number: order.account(side).to_string(),
        amount_minor: order.terms.amount.minor(),
        side: side_to(side).into(),
        currency_code: order.terms.currency.to_string(),
    };
    v1::TransactionRequest {
        transaction_id: payment.to_string(),
        reference: order.reference.to_string(),
        legs: order.sides_at(bank).map(leg).collect(),
        participants: [order.payer_bank, order.payee_bank].map(|bank| bank.to_string()).into(),
        epoch: sender.epoch,
        lsn,
        cluster: sender.cluster.to_string(),
        lineage: sender.lineage.to_string(),
        payer_account_number: order.terms.payer.to_string(),
        recipient_account_number: order.terms.payee.to_string(),
        memo: order.terms.memo.as_str().to_owned(),
    }
}

/// The payment that a prepare is about.
pub fn prepare_from(request: &v1::TransactionRequest) -> Result<(GlobalId, Order), WireError> {
    let leg = request.legs.first().ok_or_else(|| WireError::missing("legs"))?;
    let (client, transaction) =
        request.reference.split_once('/').ok_or_else(|| WireError::missing("reference"))?;
    let [from, to] = request.participants.as_slice() else {
        let why = "are the payer's bank and the payee's, in this order".to_owned();
        return Err(WireError { field: "participants", why });
    };
    let amount = Amount::try_from(leg.amount_minor)
        .map_err(|error| WireError { field: "amount_minor", why: error.to_string() })?;
    let terms = Terms {
        payer: field::<AccountNumber>("payer_account_number", &request.payer_account_number)?,
        payee: field("recipient_account_number", &request.recipient_account_number)?,
        amount,
        currency: field::<Currency>("currency_code", &leg.currency_code)?,
        memo: field::<Memo>("memo", &request.memo)?,
    };
    let reference = Reference {
        client: field("reference", client)?,
        transaction: field("reference", transaction)?,
    };
    let order = Order {
        reference,
        terms,
        payer_bank: field("participants", from)?,
        payee_bank: field("participants", to)?,
    };
    agree(request, &order)?;
    Ok((field("transaction_id", &request.transaction_id)?, order))
}

/// Every leg says what the payment says.
fn agree(request: &v1::TransactionRequest, order: &Order) -> Result<(), WireError> {
    for leg in &request.legs {
        let side = match leg.side() {
            v1::Side::Debit => Side::Debit,
            v1::Side::Credit => Side::Credit,
            v1::Side::Unspecified => return Err(WireError::missing("side")),
        };
        let same = leg.account_number == order.account(side).to_string()
            && leg.amount_minor == order.terms.amount.minor()
            && leg.currency_code == order.terms.currency.to_string();
        if !same {
            let why = "differ from the payment that they are of".to_owned();
            return Err(WireError { field: "legs", why });
        }
    }
    Ok(())
}

fn side_to(side: Side) -> v1::Side {
    match side {
        Side::Debit => v1::Side::Debit,
        Side::Credit => v1::Side::Credit,
    }
}

fn id_to(payment: GlobalId) -> v1::PaymentId {
    let GlobalId { origin, epoch, number } = payment;
    v1::PaymentId { origin, epoch, number }
}

fn id_from(id: &v1::PaymentId) -> GlobalId {
    let v1::PaymentId { origin, epoch, number } = *id;
    GlobalId { origin, epoch, number }
}

/// The prepare of `payment` as an item of a batch.
fn hold_to(payment: GlobalId, order: &Order) -> v1::Hold {
    let Order { reference, terms, payer_bank, payee_bank } = order;
    let currency = (terms.currency != Currency::INR).then(|| terms.currency.to_string());
    let other_bank = (payee_bank != payer_bank).then(|| payee_bank.as_str().to_owned());
    v1::Hold {
        payment: Some(id_to(payment)),
        client_id: reference.client.as_str().to_owned(),
        transaction_id: reference.transaction.as_str().to_owned(),
        payer_account: terms.payer.into(),
        recipient_account: terms.payee.into(),
        amount_minor: terms.amount.minor(),
        currency_code: currency.unwrap_or_default(),
        memo: terms.memo.as_str().to_owned(),
        payer_bank: payer_bank.as_str().to_owned(),
        recipient_bank: other_bank.unwrap_or_default(),
    }
}

fn hold_from(hold: &v1::Hold) -> Result<(GlobalId, Order), WireError> {
    let account = |name, number: u64| {
        let parsed = AccountNumber::try_from(number);
        parsed.map_err(|error| WireError { field: name, why: error.to_string() })
    };
    let payment = hold.payment.as_ref().ok_or_else(|| WireError::missing("payment"))?;
    let amount = Amount::try_from(hold.amount_minor)
        .map_err(|error| WireError { field: "amount_minor", why: error.to_string() })?;
    let currency = match hold.currency_code.as_str() {
        "" => Currency::INR,
        code => field("currency_code", code)?,
    };
    let payer_bank: BankName = field("payer_bank", &hold.payer_bank)?;
    let payee_bank = match hold.recipient_bank.as_str() {
        "" => payer_bank,
        name => field("recipient_bank", name)?,
    };
    let terms = Terms {
        payer: account("payer_account", hold.payer_account)?,
        payee: account("recipient_account", hold.recipient_account)?,
        amount,
        currency,
        memo: field("memo", &hold.memo)?,
    };
    let reference = Reference {
        client: field("client_id", &hold.client_id)?,
        transaction: field("transaction_id", &hold.transaction_id)?,
    };
    Ok((id_from(payment), Order { reference, terms, payer_bank, payee_bank }))
}

/// An instruction as an item of a batch; `None` for [`Instruction::Forget`], which is the batch's.
pub fn instruction_to(instruction: &Instruction) -> Option<v1::Instruction> {
    use v1::instruction::Step;
    let step = match instruction {
        Instruction::Prepare { payment, order } => Step::Hold(hold_to(*payment, order)),
        Instruction::Commit { payment, lazily: false } => Step::Post(id_to(*payment)),
        Instruction::Commit { payment, lazily: true } => Step::PostLazily(id_to(*payment)),
        Instruction::Abort { payment, aborted } => Step::Release(v1::Release {
            payment: Some(id_to(*payment)),
            order: aborted.as_ref().map(|aborted| hold_to(*payment, &aborted.order)),
            reason: aborted.as_ref().map(|a| a.reason.name().to_owned()).unwrap_or_default(),
        }),
        Instruction::Force { payment, decision, by, aborted } => Step::Force(v1::Force {
            transaction_id: payment.to_string(),
            commit: *decision == Decision::Commit,
            reason: by.why.as_str().to_owned(),
            asked_by: by.asked_by.to_string(),
            approved_by: by.approved_by.to_string(),
            order: aborted.as_ref().map(|aborted| hold_to(*payment, &aborted.order)),
        }),
        Instruction::Forget { .. } => return None,
    };
    Some(v1::Instruction { step: Some(step) })
}

fn force_from(force: &v1::Force) -> Result<Instruction, WireError> {
    let by = Heuristic {
        why: field("reason", &force.reason)?,
        asked_by: field("asked_by", &force.asked_by)?,
        approved_by: field("approved_by", &force.approved_by)?,
    };
    let reason = Reason::Heuristic;
    let order = force.order.as_ref().map(hold_from).transpose()?;
    Ok(Instruction::Force {
        payment: field("transaction_id", &force.transaction_id)?,
        decision: if force.commit { Decision::Commit } else { Decision::Abort(reason) },
        by: Box::new(by),
        aborted: order.map(|(_, order)| Box::new(Aborted { order, reason })),
    })
}

fn release_from(release: &v1::Release) -> Result<Instruction, WireError> {
    let payment = release.payment.as_ref().ok_or_else(|| WireError::missing("payment"))?;
    let reason = Reason::from_name(&release.reason);
    let order = release.order.as_ref().map(hold_from).transpose()?;
    let aborted = order.map(|(_, order)| Box::new(Aborted { order, reason }));
    Ok(Instruction::Abort { payment: id_from(payment), aborted })
}

/// An instruction in either of its forms.
pub fn instruction_from(instruction: &v1::Instruction) -> Result<Instruction, WireError> {
    use v1::instruction::Step;
    let step = instruction.step.as_ref().ok_or_else(|| WireError::missing("step"))?;
    let named = |id: &str| field::<GlobalId>("transaction_id", id);
    let prepare = |(payment, order)| Instruction::Prepare { payment, order: Box::new(order) };
    let commit = |payment, lazily| Instruction::Commit { payment, lazily };
    Ok(match step {
        Step::Hold(hold) => prepare(hold_from(hold)?),
        Step::Post(id) => commit(id_from(id), false),
        Step::PostLazily(id) => commit(id_from(id), true),
        Step::Release(release) => release_from(release)?,
        Step::Prepare(request) => prepare(prepare_from(request)?),
        Step::Commit(id) => commit(named(id)?, false),
        Step::CommitLazily(id) => commit(named(id)?, true),
        Step::Abort(id) => Instruction::Abort { payment: named(id)?, aborted: None },
        Step::Force(force) => force_from(force)?,
    })
}

pub(super) fn state_to(state: HoldState) -> v1::HoldState {
    match state {
        HoldState::Unknown => v1::HoldState::Unknown,
        HoldState::Held => v1::HoldState::Held,
        HoldState::Posted => v1::HoldState::Posted,
        HoldState::Released => v1::HoldState::Released,
        HoldState::Refused(_) => v1::HoldState::Refused,
    }
}

pub(super) fn state_from(state: v1::HoldState, reason: &str) -> Result<HoldState, WireError> {
    match state {
        v1::HoldState::Unspecified => Err(WireError::missing("state")),
        v1::HoldState::Held => Ok(HoldState::Held),
        v1::HoldState::Posted => Ok(HoldState::Posted),
        v1::HoldState::Released => Ok(HoldState::Released),
        v1::HoldState::Refused => Ok(HoldState::Refused(Reason::from_name(reason))),
        v1::HoldState::Unknown => Ok(HoldState::Unknown),
    }
}

pub(super) fn reason_to(state: HoldState) -> String {
    match state {
        HoldState::Refused(reason) => reason.name().to_owned(),
        HoldState::Unknown | HoldState::Held | HoldState::Posted | HoldState::Released => {
            String::new()
        }
    }
}

pub fn report_to(report: &Report) -> v1::Report {
    v1::Report {
        transaction_id: String::new(),
        payment: Some(id_to(report.payment)),
        state: state_to(report.state).into(),
        reason: reason_to(report.state),
        alarm: report.alarm,
    }
}

pub fn report_from(report: &v1::Report) -> Result<Report, WireError> {
    let payment = match &report.payment {
        Some(id) => id_from(id),
        None => field("transaction_id", &report.transaction_id)?,
    };
    Ok(Report { payment, state: state_from(report.state(), &report.reason)?, alarm: report.alarm })
}

/// The state that a unary answer names; `None` where the bank leaves it out.
pub fn state_from_unary(response: &v1::TransactionResponse) -> Option<HoldState> {
    state_from(response.state(), &response.reason).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(payee_bank: &str) -> Order {
        let parsed = "Order of a test";
        Order {
            reference: Reference {
                client: "client1".parse().expect(parsed),
                transaction: "rent-august".parse().expect(parsed),
            },
            terms: Terms {
                payer: "10000000000001".parse().expect(parsed),
                payee: "00000000000002".parse().expect(parsed),
                amount: 250.try_into().expect(parsed),
                currency: "EUR".parse().expect(parsed),
                memo: "for August".parse().expect(parsed),
            },
            payer_bank: "HDFC".parse().expect(parsed),
            payee_bank: payee_bank.parse().expect(parsed),
        }
    }

    const PAYMENT: GlobalId = GlobalId { origin: u64::MAX, epoch: 3, number: 77 };

    #[test]
    fn an_instruction_means_the_same_behind_the_wire() {
        let aborted = Box::new(Aborted { order: order("ICICI"), reason: Reason::PrepareTimeout });
        let instructions = [
            Instruction::Prepare { payment: PAYMENT, order: Box::new(order("ICICI")) },
            Instruction::Prepare { payment: PAYMENT, order: Box::new(order("HDFC")) },
            Instruction::Commit { payment: PAYMENT, lazily: false },
            Instruction::Commit { payment: PAYMENT, lazily: true },
            Instruction::Abort { payment: PAYMENT, aborted: None },
            Instruction::Abort { payment: PAYMENT, aborted: Some(aborted) },
        ];
        for instruction in instructions {
            let sent = instruction_to(&instruction).expect("an item");
            assert_eq!(instruction_from(&sent), Ok(instruction));
        }
    }

    #[test]
    fn a_hold_that_is_none_is_refused_by_its_field() {
        type Break = fn(&mut v1::Hold);
        let whole = hold_to(PAYMENT, &order("ICICI"));
        let broken: [(&str, Break); 5] = [
            ("payment", |hold| hold.payment = None),
            ("amount_minor", |hold| hold.amount_minor = 0),
            ("payer_account", |hold| hold.payer_account = u64::MAX),
            ("client_id", |hold| hold.client_id.clear()),
            ("payer_bank", |hold| hold.payer_bank.clear()),
        ];
        for (field, break_it) in broken {
            let mut hold = whole.clone();
            break_it(&mut hold);
            assert_eq!(hold_from(&hold).map_err(|error| error.field), Err(field));
        }
    }

    #[test]
    fn a_report_means_the_same_behind_the_wire() {
        for state in [HoldState::Held, HoldState::Refused(Reason::InsufficientFunds)] {
            let report = Report { payment: PAYMENT, state, alarm: false };
            assert_eq!(report_from(&report_to(&report)), Ok(report));
        }
    }
}
