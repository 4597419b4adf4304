//! An operator who is signed in: the flags, and the session they lead to.
//!
//! Operators show the admin certificate, which the home has, and have a name and a password of
//! their own, which `strife users add --role admin` gives them. What clients are asked for by
//! `STRIFE_CLIENT_ID` and its like is not theirs: their variables begin with `STRIFE_OPERATOR`.

use super::{Context, secret};
use crate::client::link::{Dial, Link, Over};
use crate::client::session::{Credentials, Session, SessionError};
use crate::client::token::TokenFile;
use crate::client::words;
use crate::config::Address;
use crate::errors::{Exit, Failure};
use crate::home::{Party, Service};
use crate::identity::Role;
use crate::tls;
use clap::Args;
use recovery::model::ClientId;
use secrecy::SecretString;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tonic::{Request, Response, Status};

#[derive(Args, Debug)]
#[command(next_help_heading = "Who operates")]
pub(super) struct Operator {
    /// The operator's client id
    #[arg(long = "operator", env = "STRIFE_OPERATOR", hide_env_values = true, value_name = "C")]
    #[arg(default_value = "admin")]
    client: ClientId,
    /// The user name that belongs to it; the client id when left out
    #[arg(
        long = "operator-username",
        env = "STRIFE_OPERATOR_USERNAME",
        hide_env_values = true,
        value_name = "U"
    )]
    username: Option<String>,
    /// Its password; others on this machine can see a flag, so prefer --password-stdin
    #[arg(
        long = "operator-password",
        env = "STRIFE_OPERATOR_PASSWORD",
        hide_env_values = true,
        value_name = "P"
    )]
    password: Option<SecretString>,
    /// Read the password from the first line of stdin
    #[arg(long)]
    password_stdin: bool,
    /// Where the gateway is, if not where it says it runs, or as configured
    #[arg(long, env = "STRIFE_GATEWAY", hide_env_values = true, value_name = "HOST:PORT")]
    gateway: Option<Address>,
}

impl Operator {
    /// May it be signed in without asking a person?
    pub(super) fn is_at_hand(&self, context: &Context) -> bool {
        let file = TokenFile::new(context.home.operator_session(self.client));
        self.password.is_some() || self.password_stdin || file.load().is_some()
    }

    /// Ready to call. Nothing is sent before a call is made.
    pub(super) fn desk(&self, context: &Context) -> Result<Desk, Failure> {
        let home = context.home.clone();
        home.open()?;
        let config = context.config()?;
        let tls = tls::client_of(&home, Party::Admin, Role::Gateway)?;
        let file = TokenFile::new(home.operator_session(self.client));
        let mut password = self.password.clone();
        if self.password_stdin {
            password = Some(secret::from_stdin()?);
        } else if password.is_none() && file.load().is_none() && context.may_ask() {
            password = Some(secret::ask(&format!("password of {}", self.client), context)?);
        }
        let username = self.username.clone();
        let who = Credentials {
            client: self.client,
            username: username.or_else(|| Some(self.client.to_string())),
            password,
            bank: Some(String::new()),
        };
        let (told, configured) = (self.gateway.clone(), config.gateway.address);
        let dial: Dial = Arc::new(move || {
            let running = || home.running(Service::Gateway).map(|running| running.address);
            let address = told.clone().or_else(running).unwrap_or_else(|| configured.clone());
            tls::channel(&address, Arc::clone(&tls), tls::Link::Calls)
        });
        let timeout = context.timeout.unwrap_or(config.client.timeout());
        let session = Session::new(Link::new(dial, timeout), who, file);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::unexpected("start the runtime", &error))?;
        Ok(Desk { session, runtime })
    }
}

/// An operator's session, and the connection that its calls share.
pub(super) struct Desk {
    session: Session,
    runtime: Runtime,
}

impl Desk {
    /// One call.
    pub(super) fn call<S, Q, R, F>(
        &self,
        message: Q,
        send: impl Fn(S, Request<Q>) -> F + Copy,
    ) -> Result<R, Failure>
    where
        S: Over,
        Q: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let call = self.session.call(message, send);
        self.runtime.block_on(call).map_err(|error| told(&error))
    }
}

fn told(error: &SessionError) -> Failure {
    match error {
        SessionError::NoPassword => {
            let what = "no operator is signed in here";
            Failure::plain(Exit::NotAllowed, what).todo(
                "Name one with --operator, and give the password: STRIFE_OPERATOR_PASSWORD, or \
                 --password-stdin. A new operator: strife users add --role admin --client-id ID",
            )
        }
        other => words::of_session(other),
    }
}
