//! One payment, from the keyboard to its outcome.
//!
//! ```text
//!   save (synced) -> send -> answer -> record (synced) -> tell -> forget
//!        |             |        |
//!   client-saved  client-sent  client-answered        the crash points between them
//! ```
//!
//! Promises that no payment is sent that is not on disk; that after a failure which leaves doubt it
//! stays there and is only sent again under its own id; and that what certainly did not begin, and
//! nobody asked to keep, is not kept.
//!
//! Refuses to know how a verdict is worded or printed: the caller tells it, then calls
//! [`Desk::told`].

use super::classify::{CallError, Refusal};
use super::outbox::{Attempt, Draft, End, Entry, Lease, Outbox, OutboxError, Outcome, Stage};
use super::session::{self, Session, SessionError};
use crate::crash;
use crate::errors::Reason;
use crate::wire::v1::{PaymentResponse, PaymentResult, PaymentState};
use recovery::model::TransactionId;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tonic::Code;

/// Every crash point of a client.
pub const CRASH_POINTS: [&str; 3] = ["client-saved", "client-sent", "client-answered"];

/// So long after a request began to be sent, the armed drill kills: early enough to miss the
/// answer, late enough for the request to be on its way.
const SENT_AFTER: Duration = Duration::from_millis(5);

/// What became of an attempt at a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// An end. It is in the outbox until [`Desk::told`].
    Final(Outcome),
    /// The gateway has it and has not finished; it is kept and asked again.
    Pending(String),
    /// It may or may not have gone through; it is kept and sent again.
    Unknown(String),
    /// It was not sent; it is kept and sent later.
    Queued(String),
    /// The gateway took nothing and it is not kept: a bank is away, or there is too much to do.
    NotTaken(Refusal),
    /// Nobody is signed in who may send it. Kept only if it was in the outbox before.
    NotSignedIn(SessionError),
}

/// Where payments are handed in.
#[derive(Debug, Clone)]
pub struct Desk {
    pub session: Arc<Session>,
    outbox: Arc<Mutex<Outbox>>,
    in_flight: InFlight,
}

/// What this process is sending right now: its background leaves that alone.
type InFlight = Arc<Mutex<BTreeSet<TransactionId>>>;

/// Ends the flight however the attempt ends, also when nobody waits for it any more.
struct Flight<'a> {
    all: &'a InFlight,
    id: TransactionId,
}

/// What a stream said of one payment, or did not say.
#[derive(Debug)]
pub(super) struct Item {
    id: TransactionId,
    keep: bool,
    verdict: Verdict,
    record: Record,
}

/// How an attempt ends in the outbox.
#[derive(Debug)]
enum Record {
    Settle(Outcome),
    Keep {
        left: bool,
        note: String,
    },
    /// Keep it if it was there before; else it never was.
    Restore {
        note: String,
    },
}

impl Desk {
    pub fn new(session: Arc<Session>, outbox: Outbox) -> Self {
        Self { session, outbox: Arc::new(Mutex::new(outbox)), in_flight: InFlight::default() }
    }

    /// Pays, or queues, or says why not.
    pub async fn pay(&self, draft: Draft) -> Result<Verdict, OutboxError> {
        let _flight = Flight::begin(&self.in_flight, draft.id);
        let known = self.find(draft.id).await?.is_some();
        if let Err(error) = self.session.ensure().await {
            return match unsigned(&error) {
                Some(note) => {
                    let saved = draft.clone();
                    self.with(move |outbox| outbox.save(&[saved], None, now_unix_ms())).await?;
                    Ok(Verdict::Queued(note))
                }
                None => Ok(Verdict::NotSignedIn(error)),
            };
        }
        let saved = draft.clone();
        let attempt = Some(this_attempt());
        self.with(move |outbox| outbox.save(&[saved], attempt, now_unix_ms())).await?;
        crash::point("client-saved");
        self.attempt(draft, known).await
    }

    /// Saves drafts without trying to send them.
    pub async fn keep(&self, drafts: Vec<Draft>) -> Result<(), OutboxError> {
        self.with(move |outbox| outbox.save(&drafts, None, now_unix_ms())).await
    }

    /// Puts drafts on disk as being sent, all or none: the caller sends them now.
    pub(super) async fn begin(&self, drafts: Vec<Draft>) -> Result<(), OutboxError> {
        let attempt = Some(this_attempt());
        self.with(move |outbox| outbox.save(&drafts, attempt, now_unix_ms())).await?;
        crash::point("client-saved");
        Ok(())
    }

    /// A message of them has left.
    pub(super) async fn is_sent(&self) {
        if crash::is_armed("client-sent") {
            tokio::time::sleep(SENT_AFTER).await;
            crash::point("client-sent");
        }
    }

