//! The shell of the one owner of a gateway's payments: callers and banks in, answers and batches
//! out.

use super::banks::Outbound;
use super::meters::{self, Meters};
use super::standing::{InDoubt, Status, in_doubt, status};
use crate::journal::{Mail, Mailbox, Owner, Shell, wall_ms};
use crate::wire::{instruction_to, intro_to, v1};
use recovery::drill::point::{self, Moment, Point};
use recovery::fact::{Audited, GatewayFact, SessionOpened};
use recovery::gateway::{Action, BankIndex, Coordinator, Halt, Input, Rejection, Reply, Ticket};
use recovery::message::{Hello, Instruction, Report, Unwelcome, Welcome};
use recovery::model::{BankName, ClientId, Decision, GlobalId, Reference, Start, Terms};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use wal::Lsn;

pub(super) type CoordinatorOwner = Owner<Coordinator, CoordinatorShell>;
pub(super) type CoordinatorMail = Mail<Request>;
pub(super) type CoordinatorBox = Mailbox<Request>;

/// Where an answer goes: to one call, or to a stream that tells its payments apart by a tag.
pub(super) enum Replies {
    One(oneshot::Sender<Reply>),
    Stream { tag: u64, out: mpsc::UnboundedSender<(u64, Reply)> },
}

impl Replies {
    /// A caller that went away misses its answer and nothing else.
    fn send(self, reply: Reply) {
        match self {
            Self::One(reply_to) => drop(reply_to.send(reply)),
            Self::Stream { tag, out } => drop(out.send((tag, reply))),
        }
    }
}

/// A payment that has waited this long for its turn is refused unbegun: under more load than can be
/// carried, those that are taken up stay quick, and the others hear at once.
const QUEUE_AGE_MAX: Duration = Duration::from_millis(50);

/// Instructions in one message to a bank.
const INSTRUCTIONS_PER_MESSAGE_MAX: usize = 1_024;

/// What reaches the owner.
pub(super) enum Request {
    Pay {
        reference: Reference,
        terms: Terms,
        deadline_ms: Option<u64>,
        /// When it was handed over.
        since: Instant,
        reply: Replies,
    },
    Ask {
        reference: Reference,
        reply: Replies,
    },
    List {
        client: ClientId,
        cursor: Option<u64>,
        limit: usize,
        reply: Replies,
    },
    Watch {
        client: ClientId,
        after: u64,
        limit: usize,
        reply: Replies,
    },
    OpenSession {
        session: SessionOpened,
        reply: Replies,
    },
    CloseSession {
        token_sha256: [u8; 32],
        reply: Replies,
    },
    /// For the audit trail.
    Note(Audited),
    /// What an operator changes, once there is somebody to tell.
    Operate {
        input: Box<dyn FnOnce(Ticket) -> Input + Send>,
        reply: Replies,
    },
    /// The Hello that is due to a bank.
    Hello {
        bank: BankIndex,
        reply: oneshot::Sender<Hello>,
    },
    /// A bank let this start in; `out` is its stream.
    Welcomed {
        bank: BankIndex,
        out: Outbound,
        welcome: Welcome,
    },
    TurnedAway {
        bank: BankIndex,
        unwelcome: Unwelcome,
    },
    /// A foreign bank can be reached; what it is told goes down `out`.
    Reached {
        bank: BankIndex,
        out: mpsc::UnboundedSender<Instruction>,
    },
    Lost {
        bank: BankIndex,
        why: String,
    },
    Reported {
        bank: BankIndex,
        from: Option<Start>,
        bank_lsn: u64,
        reports: Vec<Report>,
    },
    Inquired {
        bank: BankIndex,
        open_holds: Vec<(GlobalId, Vec<BankName>)>,
    },
    Status {
        reply: oneshot::Sender<Status>,
    },
    InDoubt {
        limit: usize,
        reply: oneshot::Sender<Vec<InDoubt>>,
    },
    /// Figures that are not counted fact by fact.
    Measure {
        reply: oneshot::Sender<()>,
    },
    Stop,
}

/// Where a bank's instructions go.
enum Line {
    Stream(Outbound),
    Foreign(mpsc::UnboundedSender<Instruction>),
}

/// Callers that wait, and the banks' streams.
pub(super) struct CoordinatorShell {
    tickets: Ticket,
    replies: HashMap<Ticket, Replies>,
    lines: Vec<Option<Line>>,
    /// Instructions gathered in this turn, by bank.
    gathered: Vec<Vec<Instruction>>,
    halted: Option<mpsc::UnboundedSender<Halt>>,
    durable: Lsn,
    meters: Meters,
}

impl CoordinatorShell {
    /// `durable` is what the opening made durable: a bank is never told of less, or it would
    /// remember a start together with a record from before it.
    pub(super) fn new(
        banks: usize,
        halted: mpsc::UnboundedSender<Halt>,
        durable: Lsn,
        meters: Meters,
    ) -> Self {
        Self {
            tickets: 0,
            replies: HashMap::new(),
            lines: (0..banks).map(|_| None).collect(),
            gathered: vec![Vec::new(); banks],
            halted: Some(halted),
            durable,
            meters,
        }
    }

