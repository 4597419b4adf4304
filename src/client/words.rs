//! What is said about a payment: to a person, and to a script.
//!
//! Promises that nothing said here is stronger than what is known: "no money moved" only where it
//! is certain, "may or may not" wherever it is not, and always with the id to ask by.
//!
//! Refuses to know where it is printed.

use super::classify::{CallError, Refusal};
use super::outbox::{Draft, End, Entry, OutboxError, Outcome};
use super::pay::Verdict;
use super::session::SessionError;
use crate::errors::{self, Exit, Failure, Reason, chain, code_exit, declined};
use serde::Serialize;

/// The JSON of a payment. The names are public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PaymentJson {
    pub transaction_id: String,
    /// COMMITTED, ABORTED, PENDING; or what the client knows: UNKNOWN, QUEUED, REFUSED.
    pub state: &'static str,
    pub success: bool,
    pub reason: String,
    pub replayed: bool,
    /// None where only the gateway knows it, and did not say.
    pub amount_minor: Option<i64>,
    pub currency_code: String,
    pub lsn: u64,
}

/// Everything to be said about one verdict.
#[derive(Debug, Clone)]
pub struct Words {
    pub json: PaymentJson,
    /// One line of good news, or the failure.
    pub told: Result<String, Failure>,
}

impl Words {
    pub fn exit(&self) -> Exit {
        self.told.as_ref().map_or_else(|failure| failure.exit, |_| Exit::Done)
    }
}

/// What became of a payment that was asked for just now, or sent again.
pub fn of_verdict(draft: &Draft, verdict: &Verdict) -> Words {
    let id = draft.id;
    match verdict {
        Verdict::Final(outcome) => of_outcome(draft, outcome),
        Verdict::Pending(note) => {
            let failure = Failure::new(Reason::Pending, said("not final yet", note))
                .money(format!("tx {id} is with the gateway and will be applied or let go, once."))
                .todo(format!("Do not pay again. Ask again with: strife tx show {id}"));
            words(draft, "PENDING", "PENDING", Err(failure))
        }
        Verdict::Unknown(note) => {
            let failure = Failure::new(Reason::OutcomeUnknown, broke(note))
                .money(format!(
                    "tx {id} may or may not have gone through. It is saved and will be asked again \
                     under the same id, so it cannot be paid twice."
                ))
                .todo(format!("Check now with: strife tx show {id}"));
            words(draft, "UNKNOWN", Reason::OutcomeUnknown.name(), Err(failure))
        }
        Verdict::Queued(note) => {
            let what = said("the gateway cannot be reached", note);
            let failure = Failure::new(Reason::Queued, what)
                .money(format!(
                    "Nothing was sent. tx {id} is saved, and will be sent under this id, once."
                ))
                .todo(
                    "A running strife client sends it; so does: strife queue flush. \
                     See it with: strife queue ls",
                );
            words(draft, "QUEUED", Reason::Queued.name(), Err(failure))
        }
        Verdict::NotTaken(refusal) => {
            let failure = of_refusal(refusal)
                .money(format!("Nothing was begun, and tx {id} is not queued: no money moved."));
            words(draft, "REFUSED", &refusal.reason, Err(failure))
        }
        Verdict::NotSignedIn(error) => {
            let failure = of_session(error);
            let reason = failure.reason.map(Reason::name).unwrap_or_default();
            words(draft, "REFUSED", reason, Err(failure))
        }
    }
}

fn of_outcome(draft: &Draft, outcome: &Outcome) -> Words {
    let Draft { id, payee, amount, currency, .. } = draft;
    let (state, told) = match outcome.end {
        End::Committed if outcome.replayed => {
            let line = format!(
                "paid already: {amount} {currency} to {payee}  tx {id} (the same payment, not a \
                 second one)"
            );
            ("COMMITTED", Ok(line))
        }
        End::Committed => {
            ("COMMITTED", Ok(format!("paid: {amount} {currency} to {payee}  tx {id}")))
        }
        End::Aborted => {
            let why = outcome.message.trim_start_matches("declined: ");
            let what = said(&format!("{amount} {currency} to {payee}"), why);
            ("ABORTED", Err(declined(&outcome.reason, format!("{what}  tx {id}"))))
        }
        End::Refused => {
            let failure = match Reason::from_name(&outcome.reason) {
                Some(reason) => Failure::new(reason, outcome.message.clone()),
                None => Failure::plain(Exit::Declined, outcome.message.clone())
                    .money("No money moved.")
                    .todo("The gateway will not take this payment as it is."),
            };
            ("REFUSED", Err(failure))
        }
    };
    let mut words = words(draft, state, &outcome.reason, told);
    words.json.success = outcome.end == End::Committed;
    words.json.replayed = outcome.replayed;
    words.json.lsn = outcome.lsn;
    words
}

