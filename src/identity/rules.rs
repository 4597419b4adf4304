//! The table: which method, which certificates, which session. What is not here is not served.

use super::Role;
use crate::users::UserRole;

/// A role without its name.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    Gateway,
    Bank,
    Client,
    Admin,
    Stranger,
}

impl Role {
    pub fn kind(self) -> Kind {
        match self {
            Self::Gateway => Kind::Gateway,
            Self::Bank(_) => Kind::Bank,
            Self::Client(_) => Kind::Client,
            Self::Admin => Kind::Admin,
            Self::Stranger => Kind::Stranger,
        }
    }
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Bank => "bank",
            Self::Client => "client",
            Self::Admin => "admin",
            Self::Stranger => "stranger",
        }
    }
}

/// What a call must carry beside a certificate.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Session {
    /// Nothing.
    None,
    /// A token of a user with one of these roles.
    Of(&'static [UserRole]),
}

/// One row.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    pub service: &'static str,
    pub method: &'static str,
    /// `/service/method`.
    pub path: &'static str,
    pub callers: &'static [Kind],
    pub session: Session,
}

macro_rules! rules {
    ($($service:literal { $($method:literal: $callers:expr, $session:expr;)* })*) => {
        /// The whole table.
        pub const RULES: &[Rule] = &[$($(Rule {
            service: $service,
            method: $method,
            path: concat!("/", $service, "/", $method),
            callers: $callers,
            session: $session,
        },)*)*];
    };
}

const ANYONE: &[Kind] = &[Kind::Gateway, Kind::Bank, Kind::Client, Kind::Admin];
const USERS: &[Kind] = &[Kind::Client, Kind::Admin];
const OPERATORS: &[Kind] = &[Kind::Admin];
const GATEWAY: &[Kind] = &[Kind::Gateway];
const BANKS: &[Kind] = &[Kind::Bank];

const NO_SESSION: Session = Session::None;
const ANY_USER: Session = Session::Of(&[UserRole::Client, UserRole::Auditor, UserRole::Admin]);
const PAYER: Session = Session::Of(&[UserRole::Client]);
const OPERATOR: Session = Session::Of(&[UserRole::Admin]);
const READER: Session = Session::Of(&[UserRole::Auditor, UserRole::Admin]);

rules! {
    "strife.v1.PaymentGateway" {
        "RegisterClient": USERS, NO_SESSION;
        "ProcessPayment": USERS, PAYER;
        "ProcessPayments": USERS, PAYER;
        "WatchPayments": USERS, PAYER;
        "ViewBalance": USERS, ANY_USER;
        "GetPayment": USERS, ANY_USER;
        "ListPayments": USERS, ANY_USER;
        "Logout": USERS, ANY_USER;
    }
    "strife.v1.AdminService" {
        "Status": OPERATORS, READER;
        "ListInDoubt": OPERATORS, READER;
        "EndSessions": OPERATORS, OPERATOR;
        "TailLog": OPERATORS, READER;
        "AskResolution": OPERATORS, OPERATOR;
        "ApproveResolution": OPERATORS, OPERATOR;
        "PauseRecovery": OPERATORS, OPERATOR;
        "StepRecovery": OPERATORS, OPERATOR;
        "ResumeRecovery": OPERATORS, OPERATOR;
    }
    "strife.v1.CoordinatorService" {
        "Hello": BANKS, NO_SESSION;
        "Inquire": BANKS, NO_SESSION;
    }
    "strife.v1.BankService" {
        "PrepareTransaction": GATEWAY, NO_SESSION;
        "CommitTransaction": GATEWAY, NO_SESSION;
        "AbortTransaction": GATEWAY, NO_SESSION;
        "Ping": GATEWAY, NO_SESSION;
        "GetBalance": GATEWAY, NO_SESSION;
        "Hello": GATEWAY, NO_SESSION;
        "Participate": GATEWAY, NO_SESSION;
        "Summary": GATEWAY, NO_SESSION;
    }
    "grpc.health.v1.Health" {
        "Check": ANYONE, NO_SESSION;
        "List": ANYONE, NO_SESSION;
        "Watch": ANYONE, NO_SESSION;
    }
    "grpc.reflection.v1.ServerReflection" {
        "ServerReflectionInfo": USERS, NO_SESSION;
    }
}

/// The row of `/service/method`.
pub fn rule(path: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use std::collections::BTreeSet;

    #[test]
    fn every_method_of_the_proto_has_a_row_and_every_row_of_ours_a_method() {
        let files = prost_types::FileDescriptorSet::decode(crate::wire::DESCRIPTORS);
        let mut methods = BTreeSet::new();
        for file in files.expect("descriptors").file {
            let package = file.package().to_owned();
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{package}.{}/{}", service.name(), method.name());
                    methods.insert(path);
                }
            }
        }
        let ours = RULES.iter().filter(|rule| rule.service.starts_with("strife."));
        let rows: BTreeSet<String> = ours.map(|rule| rule.path.to_owned()).collect();
        assert_eq!(rows, methods);
    }

    #[test]
    fn only_the_gateway_drives_a_bank_and_a_stranger_does_nothing() {
        for rule in RULES {
            assert!(!rule.callers.contains(&Kind::Stranger), "{}", rule.path);
            if rule.service == "strife.v1.BankService" {
                assert_eq!(rule.callers, [Kind::Gateway], "{}", rule.path);
            }
        }
    }
}
