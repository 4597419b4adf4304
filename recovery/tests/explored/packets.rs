//! Messages under way, by number. A message that is said again while its like is under way is not
//! another message: what a network does to it has a budget.

use super::process::print;
use recovery::message::{Hello, Instruction, Report, Unwelcome, Welcome};
use recovery::model::{BankName, Epoch, GlobalId, Start};
use std::collections::BTreeMap;

pub(super) type PacketId = u16;

#[derive(Clone, Debug)]
pub(super) enum Packet {
    Instruct { bank: usize, sender: Start, lsn: u64, instruction: Instruction },
    Hello { bank: usize, hello: Hello },
    Report { bank: usize, to: Epoch, from: Start, bank_lsn: u64, report: Report },
    Greeting { bank: usize, to: Epoch, answer: Result<Welcome, Unwelcome> },
    Inquiry { bank: usize, open_holds: Vec<(GlobalId, Vec<BankName>)> },
}

impl Packet {
    pub(super) fn bank(&self) -> usize {
        match self {
            Self::Instruct { bank, .. }
            | Self::Hello { bank, .. }
            | Self::Report { bank, .. }
            | Self::Greeting { bank, .. }
            | Self::Inquiry { bank, .. } => *bank,
        }
    }

    pub(super) fn is_for_a_bank(&self) -> bool {
        matches!(self, Self::Instruct { .. } | Self::Hello { .. })
    }

    /// The start of the gateway that says this.
    pub(super) fn is_of_start(&self) -> Option<Epoch> {
        match self {
            Self::Instruct { sender, .. } => Some(sender.epoch),
            Self::Hello { hello, .. } => Some(hello.gateway.epoch),
            Self::Report { .. } | Self::Greeting { .. } | Self::Inquiry { .. } => None,
        }
    }

    /// The one start of the gateway that this can reach: an answer goes back where it was asked.
    pub(super) fn is_for_start(&self) -> Option<Epoch> {
        match self {
            Self::Report { to, .. } | Self::Greeting { to, .. } => Some(*to),
            Self::Instruct { .. } | Self::Hello { .. } | Self::Inquiry { .. } => None,
        }
    }

    pub(super) fn is_hello(&self) -> bool {
        matches!(self, Self::Hello { .. })
    }

    pub(super) fn wants_proof_of(&self, of: usize) -> bool {
        matches!(self, Self::Greeting { bank, answer: Err(Unwelcome::Prove { .. }), .. }
            if *bank == of)
    }

    /// What streams may repeat. Hello and its answer are one call.
    pub(super) fn may_be_copied(&self) -> bool {
        matches!(self, Self::Instruct { .. } | Self::Report { .. })
    }

    /// What is said, whatever the speaker's log has come to meanwhile.
    fn alike(&self) -> u128 {
        match self {
            Self::Instruct { bank, sender, instruction, .. } => print(&(bank, sender, instruction)),
            Self::Report { bank, to, from, report, .. } => print(&(bank, to, from, report)),
            Self::Hello { .. } | Self::Greeting { .. } | Self::Inquiry { .. } => print(self),
        }
    }

    /// For a story.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Instruct { sender, instruction, .. } => {
                format!("{instruction:?} of start {}", sender.epoch)
            }
            Self::Hello { hello, .. } => format!("Hello of start {}", hello.gateway.epoch),
            Self::Report { from, report, .. } => {
                let alarm = if report.alarm { ", an alarm" } else { "" };
                format!("{} is {:?}{alarm} (start {})", report.payment, report.state, from.epoch)
            }
            Self::Greeting { answer: Ok(welcome), .. } => {
                format!("Welcome of start {}: {:?}", welcome.bank.epoch, welcome.open_holds)
            }
            Self::Greeting { answer: Err(unwelcome), .. } => format!("no Welcome: {unwelcome}"),
            Self::Inquiry { open_holds, .. } => format!("what about {open_holds:?}?"),
        }
    }
}

pub(super) struct Filed {
    pub(super) packet: Packet,
    pub(super) alike: PacketId,
}

/// Every message that was ever said, by number.
#[derive(Default)]
pub(super) struct Packets {
    pub(super) list: Vec<Filed>,
    exact: BTreeMap<u128, PacketId>,
    alike: BTreeMap<u128, PacketId>,
}

impl Packets {
    pub(super) fn file(&mut self, packet: Packet) -> PacketId {
        let key = print(&packet);
        if let Some(id) = self.exact.get(&key) {
            return *id;
        }
        let id = PacketId::try_from(self.list.len()).expect("few kinds of messages");
        let alike = *self.alike.entry(packet.alike()).or_insert(id);
        self.list.push(Filed { packet, alike });
        self.exact.insert(key, id);
        id
    }

    pub(super) fn get(&self, id: PacketId) -> &Packet {
        &self.list[usize::from(id)].packet
    }

    pub(super) fn are_alike(&self, a: PacketId, b: PacketId) -> bool {
        self.list[usize::from(a)].alike == self.list[usize::from(b)].alike
    }
}
