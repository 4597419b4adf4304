//! Instructions and reports between the gateway and a bank, as messages and as values.

use super::v1;
use recovery::message::{Instruction, Report};
use recovery::model::{
    AccountNumber, Amount, BankName, Currency, GlobalId, HoldState, Memo, Order, Reason, Reference,
    Side, Start, Terms,
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

/// An instruction as an item of a batch; `None` for [`Instruction::Forget`], which is the batch's.
pub fn instruction_to(
    sender: &Start,
    lsn: u64,
    bank: BankName,
    instruction: &Instruction,
) -> Option<v1::Instruction> {
    use v1::instruction::Step;
    let step = match instruction {
        Instruction::Prepare { payment, order } => {
            Step::Prepare(prepare_to(sender, lsn, bank, *payment, order))
        }
        Instruction::Commit { payment, lazily: false } => Step::Commit(payment.to_string()),
        Instruction::Commit { payment, lazily: true } => Step::CommitLazily(payment.to_string()),
        Instruction::Abort { payment } => Step::Abort(payment.to_string()),
        Instruction::Forget { .. } => return None,
    };
    Some(v1::Instruction { step: Some(step) })
}

pub fn instruction_from(instruction: &v1::Instruction) -> Result<Instruction, WireError> {
    use v1::instruction::Step;
    let step = instruction.step.as_ref().ok_or_else(|| WireError::missing("step"))?;
    let payment = |id: &str| field::<GlobalId>("transaction_id", id);
    Ok(match step {
        Step::Prepare(request) => {
            let (payment, order) = prepare_from(request)?;
            Instruction::Prepare { payment, order: Box::new(order) }
        }
        Step::Commit(id) => Instruction::Commit { payment: payment(id)?, lazily: false },
        Step::CommitLazily(id) => Instruction::Commit { payment: payment(id)?, lazily: true },
        Step::Abort(id) => Instruction::Abort { payment: payment(id)? },
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
        transaction_id: report.payment.to_string(),
        state: state_to(report.state).into(),
        reason: reason_to(report.state),
        alarm: report.alarm,
    }
}

pub fn report_from(report: &v1::Report) -> Result<Report, WireError> {
    Ok(Report {
        payment: field("transaction_id", &report.transaction_id)?,
        state: state_from(report.state(), &report.reason)?,
        alarm: report.alarm,
    })
}

/// The state that a unary answer names; `None` where the bank leaves it out.
pub fn state_from_unary(response: &v1::TransactionResponse) -> Option<HoldState> {
    state_from(response.state(), &response.reason).ok()
}
