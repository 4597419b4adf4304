//! The banks' side of the cast: a shell as thin as it can be around the real ledger.

use super::cast::{Effects, Info, Input};
use super::happening::{Happened, Happening};
use super::judge;
use super::packets::{Packet, Packets};
use super::process::{Bank, fold_all};
use super::scenario::{self, BEGINNING_MS, Scenario, now};
use recovery::bank::{self, Action, Ledger};
use recovery::drill::Mutant;
use recovery::fact::BankFact;
use recovery::message::{Instruction, Unwelcome};
use recovery::model::HoldState;
use recovery::step::Machine as _;

pub(super) fn first(bank: usize) -> Bank {
    boot(fold_all(&scenario::bank_log(bank)))
}

fn boot(durable: bank::State) -> Bank {
    let settings = Scenario::bank_settings();
    Bank::start(durable, |state| Ledger::new(state, settings, now(BEGINNING_MS)))
}

pub(super) fn info(process: &Bank) -> Info {
    let open = !process.machine.state().open.is_empty();
    Info {
        pending: process.pending.len() as u8,
        waits: process.waits(),
        greets: process.keeps_back("Greet"),
        epoch: process.machine.start().epoch,
        open,
        // Once a start: its clock stands still.
        fence: process
            .durable
            .fences
            .values()
            .flatten()
            .map(|fence| fence.epoch)
            .max()
            .unwrap_or(0),
        inquires: open && process.machine.wake_ms() <= process.clock_ms,
        ..Info::default()
    }
}

pub(super) fn step(
    scenario: &Scenario,
    packets: &mut Packets,
    bank: usize,
    process: &mut Bank,
    input: Input,
) -> Effects {
    let mut effects = Effects::default();
    let (before, written) = (process.durable.clone(), process.pending.len());
    let input = match input {
        Input::Packet(id) => heard(packets.get(id), process, &mut effects.happened),
        Input::Tick => bank::Input::Tick,
        Input::Sync => {
            let actions = effects.or_wrong(process.sync());
            act(scenario, packets, bank, process, actions, &mut effects);
            effects.judge(judge::bank_went_on(&before, &process.durable));
            return effects;
        }
        Input::Crash(keep) => {
            fall(process, keep.into(), &mut effects);
            return effects;
        }
        Input::Call(_) | Input::Greet(_) | Input::Lost(_) | Input::Late | Input::Force(_) => {
            unreachable!("the gateway's")
        }
    };
    let actions = effects.or_wrong(process.feed(input, |action| is_early(scenario, action)));
    for fact in &process.pending[written..] {
        let happened = &mut effects.happened;
        happened.add_if(matches!(fact, BankFact::Refused(_)), Happening::Refused);
        happened.add_if(matches!(fact, BankFact::Tombstoned(_)), Happening::Tombstoned);
        happened.add_if(matches!(fact, BankFact::Forgot(_)), Happening::Forgot);
    }
    act(scenario, packets, bank, process, actions, &mut effects);
    effects.judge(judge::solvent(process.machine.state()));
    effects
}

fn heard(packet: &Packet, process: &Bank, happened: &mut Happened) -> bank::Input {
    match packet.clone() {
        Packet::Hello { hello, .. } => bank::Input::Hello { ticket: hello.gateway.epoch, hello },
        Packet::Instruct { sender, lsn, instruction, .. } => {
            let state = process.machine.state();
            let (payment, prepares) = match &instruction {
                Instruction::Prepare { payment, .. } => (*payment, true),
                Instruction::Commit { payment, .. }
                | Instruction::Abort { payment, .. }
                | Instruction::Force { payment, .. } => (*payment, false),
                Instruction::Forget { through } => (*through, false),
            };
            let kept = state.hold_state(payment);
            happened.add_if(state.is_forgotten(payment), Happening::CameAfterForgetting);
            happened.add_if(prepares && kept == HoldState::Released, Happening::Buried);
            let settled = matches!(kept, HoldState::Posted | HoldState::Released);
            happened.add_if(!prepares && settled, Happening::SettledTwice);
            let (ticket, instructions) = (sender.epoch, vec![instruction]);
            bank::Input::Instructed { ticket, sender, lsn, instructions }
        }
        Packet::Report { .. } | Packet::Greeting { .. } | Packet::Inquiry { .. } => {
            unreachable!("the gateway hears these")
        }
    }
}

fn is_early(scenario: &Scenario, action: &Action) -> bool {
    match action {
        Action::Report { report, .. } => {
            report.state == HoldState::Held && scenario.breaks(Mutant::VoteBeforeHold)
        }
        Action::Greet { answer: Ok(_), .. } => scenario.breaks(Mutant::FenceNotSynced),
        Action::Greet { .. }
        | Action::TurnAway { .. }
        | Action::Balance { .. }
        | Action::Inquire { .. }
        | Action::Halt(_) => false,
    }
}

fn act(
    scenario: &Scenario,
    packets: &mut Packets,
    bank: usize,
    process: &Bank,
    actions: Vec<Action>,
    effects: &mut Effects,
) {
    for action in actions {
        let packet = match action {
            Action::Report { ticket, report } => {
                if scenario.judges_messages() {
                    effects.judge(judge::reported(&process.durable, &report));
                }
                let state = &process.durable;
                let bank_lsn = scenario.said(state.last, &state.starts);
                let from = process.machine.start();
                Packet::Report { bank, to: ticket, from, bank_lsn, report }
            }
            Action::Greet { ticket, answer } => {
                let refused = matches!(answer, Err(Unwelcome::Fenced { .. }));
                effects.happened.add_if(refused, Happening::StartRefused);
                Packet::Greeting { bank, to: ticket, answer }
            }
            Action::Inquire { open_holds } => {
                effects.happened.add(Happening::Inquired);
                Packet::Inquiry { bank, open_holds }
            }
            Action::TurnAway { ticket, .. } => {
                effects.happened.add(Happening::StartRefused);
                effects.turned_away = Some(ticket);
                continue;
            }
            Action::Balance { .. } => unreachable!("nobody asked"),
            Action::Halt(unwelcome) => {
                effects.judge(Err(format!("a sound bank stops: {unwelcome}")));
                continue;
            }
        };
        effects.puts.push(packets.file(packet));
    }
}

fn fall(process: &mut Bank, keep: usize, effects: &mut Effects) {
    let left = match process.left_behind(keep) {
        Ok(left) => left,
        Err(wrong) => return effects.judge(Err(wrong)),
    };
    effects.judge(judge::bank_went_on(&process.durable, &left));
    let happened = &mut effects.happened;
    for fact in &process.pending[keep..] {
        happened.add_if(matches!(fact, BankFact::Held(_)), Happening::HoldLost);
        happened.add_if(matches!(fact, BankFact::Posted(_)), Happening::PostingLost);
        happened.add_if(matches!(fact, BankFact::Fenced(_)), Happening::FenceLost);
    }
    happened.add_if(!left.open.is_empty(), Happening::DiedHolding);
    *process = boot(left);
}
