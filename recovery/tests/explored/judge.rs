//! What is wrong, wherever it is seen. It trusts no machine: it reads what is durable, and what was
//! said.

use super::scenario::{At, Scenario, reference};
use super::world::World;
use recovery::audit::audit;
use recovery::bank;
use recovery::fact::GatewayFact;
use recovery::gateway::{self, Ack};
use recovery::message::{Instruction, Report};
use recovery::model::{Decision, GlobalId, HoldState, Start};

pub(super) type Judged = Result<(), String>;

fn decision(gateway: &gateway::State, payment: GlobalId) -> Option<Decision> {
    gateway.payments.get(&payment)?.payment.decision()
}

fn is_undone(state: HoldState) -> bool {
    matches!(state, HoldState::Released | HoldState::Refused(_))
}

/// An instruction leaves: is what it rests on durable?
pub(super) fn instructed(
    durable: &gateway::State,
    start: Start,
    instruction: &Instruction,
) -> Judged {
    let ahead = |payment: GlobalId| {
        let decision = decision(durable, payment);
        Err(format!("{instruction:?} leaves, and durable of {payment} is {decision:?}"))
    };
    match *instruction {
        Instruction::Prepare { payment, .. } => {
            if payment.epoch == start.epoch {
                Ok(())
            } else {
                ahead(payment)
            }
        }
        Instruction::Commit { payment, .. } => match decision(durable, payment) {
            Some(Decision::Commit) => Ok(()),
            Some(Decision::Abort(_)) | None => ahead(payment),
        },
        Instruction::Abort { payment, .. } => {
            let known = durable.payments.contains_key(&payment);
            match decision(durable, payment) {
                Some(Decision::Abort(_)) => Ok(()),
                // Its beginning was lost with an earlier start.
                None if !known && payment.epoch < start.epoch => Ok(()),
                Some(Decision::Commit) | None => ahead(payment),
            }
        }
        Instruction::Force { payment, decision: said, .. } => {
            let forced = durable.payments.get(&payment).is_some_and(|entry| entry.payment.forced);
            let same = decision(durable, payment) == Some(said);
            if forced && same { Ok(()) } else { ahead(payment) }
        }
        Instruction::Forget { through } => {
            let mut open = durable.payments.range(..=through).filter(|(_, entry)| !entry.is_over());
            let over = durable.payments.contains_key(&through) && open.next().is_none();
            if over { Ok(()) } else { ahead(through) }
        }
    }
}

/// A report leaves: is what it says durable?
pub(super) fn reported(durable: &bank::State, report: &Report) -> Judged {
    let Report { payment, state, alarm } = *report;
    let kept = durable.hold_state(payment);
    let over = durable.is_forgotten(payment);
    let rests = match state {
        HoldState::Unknown => true,
        HoldState::Held => kept != HoldState::Unknown || over,
        HoldState::Posted => kept == HoldState::Posted || over,
        HoldState::Released | HoldState::Refused(_) => is_undone(kept) || over,
    };
    if alarm {
        return Err(format!("an alarm sounds: {payment} is {state:?}"));
    }
    if rests { Ok(()) } else { Err(format!("{payment} is said {state:?}, durable is {kept:?}")) }
}

/// Was it posted at one bank alone, by a decision by hand?
fn is_mixed(gateway: &gateway::State, payment: GlobalId) -> bool {
    gateway.payments.get(&payment).is_some_and(|entry| entry.payment.forced)
}

/// No log loses anything here, so an abort by hand takes nothing back that anybody did.
pub(super) fn forced(state: &gateway::State, fact: &GatewayFact) -> Judged {
    let GatewayFact::HeuristicDiffered(differed) = fact else { return Ok(()) };
    match decision(state, differed.payment) {
        Some(Decision::Commit) => Ok(()),
        other => Err(format!("{} is {:?} against {other:?}", differed.bank, differed.state)),
    }
}

/// Money that is missing or too much is what the cases say was posted on one side only.
fn explained(gateway: &gateway::State, banks: [&bank::State; 2]) -> Judged {
    let accounts = || banks.into_iter().flat_map(|bank| bank.accounts.values());
    let made: i64 = accounts().map(|account| account.posted_minor - account.opening_minor).sum();
    let mixed = audit(gateway, banks).forced.into_iter().filter(|forced| forced.mixed);
    let told: i64 = mixed
        .map(|forced| {
            let payer = gateway.bank(gateway.payments[&forced.payment].payer_bank).name;
            let payer_differs = forced.differed.iter().any(|(bank, _)| *bank == payer);
            let payer_posted = (forced.decision == Decision::Commit) != payer_differs;
            if payer_posted { -forced.wrong_minor } else { forced.wrong_minor }
        })
        .sum();
    if made == told {
        Ok(())
    } else {
        Err(format!("{made} minor units were made, and the cases tell of {told}"))
    }
}

/// Nothing that was durable is ever otherwise.
pub(super) fn gateway_went_on(before: &gateway::State, after: &gateway::State) -> Judged {
    for (payment, entry) in &before.payments {
        let decided = entry.payment.decision();
        if decided.is_some() && decision(after, *payment) != decided {
            let now = decision(after, *payment);
            return Err(format!("{payment} was decided {decided:?}, and is {now:?}"));
        }
    }
    Ok(())
}

