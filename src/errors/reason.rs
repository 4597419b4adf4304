//! The catalogue: every reason once, with its code, its exit, and what it means.
//!
//! The names are public. `strife errors ls` and `lookup` print this table, services make their
//! statuses from it, and the command line its failures.

use super::Exit;
use std::fmt;
use tonic::Code;

/// One row.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// In UPPER_SNAKE, as on the wire.
    pub name: &'static str,
    /// The gRPC code of a call that fails for it. (A *declined* payment is an answer, code OK.)
    pub code: Code,
    pub exit: Exit,
    /// What it says, in a clause.
    pub meaning: &'static str,
    /// What it means for the money; empty where none was in play.
    pub money: &'static str,
    /// What to do.
    pub todo: &'static str,
}

const NOTHING_BEGUN: &str = "Nothing was begun: no money moved.";

macro_rules! catalogue {
    ($($variant:ident = $name:literal, $code:ident, $exit:ident,
       $meaning:expr, $money:expr, $todo:expr;)*) => {
        /// Why something was not done.
        #[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Reason {
            $(#[doc = $meaning] $variant,)*
        }

        impl Reason {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its row.
            pub fn entry(self) -> &'static Entry {
                match self {
                    $(Self::$variant => const {
                        &Entry {
                            name: $name,
                            code: Code::$code,
                            exit: Exit::$exit,
                            meaning: $meaning,
                            money: $money,
                            todo: $todo,
                        }
                    },)*
                }
            }
        }
    };
}

