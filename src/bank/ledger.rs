//! The shell of the one owner of a bank's holds: callers in, answers out, one message a stream a
//! turn.

use super::meters::Meters;
use crate::journal::{Mail, Mailbox, Owner, Shell};
use crate::wire::{intro_to, report_to, v1};
use recovery::bank::{Action, Balance, Input, Ledger, State, Ticket};
use recovery::drill::point::{self, Moment, Point};
use recovery::fact::BankFact;
use recovery::message::{Hello, Instruction, Report, Unwelcome, Welcome};
use recovery::model::{AccountNumber, BankName, Cluster, Epoch, GlobalId, Lineage, Start};
use std::collections::{BTreeMap, HashMap};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;
use wal::Lsn;

pub(super) type LedgerOwner = Owner<Ledger, LedgerShell>;
pub(super) type LedgerMail = Mail<Request>;
pub(super) type LedgerBox = Mailbox<Request>;
pub(super) type Outbound = mpsc::UnboundedSender<Result<v1::ParticipateResponse, Status>>;
pub(super) type OpenHolds = Vec<(GlobalId, Vec<BankName>)>;

/// A caller of a unary RPC names its start by lineage and epoch alone.
#[derive(Copy, Clone, Debug)]
pub(super) struct Speaker {
    pub(super) cluster: Cluster,
    pub(super) lineage: Lineage,
    pub(super) epoch: Epoch,
    pub(super) lsn: u64,
}

/// What callers ask of the owner.
pub(super) enum Request {
    Hello {
        hello: Hello,
        reply: oneshot::Sender<Result<Welcome, Unwelcome>>,
    },
    Attach {
        out: Outbound,
        reply: oneshot::Sender<Ticket>,
    },
    Detach {
        stream: Ticket,
    },
    Batch {
        stream: Ticket,
        sender: Start,
        lsn: u64,
        instructions: Vec<Instruction>,
    },
    One {
        speaker: Speaker,
        instruction: Instruction,
        reply: oneshot::Sender<Result<Report, Unwelcome>>,
    },
    Balance {
        account: AccountNumber,
        reply: oneshot::Sender<Option<Balance>>,
    },
    Pulse {
        reply: oneshot::Sender<Pulse>,
    },
    /// Everything, once all of it is durable.
    Summary {
        reply: oneshot::Sender<Box<State>>,
    },
}

/// How the ledger is doing.
#[derive(Copy, Clone, Debug)]
pub(super) struct Pulse {
    pub(super) lsn: u64,
    pub(super) open_holds: u64,
}

/// Callers that wait, and streams that are open.
pub(super) struct LedgerShell {
    tickets: Ticket,
    hellos: HashMap<Ticket, oneshot::Sender<Result<Welcome, Unwelcome>>>,
    ones: HashMap<Ticket, oneshot::Sender<Result<Report, Unwelcome>>>,
    balances: HashMap<Ticket, oneshot::Sender<Option<Balance>>>,
    /// Copies that wait for their last record to be durable, oldest first.
    summaries: Vec<(Box<State>, oneshot::Sender<Box<State>>)>,
    streams: HashMap<Ticket, Outbound>,
    /// Reports gathered in this turn.
    gathered: BTreeMap<Ticket, Vec<v1::Report>>,
    inquiries: mpsc::UnboundedSender<OpenHolds>,
    halted: mpsc::UnboundedSender<Unwelcome>,
    durable: Lsn,
    meters: Meters,
}

impl LedgerShell {
    pub(super) fn new(
        inquiries: mpsc::UnboundedSender<OpenHolds>,
        halted: mpsc::UnboundedSender<Unwelcome>,
        durable: Lsn,
        meters: Meters,
    ) -> Self {
        Self {
            tickets: 0,
            hellos: HashMap::new(),
            ones: HashMap::new(),
            balances: HashMap::new(),
            summaries: Vec::new(),
            streams: HashMap::new(),
            gathered: BTreeMap::new(),
            inquiries,
            halted,
            durable,
            meters,
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        self.tickets
    }

    /// Hands out the summaries that are durable as a whole.
    fn hand_out(&mut self) {
        let ready = self.summaries.iter().take_while(|(state, _)| state.last <= self.durable);
        let ready = ready.count();
        for (state, reply) in self.summaries.drain(..ready) {
            let _ = reply.send(state);
        }
    }
}

impl Shell<Ledger> for LedgerShell {
    type Request = Request;