    fn expect(&mut self, reply: Replies) -> Ticket {
        self.tickets += 1;
        self.replies.insert(self.tickets, reply);
        self.tickets
    }

    fn connect(&mut self, bank: BankIndex, line: Option<Line>) {
        self.lines[usize::from(bank)] = line;
        self.gathered[usize::from(bank)].clear();
    }

    fn send(&mut self, index: usize, start: &Start) -> bool {
        let instructions = std::mem::take(&mut self.gathered[index]);
        match &self.lines[index] {
            None => true,
            Some(Line::Foreign(out)) => {
                instructions.into_iter().all(|instruction| out.send(instruction).is_ok())
            }
            Some(Line::Stream(out)) => {
                let lsn = self.durable.get();
                instructions.chunks(INSTRUCTIONS_PER_MESSAGE_MAX).all(|batch| {
                    let forget = batch.iter().rev().find_map(|instruction| match instruction {
                        Instruction::Forget { through } => Some(through.to_string()),
                        Instruction::Prepare { .. }
                        | Instruction::Commit { .. }
                        | Instruction::Abort { .. }
                        | Instruction::Force { .. } => None,
                    });
                    let steps = batch.iter().filter_map(instruction_to);
                    let message = v1::ParticipateRequest {
                        gateway: Some(intro_to(start, lsn)),
                        instructions: steps.collect(),
                        forget_through: forget.unwrap_or_default(),
                    };
                    out.send(message).is_ok()
                })
            }
        }
    }
}

impl Shell<Coordinator> for CoordinatorShell {
    type Request = Request;

    fn receive(&mut self, request: Request, coordinator: &Coordinator) -> Option<Input> {
        Some(match request {
            Request::Pay { since, reply, .. } if since.elapsed() > QUEUE_AGE_MAX => {
                reply.send(Reply::Rejected(Rejection::TooManyRequests));
                return None;
            }
            Request::Pay { reference, terms, deadline_ms, since: _, reply } => {
                Input::Pay { ticket: self.expect(reply), reference, terms, deadline_ms }
            }
            Request::Ask { reference, reply } => {
                Input::Ask { ticket: self.expect(reply), reference }
            }
            Request::List { client, cursor, limit, reply } => {
                Input::List { ticket: self.expect(reply), client, cursor, limit }
            }
            Request::Watch { client, after, limit, reply } => {
                let (ticket, after) = (self.expect(reply), Lsn::new(after));
                Input::Watch { ticket, client, after, limit }
            }
            Request::OpenSession { session, reply } => {
                Input::OpenSession { ticket: self.expect(reply), session }
            }
            Request::CloseSession { token_sha256, reply } => {
                Input::CloseSession { ticket: self.expect(reply), token_sha256 }
            }
            Request::Note(audited) => Input::Note(audited),
            Request::Operate { input, reply } => input(self.expect(reply)),
            Request::Hello { bank, reply } => {
                let _ = reply.send(coordinator.hello(bank, self.durable.get()));
                return None;
            }
            Request::Welcomed { bank, out, welcome } => {
                self.connect(bank, Some(Line::Stream(out)));
                Input::Welcomed { bank, welcome }
            }
            Request::TurnedAway { bank, unwelcome } => Input::TurnedAway { bank, unwelcome },
            Request::Reached { bank, out } => {
                self.connect(bank, Some(Line::Foreign(out)));
                Input::Reached { bank }
            }
            Request::Lost { bank, why } => {
                self.connect(bank, None);
                Input::Lost { bank, why }
            }
            Request::Reported { bank, from, bank_lsn, reports } => {
                Input::Reported { bank, from, bank_lsn, reports }
            }
            Request::Inquired { bank, open_holds } => Input::Inquired { bank, open_holds },
            Request::Status { reply } => {
                let _ = reply.send(status(coordinator, self.durable));
                return None;
            }
            Request::InDoubt { limit, reply } => {
                let _ = reply.send(in_doubt(coordinator, limit));
                return None;
            }
            Request::Measure { reply } => {
                meters::measure(coordinator, wall_ms());
                let _ = reply.send(());
                return None;
            }
            Request::Stop => Input::Stop,
        })
    }

    fn fact_points(moment: Moment, facts: &[GatewayFact]) -> Vec<Point> {
        point::gateway_facts(moment, facts)
    }

    fn action_point(action: &Action) -> Option<Point> {
        point::gateway_action(action)
    }

    fn note(&self, fact: &GatewayFact, lsn: Lsn) {
        note(fact, lsn);
    }

    fn count(&mut self, facts: &[GatewayFact], first: Lsn) {
        self.meters.count(facts, first);
    }