catalogue! {
    AmountNotPositive = "AMOUNT_NOT_POSITIVE", InvalidArgument, Usage,
        "an amount is greater than zero, with at most two decimals",
        NOTHING_BEGUN,
        "Correct the amount, for example 250 or 99.50.";
    AccountMalformed = "ACCOUNT_MALFORMED", InvalidArgument, Usage,
        "an account number is exactly 14 digits",
        NOTHING_BEGUN,
        "Correct the account number.";
    TransactionIdMalformed = "TRANSACTION_ID_MALFORMED", InvalidArgument, Usage,
        "a transaction id is 1 to 64 of A-Z a-z 0-9 _ -",
        NOTHING_BEGUN,
        "Leave the id out to have one made, or correct it.";
    SameAccount = "SAME_ACCOUNT", InvalidArgument, Usage,
        "payer and payee are one account",
        NOTHING_BEGUN,
        "Name another recipient.";
    CurrencyMalformed = "CURRENCY_MALFORMED", InvalidArgument, Usage,
        "a currency is three capital letters, such as INR",
        NOTHING_BEGUN,
        "Correct the currency, or leave it out for INR.";
    MemoMalformed = "MEMO_MALFORMED", InvalidArgument, Usage,
        "a memo is at most 140 bytes without control characters",
        NOTHING_BEGUN,
        "Shorten or clean the memo.";
    RequestMalformed = "REQUEST_MALFORMED", InvalidArgument, Usage,
        "a field of the request cannot be understood",
        NOTHING_BEGUN,
        "Correct the field that is named.";
    PageTokenMalformed = "PAGE_TOKEN_MALFORMED", InvalidArgument, Usage,
        "the page token was not made by this gateway",
        "",
        "Begin again without a page token.";
    TransactionIdReused = "TRANSACTION_ID_REUSED", AlreadyExists, Usage,
        "this id already stands for a payment with other parameters",
        "The earlier payment stands as it is; this one was not begun.",
        "Use a new id for a new payment. See the earlier one with: strife tx show <id>";
    TransactionIdExpired = "TRANSACTION_ID_EXPIRED", InvalidArgument, Usage,
        "this id is older than the gateway remembers ids",
        NOTHING_BEGUN,
        "See the account's history before you pay under a new id.";
    AccountNotFound = "ACCOUNT_NOT_FOUND", NotFound, Declined,
        "no such account",
        "The money did not move.",
        "Check the recipient's account number.";
    PaymentNotFound = "PAYMENT_NOT_FOUND", NotFound, Declined,
        "the gateway has never begun a payment under this id",
        "No money moved under this id.",
        "Sending it again under the same id is safe; a new id would be a new payment.";
    RecoveryPaused = "RECOVERY_PAUSED", Unavailable, Unreachable,
        "an operator has paused recovery, and nothing new begins meanwhile",
        NOTHING_BEGUN,
        "Ask the operator; it goes on with: strife admin resume";
    NotForced = "NOT_FORCED", FailedPrecondition, Declined,
        "the payment cannot be decided by hand",
        "Nothing was decided: the money stays where it is.",
        "See what is known of it, and what is safe: strife tx resolve <id>";
    Heuristic = "HEURISTIC", FailedPrecondition, Declined,
        "two operators ended the payment by hand, because a bank could not be asked",
        "What each bank did about it is in its case.",
        "See the case: strife tx resolve <id>";
    AccountClosed = "ACCOUNT_CLOSED", FailedPrecondition, Declined,
        "the account is closed",
        "The money did not move.",
        "Ask the recipient for another account.";
    InsufficientFunds = "INSUFFICIENT_FUNDS", FailedPrecondition, Declined,
        "the account's available balance is less than the amount",
        "The money did not move.",
        "See what is available with: strife view";
    CurrencyMismatch = "CURRENCY_MISMATCH", FailedPrecondition, Declined,
        "the account is kept in another currency",
        "The money did not move.",
        "Pay in the account's currency.";
    BalanceOverflow = "BALANCE_OVERFLOW", FailedPrecondition, Declined,
        "the payee's balance would be too large to keep",
        "The money did not move.",
        "Pay less, or to another account.";
    PrepareTimeout = "PREPARE_TIMEOUT", DeadlineExceeded, Declined,
        "not every bank voted in time",
        "The money did not move, and never will under this id.",
        "Pay again under a new id once the bank answers: strife status";
    Interrupted = "INTERRUPTED", Aborted, Declined,
        "the gateway stopped before it had decided, and aborted on its restart",
        "The money did not move, and never will under this id.",
        "Pay again under a new id.";
    TooLate = "TOO_LATE", Aborted, Declined,
        "the bank was told to abort before it was asked to prepare",
        "The money did not move, and never will under this id.",
        "Pay again under a new id.";
    Declined = "DECLINED", FailedPrecondition, Declined,
        "a bank voted no for a reason of its own",
        "The money did not move, and never will under this id.",
        "Ask the bank; its words are in the message.";
    TokenMissing = "TOKEN_MISSING", Unauthenticated, NotAllowed,
        "the call carries no client-id, or no auth-token",
        NOTHING_BEGUN,
        "Sign in: strife client --client-id C --username U --bank B";
    TokenInvalid = "TOKEN_INVALID", Unauthenticated, NotAllowed,
        "the token is wrong, expired, or was issued to another certificate",
        NOTHING_BEGUN,
        "Sign in again; what was queued is kept and will be sent.";
    BadCredentials = "BAD_CREDENTIALS", Unauthenticated, NotAllowed,
        "the client, its user name, bank and password do not belong together",
        NOTHING_BEGUN,
        "Check --client-id, --username, --bank and the password. List users with: strife users ls";
    RoleRequired = "ROLE_REQUIRED", PermissionDenied, NotAllowed,
        "the caller's role does not allow this call",
        NOTHING_BEGUN,
        "Sign in as a user whose role allows it.";
    IdentityMismatch = "IDENTITY_MISMATCH", PermissionDenied, NotAllowed,
        "the caller's certificate does not allow this call, or names someone else",
        NOTHING_BEGUN,
        "Use the certificate of the role that the call needs. List them with: strife certs ls";
    TooManyRequests = "TOO_MANY_REQUESTS", ResourceExhausted, Unreachable,
        "too many calls, sessions or payments in flight",
        NOTHING_BEGUN,
        "Try again in a moment, under the same id.";
    TooManyGuesses = "TOO_MANY_GUESSES", ResourceExhausted, Unreachable,
        "too many wrong passwords for this client from this certificate",
        NOTHING_BEGUN,
        "Wait as long as it says, then try again. Other certificates are not affected.";
    LogFull = "LOG_FULL", ResourceExhausted, Unreachable,
        "the disk of a log is nearly full",
        NOTHING_BEGUN,
        "Make room on the disk that holds data/; nothing is lost. See: strife status";
    Recovering = "RECOVERING", Unavailable, Unreachable,
        "the service is reading its log and does not serve yet",
        NOTHING_BEGUN,
        "Try again in a moment, under the same id.";
    ShuttingDown = "SHUTTING_DOWN", Unavailable, Unreachable,
        "the service is stopping",
        NOTHING_BEGUN,
        "Try again when it is back, under the same id.";
    BankUnavailable = "BANK_UNAVAILABLE", Unavailable, Unreachable,
        "a bank that takes part is away",
        NOTHING_BEGUN,
        "Try again when it is back: strife status";
    GatewayUnreachable = "GATEWAY_UNREACHABLE", Unavailable, Unreachable,
        "no connection to the gateway could be made",
        "Nothing was sent: no money moved.",
        "See what runs with: strife status. Start everything with: strife up";
    OutcomeUnknown = "OUTCOME_UNKNOWN", Unknown, Unknown,
        "the connection broke after the request was sent",
        "It may or may not have gone through. It is asked again under the same id, so it cannot \
         be paid twice.",
        "Check with: strife tx show <id>";
    Pending = "PENDING", Unknown, Unknown,
        "the payment is not final yet",
        "The money is safe: it will be applied or let go, once.",
        "Ask again with: strife tx show <id>. Do not pay again.";
    Queued = "QUEUED", Unavailable, Queued,
        "the payment waits in the outbox",
        "Nothing has been paid yet.",
        "Send it with: strife queue flush. See it with: strife queue ls";
    MethodUnknown = "METHOD_UNKNOWN", Unimplemented, Unexpected,
        "this service has no such method",
        NOTHING_BEGUN,
        "Check that client and gateway are of one version: strife --version";
    Fenced = "FENCED", FailedPrecondition, Damaged,
        "another start of this gateway, or another gateway, drives the bank",
        "Nothing was begun. Payments in flight are settled by the newer one.",
        "Stop one of the two gateways; see the epochs with: strife status";
    LogDamaged = "LOG_DAMAGED", DataLoss, Damaged,
        "a log does not say what it was made to say",
        "Nothing is guessed: the service does not start on it, and every copy is kept.",
        "Look at it with: strife wal verify";
    DataMissing = "DATA_MISSING", DataLoss, Damaged,
        "a part of the home is missing",
        "No money is lost while the other directories stand.",
        "Rebuild it: strife rebuild bank <NAME> --from-gateway, or strife rebuild gateway \
         --from-banks";
    ConfigInvalid = "CONFIG_INVALID", FailedPrecondition, Configuration,
        "the configuration cannot be used",
        "",
        "See what is in force with: strife config show";
    UsersInvalid = "USERS_INVALID", FailedPrecondition, Configuration,
        "a users file cannot be used",
        "",
        "Correct the file; see its fields with: strife users ls -o json";
    CertificateMissing = "CERTIFICATE_MISSING", FailedPrecondition, Configuration,
        "a certificate or key is missing",
        "",
        "Make a development set with: strife certs init";
    CertificateInvalid = "CERTIFICATE_INVALID", FailedPrecondition, Configuration,
        "a certificate or key cannot be used",
        "",
        "See each with: strife certs ls";
    KeyExposed = "KEY_EXPOSED", FailedPrecondition, Configuration,
        "a private key can be read by others than its owner",
        "",
        "Replace it if others had access, and close it with: chmod 600 <file>";
    PortInUse = "PORT_IN_USE", FailedPrecondition, Configuration,
        "the address is in use",
        "",
        "Stop what listens there, or shift all ports: strife up --base-port 51000";
    HomeMissing = "HOME_MISSING", FailedPrecondition, Configuration,
        "there is no home here",
        "",
        "Make one with: strife init, or start everything with: strife up";
    HomeExists = "HOME_EXISTS", FailedPrecondition, Configuration,
        "there is a home here already",
        "Nothing was changed.",
        "Use it with: strife up, or set it aside and begin anew with: strife up --fresh";
    HomeLocked = "HOME_LOCKED", FailedPrecondition, Configuration,
        "another process uses this data directory",
        "Nothing was changed.",
        "See which with: strife status";
    HomeForeign = "HOME_FOREIGN", FailedPrecondition, Configuration,
        "the home is of another version, or not a home of Strife",
        "Nothing was changed.",
        "Use the version that made it, or name another with --home.";
}

impl Reason {
    /// As on the wire.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.name() == name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_a_payment_can_be_declined_for_is_catalogued_as_declined() {
        for declined in recovery::model::Reason::ALL {
            let reason = Reason::from_name(declined.name());
            let exit = reason.map(|reason| reason.entry().exit);
            let both = declined.name() == "LOG_FULL";
            let expected = if both { Exit::Unreachable } else { Exit::Declined };
            assert_eq!(exit, Some(expected), "{declined}");
        }
    }

    #[test]
    fn every_row_says_what_it_means_and_what_to_do_in_the_house_style() {
        for reason in Reason::ALL {
            let entry = reason.entry();
            let upper = |b: u8| b.is_ascii_uppercase() || b == b'_';
            assert!(entry.name.bytes().all(upper), "{reason}");
            assert!(!entry.meaning.is_empty() && !entry.meaning.ends_with('.'), "{reason}");
            assert!(!entry.todo.is_empty(), "{reason}");
            assert!(entry.money.is_empty() || entry.money.ends_with('.'), "{reason}");
            assert_ne!(entry.exit, Exit::Done, "{reason}");
        }
    }

    #[test]
    fn no_two_reasons_share_a_name() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_name(reason.name()), Some(*reason));
        }
    }
}