pub(super) fn bank_went_on(before: &bank::State, after: &bank::State) -> Judged {
    for (payment, hold) in &before.holds {
        let now = after.hold_state(*payment);
        let stays = match hold.state {
            HoldState::Posted | HoldState::Released | HoldState::Refused(_) => {
                now == hold.state || after.is_forgotten(*payment)
            }
            HoldState::Held | HoldState::Unknown => now != HoldState::Unknown,
        };
        if !stays {
            return Err(format!("{payment} was {:?}, and is {now:?}", hold.state));
        }
    }
    Ok(())
}

/// No account is overdrawn, also counting what is not durable yet.
pub(super) fn solvent(state: &bank::State) -> Judged {
    for (number, account) in &state.accounts {
        let parts = [account.available_minor(), account.held_minor, account.incoming_minor];
        if parts.into_iter().any(|part| part < 0) {
            return Err(format!("account {number} is overdrawn: {account:?}"));
        }
    }
    Ok(())
}

/// The durable logs of all three against each other, by the one checker and by hand.
pub(super) fn logs(gateway: &gateway::State, banks: [&bank::State; 2]) -> Judged {
    for (payment, hold) in &banks[0].holds {
        let there = banks[1].hold_state(*payment);
        let posted = hold.state == HoldState::Posted || there == HoldState::Posted;
        if posted && (is_undone(hold.state) || is_undone(there)) && !is_mixed(gateway, *payment) {
            let here = hold.state;
            return Err(format!("{payment} is {here:?} at one bank and {there:?} at the other"));
        }
    }
    let found = audit(gateway, banks);
    if found.ok {
        return Ok(());
    }
    let wrong: Vec<_> = found.disagreements.iter().map(ToString::to_string).collect();
    let money = found.money.delta_minor();
    Err(format!("the audit finds {} and {money} too many in minor units", wrong.join("; ")))
}

/// What callers were told, against the logs.
pub(super) fn answers(
    scenario: &Scenario,
    world: &World,
    gateway: &gateway::State,
    banks: [&bank::State; 2],
) -> Judged {
    for (id, told) in (0..).zip(world.told) {
        let Some(told) = told else { continue };
        let payment = gateway.by_reference.get(&reference(id)).copied();
        let decided = payment.and_then(|payment| decision(gateway, payment));
        let (Some(payment), Some(decided)) = (payment, decided) else {
            return Err(format!("t{id} was told {told:?}, and nothing durable says so"));
        };
        if decided != told {
            return Err(format!("t{id} was told {told:?}, and durable is {decided:?}"));
        }
        let entry = &gateway.payments[&payment];
        let parties = entry.payment.parties.iter().map(|party| usize::from(entry.bank(party)));
        let parties: Vec<_> = parties.map(|bank| banks[bank]).collect();
        let wrong = |state| match decided {
            Decision::Commit => is_undone(state) || state == HoldState::Unknown,
            Decision::Abort(_) => state == HoldState::Posted,
        };
        let shown = |state| match decided {
            Decision::Commit => state == HoldState::Posted,
            Decision::Abort(_) => is_undone(state),
        };
        let over = |bank: &&bank::State| bank.is_forgotten(payment);
        let contradicts = |bank: &&bank::State| !over(bank) && wrong(bank.hold_state(payment));
        if parties.iter().any(contradicts) && !entry.payment.forced {
            return Err(format!("t{id} was told {told:?}, and a bank has it otherwise"));
        }
        let evidence = |bank: &&bank::State| over(bank) || shown(bank.hold_state(payment));
        if scenario.ack == Ack::Settled && !parties.iter().any(evidence) {
            return Err(format!("t{id} was told {told:?}, and no bank shows it durably"));
        }
    }
    Ok(())
}

/// All is quiet: every hold has its outcome, and every account what the decisions make of it.
pub(super) fn at_rest(
    scenario: &Scenario,
    world: &World,
    gateway: &gateway::State,
    banks: [&bank::State; 2],
) -> Judged {
    if world.waiting != 0 {
        return Err(format!("all is quiet, and callers {:b} wait for an answer", world.waiting));
    }
    if let Some(bank) = banks.into_iter().find(|bank| !bank.open.is_empty()) {
        return Err(format!("all is quiet, and {:?} are held", bank.open));
    }
    if !gateway.open.is_empty() {
        return Err(format!("all is quiet, and {:?} have not ended", gateway.open));
    }
    for at in [At::First, At::FirstToo, At::Second] {
        let account = &banks[at.bank()].accounts[&at.number()];
        let mut expected = account.opening_minor;
        for entry in gateway.payments.values() {
            let party = entry.party(at.bank() as u8);
            let against = party.is_some_and(|party| entry.payment.against.has(party));
            if (entry.payment.decision() == Some(Decision::Commit)) != against {
                let amount = entry.terms.amount.minor();
                expected -= if entry.terms.payer == at.number() { amount } else { 0 };
                expected += if entry.terms.payee == at.number() { amount } else { 0 };
            }
        }
        if (account.posted_minor, account.held_minor) != (expected, 0) {
            return Err(format!("{at:?} should have {expected}: {account:?}"));
        }
    }
    explained(gateway, banks)?;
    if let Some(case) = gateway.cases.values().find(|case| case.closed_ms.is_none()) {
        return Err(format!("all is quiet, and a case is open: {case:?}"));
    }
    let committed = |id| {
        let of = gateway.payments.values().filter(|entry| entry.reference == reference(id));
        of.filter(|entry| entry.payment.decision() == Some(Decision::Commit)).count()
    };
    match scenario.calls.iter().find(|call| committed(call.id) > 1) {
        Some(call) => Err(format!("t{} was paid twice", call.id)),
        None => Ok(()),
    }
}