    fn act(&mut self, action: Action, _coordinator: &Coordinator) {
        // Going on would break a promise: nothing more is said to anybody.
        let Some(halted) = &self.halted else { return };
        match action {
            Action::Tell { bank, instruction } => {
                self.gathered[usize::from(bank)].push(instruction);
            }
            Action::Reply { ticket, reply } => {
                if let Some(waiting) = self.replies.remove(&ticket) {
                    waiting.send(reply);
                }
            }
            Action::Warn(warning) => tracing::warn!("{warning}"),
            Action::Halt(halt) => {
                let _ = halted.send(halt);
                self.halted = None;
                self.gathered.iter_mut().for_each(Vec::clear);
            }
        }
    }

    fn flush(&mut self, durable: Lsn, coordinator: &Coordinator) {
        self.durable = durable;
        self.meters.durable(durable);
        let start = coordinator.start();
        for index in 0..self.gathered.len() {
            if self.gathered[index].is_empty() {
                continue;
            }
            if !self.send(index, &start) {
                self.lines[index] = None;
            }
        }
    }
}

/// One line a transition: what a person follows a payment by.
fn note(fact: &GatewayFact, lsn: Lsn) {
    let lsn = lsn.get();
    match fact {
        GatewayFact::Began(began) => {
            let Reference { client, transaction } = began.order.reference;
            let amount_minor = began.order.terms.amount.minor();
            let payment = began.payment;
            tracing::debug!(
                lsn, %payment, client_id = %client, transaction_id = %transaction, amount_minor,
                state = "PREPARING", "began"
            );
        }
        GatewayFact::Voted(voted) => {
            let (payment, bank) = (voted.payment, voted.bank);
            tracing::debug!(lsn, %payment, %bank, vote = ?voted.vote, "voted");
        }
        GatewayFact::Decided(decided) => {
            let payment = decided.payment;
            match decided.decision {
                Decision::Commit => tracing::debug!(lsn, %payment, state = "COMMITTED", "decided"),
                Decision::Abort(reason) => {
                    tracing::debug!(lsn, %payment, state = "ABORTED", %reason, "decided");
                }
            }
        }
        GatewayFact::HeuristicAsked(asked) => {
            let (payment, by, decision) = (asked.payment, asked.by, asked.decision);
            tracing::warn!(lsn, %payment, %by, ?decision, "a decision by hand is asked for");
        }
        GatewayFact::HeuristicDecided(forced) => {
            let (payment, asked_by) = (forced.payment, forced.asked_by);
            let (approved_by, decision) = (forced.approved_by, forced.decision);
            tracing::warn!(lsn, %payment, %asked_by, %approved_by, ?decision, "decided by hand");
        }
        GatewayFact::HeuristicDiffered(differed) => {
            let (payment, bank, hold) = (differed.payment, differed.bank, differed.state);
            tracing::error!(lsn, %payment, %bank, ?hold, "not what was decided by hand");
        }
        GatewayFact::Settled(settled) => {
            let (payment, bank) = (settled.payment, settled.bank);
            tracing::debug!(lsn, %payment, %bank, hold = ?settled.state, "settled");
        }
        GatewayFact::Ended(ended) => tracing::debug!(lsn, payment = %ended.payment, "ended"),
        GatewayFact::BankMet(met) => {
            tracing::debug!(lsn, bank = %met.bank, epoch = met.epoch, "bank met");
        }
        GatewayFact::Initialised(_)
        | GatewayFact::Started(_)
        | GatewayFact::Stopped(_)
        | GatewayFact::BankJoined(_)
        | GatewayFact::BankReplaced(_)
        | GatewayFact::LogMended(_)
        | GatewayFact::AccountListed(_)
        | GatewayFact::SessionOpened(_)
        | GatewayFact::SessionClosed(_)
        | GatewayFact::Audited(_) => {}
    }
}

/// The gateway is stopping: nobody is there to answer.
pub(super) fn gone() -> tonic::Status {
    use crate::errors::{Reason, status_retry};
    let after = std::time::Duration::from_secs(1);
    status_retry(Reason::ShuttingDown, "the gateway is stopping; nothing was begun", after)
}

/// A call that produced no outcome, as its status.
pub(super) fn rejected(rejection: &Rejection) -> tonic::Status {
    use crate::errors::{Reason, status, status_retry, status_with};
    let told = rejection.to_string();
    let after = std::time::Duration::from_secs(1);
    match rejection {
        Rejection::AccountNotFound(_) => status(Reason::AccountNotFound, told),
        Rejection::SameAccount => status(Reason::SameAccount, told),
        Rejection::IdReused(field) => {
            status_with(Reason::TransactionIdReused, told, &[("field", field)])
        }
        Rejection::NeverSeen => status(Reason::PaymentNotFound, told),
        Rejection::BankUnavailable(_) => status_retry(Reason::BankUnavailable, told, after),
        Rejection::TooManyRequests => status_retry(Reason::TooManyRequests, told, after),
        Rejection::LogFull => status_retry(Reason::LogFull, told, after),
        Rejection::ShuttingDown => status_retry(Reason::ShuttingDown, told, after),
        Rejection::Paused => status_retry(Reason::RecoveryPaused, told, after),
        Rejection::Unforced(_) => status(Reason::NotForced, told),
    }
}
