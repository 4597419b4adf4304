//! The gateway's side of the cast: a shell as thin as it can be around the real coordinator.

use super::cast::{Effects, Info, Input, decided};
use super::happening::{Happened, Happening};
use super::judge;
use super::packets::{Packet, Packets};
use super::process::{Gateway, fold_all};
use super::scenario::{self, BANKS, BEGINNING_MS, Scenario, WAIT_MS, now};
use recovery::drill::Mutant;
use recovery::fact::GatewayFact;
use recovery::gateway::{self, Action, Coordinator, LinkStatus, Outcome, Rejection, Reply};
use recovery::message::{Instruction, Unwelcome};
use recovery::model::{Decision, GlobalId, Reason};

/// What the operators' own answers go to.
const FORCE: gateway::Ticket = 99;

pub(super) fn first(scenario: &Scenario) -> Gateway {
    boot(scenario, fold_all(&scenario::gateway_log()))
}

fn boot(scenario: &Scenario, durable: gateway::State) -> Gateway {
    let settings = scenario.gateway_settings();
    Gateway::start(durable, |mut state| {
        if scenario.breaks(Mutant::CompactedCommit) {
            compact(&mut state);
        }
        Coordinator::new(state, settings, now(BEGINNING_MS))
    })
}

/// Forgets what is decided, as if that were all that matters.
fn compact(state: &mut gateway::State) {
    let decided =
        |payment: &GlobalId| state.payments[payment].payment.decision() == Some(Decision::Commit);
    for payment in state.open.iter().copied().filter(decided).collect::<Vec<_>>() {
        state.open.remove(&payment);
        state.payments.remove(&payment);
        state.by_reference.retain(|_, known| *known != payment);
    }
}

pub(super) fn info(process: &Gateway) -> Info {
    let state = process.machine.state();
    let may = |commit| {
        let oldest = state.open.first();
        oldest.is_some_and(|payment| process.machine.may_force(*payment, commit).is_ok())
    };
    let ready = |bank| matches!(process.machine.link(bank).0, LinkStatus::Ready { .. });
    Info {
        pending: process.pending.len() as u8,
        waits: process.waits(),
        epoch: process.machine.start().epoch,
        ready: [ready(0), ready(1)],
        open: !state.open.is_empty(),
        forcible: [may(false), may(true)],
        ..Info::default()
    }
}

pub(super) fn step(
    scenario: &Scenario,
    packets: &mut Packets,
    process: &mut Gateway,
    input: Input,
) -> Effects {
    let mut effects = Effects::default();
    let (before, written) = (process.durable.clone(), process.pending.len());
    let input = match input {
        Input::Call(call) => scenario.pay(call),
        Input::Packet(id) => heard(packets.get(id), &mut effects.happened),
        Input::Lost(bank) => gateway::Input::Lost { bank, why: "the line is gone".to_owned() },
        Input::Tick => gateway::Input::Tick,
        Input::Late => {
            process.clock_ms += WAIT_MS;
            gateway::Input::Tick
        }
        Input::Greet(bank) => {
            let state = &process.durable;
            let said = scenario.said(state.last, &state.starts);
            let hello = process.machine.hello(bank, said);
            effects.puts.push(packets.file(Packet::Hello { bank: bank.into(), hello }));
            return effects;
        }
        Input::Force(commit) => {
            let payment = *process.machine.state().open.first().expect("it may be forced");
            let [asks, approves] = ["ann", "bob"].map(|name| name.parse().expect("an operator"));
            let why = "the bank is gone".parse().expect("a reason");
            let ask = gateway::Input::AskForce { ticket: FORCE, payment, commit, by: asks, why };
            let actions = effects.or_wrong(process.feed(ask, |_| false));
            act(scenario, packets, process, actions, &mut effects);
            gateway::Input::ApproveForce { ticket: FORCE, payment, commit, by: approves }
        }
        Input::Sync => {
            let actions = effects.or_wrong(process.sync());
            act(scenario, packets, process, actions, &mut effects);
            effects.judge(judge::gateway_went_on(&before, &process.durable));
            return effects;
        }
        Input::Crash(keep) => {
            fall(scenario, process, keep.into(), &mut effects);
            return effects;
        }
    };
    let actions = effects.or_wrong(process.feed(input, |action| is_early(scenario, action)));
    for fact in &process.pending[written..] {
        remembered(fact, &mut effects.happened);
        effects.judge(judge::forced(process.machine.state(), fact));
    }
    act(scenario, packets, process, actions, &mut effects);
    effects
}