    /// Records what came of them, in order, and forgets what is final: the caller tells it now.
    /// Told or not, a final outcome is with the gateway, and given again the batch hears it again.
    pub(super) async fn finish(&self, items: Vec<Item>) -> Result<Vec<Verdict>, OutboxError> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        crash::point("client-answered");
        self.with(move |outbox| {
            let (mut over, mut verdicts) = (Vec::new(), Vec::new());
            for Item { id, keep, verdict, record } in items {
                if let Record::Settle(_) = record {
                    over.push(id);
                    verdicts.push(verdict);
                    continue;
                }
                let left = record.apply(outbox, id, keep)?;
                verdicts.push(verdict.unless(left));
            }
            outbox.told(&over).map(|()| verdicts)
        })
        .await
    }

    /// Sends one that waits, unless it is being sent already, here or by another process.
    pub async fn send_again(&self, id: TransactionId) -> Result<Option<Verdict>, OutboxError> {
        let Some(_flight) = Flight::begin(&self.in_flight, id) else { return Ok(None) };
        let lease_ms = self.session.call_max().as_millis() as u64;
        let begun = self.with(move |outbox| {
            let is_alive = |pid| pid != std::process::id() && is_alive(pid);
            let attempt = this_attempt();
            let lease = Lease { attempt, attempt_ms_max: lease_ms, is_alive: &is_alive };
            outbox.begin(&[id], &lease)
        });
        match begun.await?.pop() {
            Some(draft) => self.attempt(draft, true).await.map(Some),
            None => Ok(None),
        }
    }

    pub async fn entries(&self) -> Result<Vec<Entry>, OutboxError> {
        self.with(Outbox::entries).await
    }

    pub async fn find(&self, id: TransactionId) -> Result<Option<Entry>, OutboxError> {
        self.with(move |outbox| outbox.find(id)).await
    }

    pub async fn drop_entry(&self, id: TransactionId) -> Result<Entry, OutboxError> {
        self.with(move |outbox| outbox.drop(id)).await
    }

    /// The person has seen these ends: forget them.
    pub async fn told(&self, ids: Vec<TransactionId>) -> Result<(), OutboxError> {
        self.with(move |outbox| outbox.told(&ids)).await
    }

    /// The entry is marked as being sent. Sends it and records what came of it.
    async fn attempt(&self, draft: Draft, keep: bool) -> Result<Verdict, OutboxError> {
        let result = if crash::is_armed("client-sent") {
            let sent = tokio::time::timeout(SENT_AFTER, self.session.pay(&draft)).await;
            crash::point("client-sent");
            match sent {
                Ok(result) => result,
                Err(_) => self.session.pay(&draft).await,
            }
        } else {
            self.session.pay(&draft).await
        };
        crash::point("client-answered");
        let (verdict, record) = judge(result);
        let id = draft.id;
        let left = self.with(move |outbox| record.apply(outbox, id, keep)).await?;
        Ok(verdict.unless(left))
    }

    async fn with<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Outbox) -> Result<R, OutboxError> + Send + 'static,
    ) -> Result<R, OutboxError> {
        let outbox = Arc::clone(&self.outbox);
        let done = tokio::task::spawn_blocking(move || {
            // A panic in mid-operation leaves the file whole; the next operation reads it again.
            act(&mut outbox.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match done.await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl Verdict {
    /// An earlier attempt may have left, whatever became of this one.
    fn unless(self, left: bool) -> Self {
        match self {
            Self::Queued(note) if left => Self::Unknown(note),
            verdict => verdict,
        }
    }
}

impl Item {
    /// `keep`: it was in the outbox before.
    pub(super) fn of(id: TransactionId, keep: bool, result: PaymentResult) -> Self {
        let PaymentResult { payment, code, reason, message, .. } = result;
        let (verdict, record) = match payment {
            Some(response) => answered(response),
            None => refused(Refusal {
                code: Code::from(code),
                reason,
                message,
                field: None,
                retry_after: None,
            }),
        };
        Self { id, keep, verdict, record }
    }

    /// It was sent, and the stream broke.
    pub(super) fn unheard(id: TransactionId) -> Self {
        let (verdict, record) = unknown("the stream broke before its result came".to_owned());
        Self { id, keep: true, verdict, record }
    }

    /// Has the gateway begun it, and not finished?
    pub(super) fn is_pending(&self) -> bool {
        matches!(self.verdict, Verdict::Pending(_))
    }

    /// Was nothing begun, because a bank is not there?
    pub(super) fn is_without_its_bank(&self) -> bool {
        let away = Reason::BankUnavailable.name();
        matches!(&self.verdict, Verdict::NotTaken(refusal) if refusal.reason == away)
    }

    /// Does the gateway ask to send it again in a moment?
    pub(super) fn is_momentary(&self) -> bool {
        match &self.verdict {
            Verdict::NotTaken(refusal) => {
                session::is_momentary(refusal) || refusal.reason == Reason::LogFull.name()
            }
            Verdict::Queued(_) => true,
            Verdict::Final(_)
            | Verdict::Pending(_)
            | Verdict::Unknown(_)
            | Verdict::NotSignedIn(_) => false,
        }
    }
}

impl<'a> Flight<'a> {
    /// None when it is on its way already.
    fn begin(all: &'a InFlight, id: TransactionId) -> Option<Self> {
        let new = all.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        new.then_some(Self { all, id })
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Record {
    /// True when the entry stays and may have left.
    fn apply(
        self,
        outbox: &mut Outbox,
        id: TransactionId,
        keep: bool,
    ) -> Result<bool, OutboxError> {
        match self {
            Self::Settle(outcome) => outbox.settle(id, outcome).map(|()| false),
            Self::Keep { left, note } => {
                outbox.postpone(id, left, &note)?;
                Ok(outbox.find(id)?.is_some_and(|entry| entry.stage() == Stage::Unknown))
            }
            Self::Restore { note } => {
                outbox.postpone(id, false, &note)?;
                if keep {
                    return Ok(false);
                }
                match outbox.drop(id) {
                    Ok(_) | Err(OutboxError::MayHaveMoved { .. } | OutboxError::Absent { .. }) => {
                        Ok(false)
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }
}

/// What the result of a call means, and what to remember of it.
fn judge(result: Result<PaymentResponse, SessionError>) -> (Verdict, Record) {
    let restore = |error: SessionError| {
        let note = error.to_string();
        (Verdict::NotSignedIn(error), Record::Restore { note })
    };
    match result {
        Ok(response) => answered(response),
        Err(SessionError::Call(CallError::Answered(refusal))) => refused(refusal),
        Err(SessionError::Call(CallError::NotSent { detail })) => queued(detail),
        Err(SessionError::Call(CallError::OutcomeUnknown { detail })) => unknown(detail),
        Err(error) => match unsigned(&error) {
            Some(note) => queued(note),
            None => restore(error),
        },
    }
}

fn answered(response: PaymentResponse) -> (Verdict, Record) {
    let end = match response.state() {
        PaymentState::Committed => End::Committed,
        PaymentState::Aborted => End::Aborted,
        PaymentState::Pending | PaymentState::Unspecified => {
            let note = response.message;
            return (Verdict::Pending(note.clone()), Record::Keep { left: true, note });
        }
    };
    settled(Outcome {
        end,
        reason: response.reason,
        message: response.message,
        lsn: response.lsn,
        replayed: response.replayed,
    })
}

fn refused(refusal: Refusal) -> (Verdict, Record) {
    let note = refusal.to_string();
    match refusal.code {
        // It says something about this request, and will say it again.
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::OutOfRange => settled(Outcome {
            end: End::Refused,
            reason: refusal.reason,
            message: refusal.message,
            lsn: 0,
            replayed: false,
        }),
        Code::Unauthenticated | Code::PermissionDenied => {
            let error = SessionError::Call(CallError::Answered(refusal));
            (Verdict::NotSignedIn(error), Record::Restore { note })
        }
        // The gateway itself is not there yet, or not there any more.
        Code::Unavailable if refusal.reason != "BANK_UNAVAILABLE" => queued(note),
        Code::Unavailable | Code::ResourceExhausted | Code::Unimplemented => {
            (Verdict::NotTaken(refusal), Record::Restore { note })
        }
        // A reason of ours under a code that says nothing about the payment.
        _ => unknown(note),
    }
}

fn settled(outcome: Outcome) -> (Verdict, Record) {
    (Verdict::Final(outcome.clone()), Record::Settle(outcome))
}

fn queued(note: String) -> (Verdict, Record) {
    (Verdict::Queued(note.clone()), Record::Keep { left: false, note })
}

fn unknown(note: String) -> (Verdict, Record) {
    (Verdict::Unknown(note.clone()), Record::Keep { left: true, note })
}

/// Why signing in failed, if only because the gateway is away. Signing in moves no money, so doubt
/// about *its* outcome is no doubt about a payment's.
fn unsigned(error: &SessionError) -> Option<String> {
    match error {
        SessionError::SignIn(error) if is_away(error) => Some(error.to_string()),
        SessionError::SignIn(_)
        | SessionError::NoPassword
        | SessionError::Store(_)
        | SessionError::Call(_) => None,
    }
}

/// Is it only that nobody is there to answer?
pub fn is_away(error: &CallError) -> bool {
    match error {
        CallError::NotSent { .. } | CallError::OutcomeUnknown { .. } => true,
        CallError::Answered(refusal) => refusal.code == Code::Unavailable,
    }
}

fn this_attempt() -> Attempt {
    Attempt { pid: std::process::id(), since_unix_ms: now_unix_ms() }
}

/// By the wall clock: it orders entries for people, and decides nothing about money.
pub fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}

fn is_alive(pid: u32) -> bool {
    use nix::errno::Errno;
    use nix::sys::signal::kill;
    let Ok(pid) = i32::try_from(pid) else { return false };
    pid > 0 && kill(nix::unistd::Pid::from_raw(pid), None) != Err(Errno::ESRCH)
}