    fn receive(&mut self, request: Request, ledger: &Ledger) -> Option<Input> {
        let ticket = self.ticket();
        match request {
            Request::Hello { hello, reply } => {
                self.hellos.insert(ticket, reply);
                Some(Input::Hello { ticket, hello })
            }
            Request::Attach { out, reply } => {
                self.streams.insert(ticket, out);
                let _ = reply.send(ticket);
                None
            }
            Request::Detach { stream } => {
                self.streams.remove(&stream);
                None
            }
            Request::Batch { stream, sender, lsn, instructions } => {
                Some(Input::Instructed { ticket: stream, sender, lsn, instructions })
            }
            Request::One { speaker, instruction, reply } => {
                self.ones.insert(ticket, reply);
                let Speaker { cluster, lineage, epoch, lsn } = speaker;
                let fence = ledger.state().fences.get(&lineage).copied().flatten();
                let start_id = fence.map_or(ledger.start().start_id, |fence| fence.start_id);
                let sender = Start { cluster, lineage, epoch, start_id };
                Some(Input::Instructed { ticket, sender, lsn, instructions: vec![instruction] })
            }
            Request::Balance { account, reply } => {
                self.balances.insert(ticket, reply);
                Some(Input::Balance { ticket, account })
            }
            Request::Pulse { reply } => {
                let open_holds = ledger.state().open.len() as u64;
                let _ = reply.send(Pulse { lsn: self.durable.get(), open_holds });
                None
            }
            Request::Summary { reply } => {
                // The copy is the price of an audit: once a minute, and off no payment's path but
                // by its own length.
                self.summaries.push((Box::new(ledger.state().clone()), reply));
                self.hand_out();
                None
            }
        }
    }

    fn fact_points(moment: Moment, facts: &[BankFact]) -> Vec<Point> {
        point::bank_facts(moment, facts)
    }

    fn action_point(action: &Action) -> Option<Point> {
        point::bank_action(action)
    }

    fn count(&mut self, facts: &[BankFact], _first: Lsn) {
        self.meters.count(facts);
    }

    fn act(&mut self, action: Action, _ledger: &Ledger) {
        match action {
            Action::Greet { ticket, answer } => {
                if let Some(reply) = self.hellos.remove(&ticket) {
                    let _ = reply.send(answer);
                }
            }
            Action::Report { ticket, report } => {
                if let Some(reply) = self.ones.remove(&ticket) {
                    let _ = reply.send(Ok(report));
                } else {
                    self.gathered.entry(ticket).or_default().push(report_to(&report));
                }
            }
            Action::TurnAway { ticket, unwelcome } => {
                if let Some(reply) = self.ones.remove(&ticket) {
                    let _ = reply.send(Err(unwelcome));
                } else if let Some(out) = self.streams.remove(&ticket) {
                    let _ = out.send(Err(Status::failed_precondition(unwelcome.to_string())));
                }
            }
            Action::Balance { ticket, balance } => {
                if let Some(reply) = self.balances.remove(&ticket) {
                    let _ = reply.send(balance);
                }
            }
            Action::Inquire { open_holds } => {
                let _ = self.inquiries.send(open_holds);
            }
            Action::Halt(unwelcome) => {
                let _ = self.halted.send(unwelcome);
            }
        }
    }

    fn flush(&mut self, durable: Lsn, ledger: &Ledger) {
        self.durable = durable;
        self.hand_out();
        for (stream, reports) in std::mem::take(&mut self.gathered) {
            let Some(out) = self.streams.get(&stream) else { continue };
            let bank = Some(intro_to(&ledger.start(), durable.get()));
            if out.send(Ok(v1::ParticipateResponse { bank, reports })).is_err() {
                self.streams.remove(&stream);
            }
        }
    }
}