fn heard(packet: &Packet, happened: &mut Happened) -> gateway::Input {
    let bank = packet.bank() as u8;
    match packet.clone() {
        Packet::Report { from, bank_lsn, report, .. } => {
            gateway::Input::Reported { bank, from: Some(from), bank_lsn, reports: vec![report] }
        }
        Packet::Greeting { answer: Ok(welcome), .. } => gateway::Input::Welcomed { bank, welcome },
        Packet::Greeting { answer: Err(unwelcome), .. } => {
            happened.add_if(matches!(unwelcome, Unwelcome::Prove { .. }), Happening::Proved);
            gateway::Input::TurnedAway { bank, unwelcome }
        }
        Packet::Inquiry { open_holds, .. } => gateway::Input::Inquired { bank, open_holds },
        Packet::Instruct { .. } | Packet::Hello { .. } => unreachable!("banks hear these"),
    }
}

fn is_early(scenario: &Scenario, action: &Action) -> bool {
    match action {
        Action::Tell { instruction: Instruction::Commit { .. }, .. } => {
            scenario.breaks(Mutant::CommitToldEarly)
        }
        Action::Reply { reply: Reply::Payment(answer), .. } => {
            let aborted = matches!(answer.outcome, Outcome::Aborted(_));
            aborted && scenario.breaks(Mutant::AbortAnsweredEarly)
        }
        Action::Tell { .. } | Action::Reply { .. } | Action::Warn(_) | Action::Halt(_) => false,
    }
}

fn remembered(fact: &GatewayFact, happened: &mut Happened) {
    happened.add_if(matches!(fact, GatewayFact::Ended(_)), Happening::Ended);
    let differed = matches!(fact, GatewayFact::HeuristicDiffered(_));
    happened.add_if(differed, Happening::Differed);
    if let GatewayFact::HeuristicDecided(forced) = fact {
        let commits = forced.decision == Decision::Commit;
        happened.add_if(commits, Happening::ForcedCommit);
        happened.add_if(!commits, Happening::ForcedAbort);
    }
    match decided(fact) {
        Some(Decision::Commit) => happened.add(Happening::Committed),
        Some(Decision::Abort(Reason::PrepareTimeout)) => happened.add(Happening::TimedOut),
        Some(Decision::Abort(Reason::Interrupted)) => happened.add(Happening::Interrupted),
        Some(Decision::Abort(_)) | None => {}
    }
}

fn act(
    scenario: &Scenario,
    packets: &mut Packets,
    process: &Gateway,
    actions: Vec<Action>,
    effects: &mut Effects,
) {
    for action in actions {
        match action {
            Action::Tell { bank, instruction } => {
                let sender = process.machine.start();
                if let Instruction::Abort { payment, .. } = &instruction {
                    let known = process.machine.state().payments.contains_key(payment);
                    effects.happened.add_if(!known, Happening::OrphanAborted);
                }
                if scenario.judges_messages() {
                    effects.judge(judge::instructed(&process.durable, sender, &instruction));
                }
                let state = &process.durable;
                let (bank, lsn) = (bank.into(), scenario.said(state.last, &state.starts));
                let packet = Packet::Instruct { bank, sender, lsn, instruction };
                effects.puts.push(packets.file(packet));
            }
            Action::Reply { ticket, reply } => replied(ticket as u8, reply, effects),
            Action::Warn(warning) => effects.judge(Err(format!("a false alarm: {warning}"))),
            Action::Halt(halt) => effects.judge(Err(format!("a sound gateway stops: {halt}"))),
        }
    }
}

fn replied(call: u8, reply: Reply, effects: &mut Effects) {
    match reply {
        Reply::Payment(answer) => {
            let happened = &mut effects.happened;
            happened.add_if(answer.outcome == Outcome::Pending, Happening::ToldPending);
            effects.answers.push((call, answer.outcome));
        }
        Reply::Rejected(Rejection::BankUnavailable(_)) => effects.rejected.push(call),
        Reply::Rejected(rejection) => {
            effects.judge(Err(format!("a sound call is rejected: {rejection}")));
        }
        Reply::Done => {}
        Reply::Page(_) | Reply::Finals(_) | Reply::LetGo(_) => unreachable!("nobody asked"),
    }
}

/// It dies and starts again. What it waited for, and who waited for it, is gone.
fn fall(scenario: &Scenario, process: &mut Gateway, keep: usize, effects: &mut Effects) {
    let left = match process.left_behind(keep) {
        Ok(left) => left,
        Err(wrong) => return effects.judge(Err(wrong)),
    };
    effects.judge(judge::gateway_went_on(&process.durable, &left));
    let lost = &process.pending[keep..];
    let happened = &mut effects.happened;
    let began = |fact: &GatewayFact| matches!(fact, GatewayFact::Began(_));
    happened.add_if(lost.iter().any(began), Happening::BeganLost);
    let was_decided = |fact: &GatewayFact| decided(fact).is_some();
    happened.add_if(lost.iter().any(was_decided), Happening::DecisionLost);
    let mut open = left.open.iter().map(|payment| left.payments[payment].payment.decision());
    happened.add_if(open.clone().any(|it| it.is_none()), Happening::DiedUndecided);
    happened.add_if(open.any(|it| it.is_some()), Happening::DiedDecided);
    *process = boot(scenario, left);
}

const _: () = assert!(BANKS == 2, "the info of a gateway names both");
