//! Introductions between the gateway and a bank, as messages and as values.

use super::bank::{WireError, field, state_from, state_to};
use super::v1;
use recovery::message::{Hello, Unwelcome, Welcome};
use recovery::model::{BankName, Cluster, GlobalId, Lineage, Start, StartId, Witness};

pub(super) fn token(field: &'static str, bytes: &[u8]) -> Result<[u8; 16], WireError> {
    bytes.try_into().map_err(|_| WireError { field, why: "is not 16 bytes".to_owned() })
}

pub fn intro_to(start: &Start, lsn: u64) -> v1::Introduction {
    v1::Introduction {
        cluster: start.cluster.0.to_vec(),
        lineage: start.lineage.0.to_vec(),
        epoch: start.epoch,
        start_id: start.start_id.0.to_vec(),
        lsn,
    }
}

/// The start that introduces itself, and how far its log is durable.
pub fn intro_from(intro: Option<&v1::Introduction>) -> Result<(Start, u64), WireError> {
    let intro = intro.ok_or_else(|| WireError::missing("introduction"))?;
    let start = Start {
        cluster: Cluster(token("cluster", &intro.cluster)?),
        lineage: Lineage(token("lineage", &intro.lineage)?),
        epoch: intro.epoch,
        start_id: StartId(token("start_id", &intro.start_id)?),
    };
    Ok((start, intro.lsn))
}

pub(super) fn witness_to(witness: &Witness) -> v1::Witness {
    v1::Witness {
        lineage: witness.lineage.0.to_vec(),
        start_id: witness.start_id.0.to_vec(),
        lsn: witness.lsn,
    }
}

pub(super) fn witness_from(witness: &v1::Witness) -> Result<Witness, WireError> {
    Ok(Witness {
        lineage: Lineage(token("lineage", &witness.lineage)?),
        start_id: StartId(token("start_id", &witness.start_id)?),
        lsn: witness.lsn,
    })
}

pub fn hello_to(hello: &Hello) -> v1::HelloRequest {
    v1::HelloRequest {
        gateway: Some(intro_to(&hello.gateway, hello.gateway_lsn)),
        bank: hello.bank.to_string(),
        remembered: hello.remembered.as_ref().map(witness_to),
        checked: hello.checked.as_ref().map(witness_to),
        undecided: hello.undecided.iter().map(GlobalId::to_string).collect(),
    }
}

pub fn hello_from(request: &v1::HelloRequest) -> Result<Hello, WireError> {
    let (gateway, gateway_lsn) = intro_from(request.gateway.as_ref())?;
    let undecided = request.undecided.iter().map(|id| field("undecided", id));
    Ok(Hello {
        gateway,
        gateway_lsn,
        bank: field("bank", &request.bank)?,
        checked: request.checked.as_ref().map(witness_from).transpose()?,
        remembered: request.remembered.as_ref().map(witness_from).transpose()?,
        undecided: undecided.collect::<Result<_, _>>()?,
    })
}

pub fn holds_to(holds: &[(GlobalId, Vec<BankName>)]) -> Vec<v1::OpenHold> {
    let hold = |(payment, banks): &(GlobalId, Vec<BankName>)| v1::OpenHold {
        transaction_id: payment.to_string(),
        participants: banks.iter().map(BankName::to_string).collect(),
    };
    holds.iter().map(hold).collect()
}

pub fn holds_from(holds: &[v1::OpenHold]) -> Result<Vec<(GlobalId, Vec<BankName>)>, WireError> {
    let hold = |hold: &v1::OpenHold| {
        let banks = hold.participants.iter().map(|bank| field("participants", bank));
        Ok((field("transaction_id", &hold.transaction_id)?, banks.collect::<Result<_, _>>()?))
    };
    holds.iter().map(hold).collect()
}

pub fn welcome_to(answer: &Result<Welcome, Unwelcome>) -> v1::HelloResponse {
    use v1::hello_response::Answer;
    let answer = match answer {
        Ok(welcome) => {
            let status = |(payment, state): &(GlobalId, _)| v1::HoldStatus {
                transaction_id: payment.to_string(),
                state: state_to(*state).into(),
            };
            Answer::Welcome(v1::Welcome {
                bank: Some(intro_to(&welcome.bank, welcome.bank_lsn)),
                states: welcome.states.iter().map(status).collect(),
                open_holds: holds_to(&welcome.open_holds),
            })
        }
        Err(unwelcome) => Answer::Unwelcome(unwelcome_to(unwelcome)),
    };
    v1::HelloResponse { answer: Some(answer) }
}

fn unwelcome_to(unwelcome: &Unwelcome) -> v1::Unwelcome {
    use v1::unwelcome::Why;
    let why = match unwelcome {
        Unwelcome::OtherBank { here, .. } => Why::OtherBank(here.to_string()),
        Unwelcome::OtherCluster => Why::OtherCluster(v1::Empty {}),
        Unwelcome::NotAdmitted => Why::NotAdmitted(v1::Empty {}),
        Unwelcome::Prove { remembered } => Why::Prove(witness_to(remembered)),
        Unwelcome::Fenced { fenced, .. } => Why::Fenced(*fenced),
        Unwelcome::JournalLost { remembered } => Why::JournalLost(*remembered),
    };
    v1::Unwelcome { message: unwelcome.to_string(), why: Some(why) }
}

/// The answer to `hello`.
pub fn welcome_from(
    response: &v1::HelloResponse,
    hello: &Hello,
) -> Result<Result<Welcome, Unwelcome>, WireError> {
    use v1::hello_response::Answer;
    match response.answer.as_ref().ok_or_else(|| WireError::missing("answer"))? {
        Answer::Unwelcome(unwelcome) => unwelcome_from(unwelcome, hello).map(Err),
        Answer::Welcome(welcome) => {
            let (bank, bank_lsn) = intro_from(welcome.bank.as_ref())?;
            let state = |status: &v1::HoldStatus| {
                let payment = field("transaction_id", &status.transaction_id)?;
                Ok((payment, state_from(status.state(), "")?))
            };
            let states = welcome.states.iter().map(state).collect::<Result<_, _>>()?;
            let open_holds = holds_from(&welcome.open_holds)?;
            Ok(Ok(Welcome { bank, bank_lsn, states, open_holds }))
        }
    }
}

fn unwelcome_from(unwelcome: &v1::Unwelcome, hello: &Hello) -> Result<Unwelcome, WireError> {
    use v1::unwelcome::Why;
    Ok(match unwelcome.why.as_ref().ok_or_else(|| WireError::missing("why"))? {
        Why::OtherBank(here) => {
            Unwelcome::OtherBank { here: field("other_bank", here)?, asked: hello.bank }
        }
        Why::OtherCluster(_) => Unwelcome::OtherCluster,
        Why::NotAdmitted(_) => Unwelcome::NotAdmitted,
        Why::Prove(witness) => Unwelcome::Prove { remembered: witness_from(witness)? },
        Why::Fenced(fenced) => Unwelcome::Fenced { fenced: *fenced, offered: hello.gateway.epoch },
        Why::JournalLost(remembered) => Unwelcome::JournalLost { remembered: *remembered },
    })
}