/// The same of one that waits in the queue: what the gateway does not take now stays there.
pub fn of_waiting_verdict(draft: &Draft, verdict: &Verdict) -> Words {
    let Verdict::NotTaken(refusal) = verdict else { return of_verdict(draft, verdict) };
    let failure = of_refusal(refusal)
        .money(format!("Nothing was begun. tx {} stays in the queue.", draft.id))
        .todo("It is sent again under the same id.");
    words(draft, "QUEUED", &refusal.reason, Err(failure))
}

/// One line on what became of an entry since last time.
pub fn since_last_time(entry: &Entry) -> Option<String> {
    let outcome = entry.outcome.as_ref()?;
    Some(match of_outcome(&entry.draft, outcome).told {
        Ok(line) => line,
        Err(failure) => failure.to_string(),
    })
}

pub fn end_name(end: End) -> &'static str {
    match end {
        End::Committed => "COMMITTED",
        End::Aborted => "ABORTED",
        End::Refused => "REFUSED",
    }
}

/// Why a call that moves no money has no result, or why one that does was not made.
pub fn of_session(error: &SessionError) -> Failure {
    match error {
        SessionError::Call(CallError::Answered(refusal))
        | SessionError::SignIn(CallError::Answered(refusal)) => of_refusal(refusal),
        SessionError::Call(CallError::NotSent { detail })
        | SessionError::SignIn(CallError::NotSent { detail }) => {
            Failure::new(Reason::GatewayUnreachable, said("the gateway cannot be reached", detail))
        }
        SessionError::Call(CallError::OutcomeUnknown { detail })
        | SessionError::SignIn(CallError::OutcomeUnknown { detail }) => {
            Failure::new(Reason::GatewayUnreachable, said("the gateway does not answer", detail))
                .money("No money was in play.")
        }
        SessionError::NoPassword => {
            Failure::plain(Exit::NotAllowed, "you are not signed in, and there is no password")
                .money("Nothing was sent: no money moved.")
                .todo(
                    "Sign in with --client-id C --username U --bank B and --password-stdin, or set \
                     STRIFE_CLIENT_ID, STRIFE_USERNAME, STRIFE_BANK and STRIFE_PASSWORD.",
                )
        }
        SessionError::Store(failure) => failure.clone(),
    }
}

fn of_refusal(refusal: &Refusal) -> Failure {
    if let Some(reason) = Reason::from_name(&refusal.reason) {
        return Failure::new(reason, refusal.message.clone());
    }
    let what = format!("{} ({})", refusal.message, refusal.reason);
    Failure::plain(code_exit(refusal.code), what)
}

/// The outbox could not, or would not: in each case nothing was sent.
pub fn of_outbox(error: &OutboxError) -> Failure {
    let what = chain(error);
    let nothing = "Nothing was sent.";
    match error {
        OutboxError::Reused { .. } => Failure::new(Reason::TransactionIdReused, what),
        OutboxError::Absent { .. } => Failure::plain(Exit::Declined, what)
            .todo("See what waits with: strife queue ls. See what was paid with: strife history"),
        OutboxError::MayHaveMoved { id } => Failure::new(Reason::OutcomeUnknown, what)
            .money("It is not dropped: only its outcome can end it.")
            .todo(format!("Learn it with: strife queue flush, or: strife tx show {id}")),
        OutboxError::Damaged { .. } => Failure::plain(Exit::Damaged, what)
            .money("Nothing was sent. Payments that may be on their way are named in that file.")
            .todo("Keep what still reads, and a copy of the file, with: strife queue repair"),
        OutboxError::OtherClient { .. } => Failure::plain(Exit::Configuration, what)
            .money(nothing)
            .todo("Check --home and --client-id."),
        OutboxError::Busy { .. } => Failure::new(Reason::HomeLocked, what)
            .money(nothing)
            .todo("Try again when the other command has ended."),
        OutboxError::HalfWritten { .. } => Failure::plain(Exit::Unexpected, what)
            .money("Nothing was sent now, but the payment may show up in the queue.")
            .todo("Make room on the disk, then see: strife queue ls"),
        OutboxError::Io { .. } => Failure::plain(Exit::Unexpected, what)
            .money("The payment could not be saved, so it was not sent: no money moved.")
            .todo("Check who owns the home, and the room on its disk."),
    }
}

/// An entry of which the gateway has not told the outcome, and why not.
pub fn of_waiting(entry: &Entry, asked: &Failure) -> Words {
    let draft = &entry.draft;
    if let Some(outcome) = &entry.outcome {
        return of_outcome(draft, outcome);
    }
    let sent = entry.may_have_moved();
    let verdict = if sent { Verdict::Unknown } else { Verdict::Queued }(String::new());
    let mut words = of_verdict(draft, &verdict);
    words.told = words.told.map_err(|failure| {
        let what = said("the payment waits in the queue", &asked.what);
        Failure { what, ..failure }
    });
    words
}

/// A payment's state that the gateway told on request.
pub fn of_state(id: &str, response: &crate::wire::v1::PaymentResponse) -> Words {
    use crate::wire::v1::PaymentState;
    let (state, told) = match response.state() {
        PaymentState::Committed => {
            ("COMMITTED", Ok(format!("COMMITTED  tx {id}: the money moved")))
        }
        PaymentState::Aborted => {
            let what = said("ABORTED", response.message.trim_start_matches("declined: "));
            ("ABORTED", Err(errors::declined(&response.reason, format!("{what}  tx {id}"))))
        }
        PaymentState::Pending | PaymentState::Unspecified => {
            let what = said("not final yet", &response.message);
            ("PENDING", Err(Failure::new(Reason::Pending, format!("{what}  tx {id}"))))
        }
    };
    let json = PaymentJson {
        transaction_id: id.to_owned(),
        state,
        success: response.success,
        reason: response.reason.clone(),
        replayed: response.replayed,
        amount_minor: None,
        currency_code: String::new(),
        lsn: response.lsn,
    };
    Words { json, told }
}

fn words(draft: &Draft, state: &'static str, reason: &str, told: Result<String, Failure>) -> Words {
    let json = PaymentJson {
        transaction_id: draft.id.to_string(),
        state,
        success: false,
        reason: reason.to_owned(),
        replayed: false,
        amount_minor: Some(draft.amount.minor()),
        currency_code: draft.currency.to_string(),
        lsn: 0,
    };
    Words { json, told }
}

fn broke(note: &str) -> String {
    let late = note.contains("Timeout expired") || note.contains("no answer within");
    let what = if late { "no answer came in time" } else { "the connection broke" };
    said(&format!("{what} after the request was sent"), note)
}

fn said(what: &str, note: &str) -> String {
    if note.is_empty() { what.to_owned() } else { format!("{what}: {note}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use recovery::model::{Currency, Memo};

    fn draft() -> Draft {
        Draft {
            id: "rent-1".parse().expect("an id"),
            payee: "10000000000002".parse().expect("an account"),
            amount: "250".parse().expect("an amount"),
            currency: Currency::INR,
            memo: Memo::default(),
        }
    }

    /// Without its line breaks.
    fn told(verdict: &Verdict) -> String {
        let text = match of_verdict(&draft(), verdict).told {
            Ok(line) => line,
            Err(failure) => format!("{failure} [{}]", failure.exit.code()),
        };
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn outcome(end: End, reason: &str, message: &str, replayed: bool) -> Outcome {
        Outcome { end, reason: reason.to_owned(), message: message.to_owned(), lsn: 4, replayed }
    }

    #[test]
    fn an_unknown_outcome_says_that_it_cannot_be_paid_twice() {
        assert_eq!(
            told(&Verdict::Unknown("broken pipe".to_owned())),
            "unknown: the connection broke after the request was sent: broken pipe \
             tx rent-1 may or may not have gone through. It is saved and will be asked again under \
             the same id, so it cannot be paid twice. Check now with: strife tx show rent-1 \
             reason: OUTCOME_UNKNOWN [7]"
        );
    }

    #[test]
    fn a_queued_payment_says_that_nothing_was_sent_and_what_will_send_it() {
        assert_eq!(
            told(&Verdict::Queued("connection refused".to_owned())),
            "queued: the gateway cannot be reached: connection refused \
             Nothing was sent. tx rent-1 is saved, and will be sent under this id, once. A running \
             strife client sends it; so does: strife queue flush. See it with: strife queue ls \
             reason: QUEUED [75]"
        );
    }

    #[test]
    fn what_a_bank_that_is_away_keeps_from_going_is_not_queued_unless_it_was() {
        let refusal = Refusal {
            code: tonic::Code::Unavailable,
            reason: "BANK_UNAVAILABLE".to_owned(),
            message: "ICICI is away".to_owned(),
            field: None,
            retry_after: None,
        };
        let verdict = Verdict::NotTaken(refusal);
        assert!(told(&verdict).contains("tx rent-1 is not queued"), "{}", told(&verdict));
        let waiting = of_waiting_verdict(&draft(), &verdict);
        let text = waiting.told.expect_err("not paid").to_string();
        assert!(text.contains("tx rent-1 stays in the queue"), "{text}");
        assert_eq!(waiting.json.state, "QUEUED");
    }

    #[test]
    fn a_declined_payment_says_that_the_money_did_not_move() {
        let declined = outcome(End::Aborted, "INSUFFICIENT_FUNDS", "HDFC refused", false);
        assert_eq!(
            told(&Verdict::Final(declined)),
            "declined: 250.00 INR to 10000000000002: HDFC refused tx rent-1 \
             The money did not move, and never will under this id. See what is available with: \
             strife view reason: INSUFFICIENT_FUNDS [3]"
        );
    }

    #[test]
    fn a_replayed_payment_is_not_told_as_a_second_one() {
        let words =
            of_verdict(&draft(), &Verdict::Final(outcome(End::Committed, "", "paid", true)));
        assert!(words.told.expect("good news").starts_with("paid already"));
        assert!(words.json.success && words.json.replayed);
    }
}
