//! Whose money: the flags that every command of a client takes, and the desk they lead to.

use super::{Context, secret};
use crate::client::link::{Dial, Link};
use crate::client::outbox::Outbox;
use crate::client::pay::{CRASH_POINTS, Desk};
use crate::client::session::{Credentials, Session};
use crate::client::token::TokenFile;
use crate::client::words;
use crate::config::Address;
use crate::crash;
use crate::errors::{Exit, Failure};
use crate::home::{Home, Service};
use crate::identity::Role;
use crate::tls;
use clap::Args;
use recovery::model::{BankName, ClientId};
use secrecy::SecretString;
use std::fs;
use std::sync::Arc;

#[derive(Args, Debug)]
#[command(next_help_heading = "Who pays")]
pub(super) struct Who {
    /// The client; may be left out when only one is signed in here
    #[arg(long, env = "STRIFE_CLIENT_ID", hide_env_values = true, value_name = "C")]
    client_id: Option<ClientId>,
    /// The user name that belongs to it
    #[arg(long, env = "STRIFE_USERNAME", hide_env_values = true, value_name = "U")]
    username: Option<String>,
    /// The password; others on this machine can see a flag, so prefer --password-stdin
    #[arg(long, env = "STRIFE_PASSWORD", hide_env_values = true, value_name = "P")]
    password: Option<SecretString>,
    /// Read the password from the first line of stdin
    #[arg(long)]
    password_stdin: bool,
    /// The bank of the account
    #[arg(long, env = "STRIFE_BANK", hide_env_values = true, value_name = "B")]
    bank: Option<BankName>,
    /// Where the gateway is, if not where it says it runs, or as configured
    #[arg(long, env = "STRIFE_GATEWAY", hide_env_values = true, value_name = "HOST:PORT")]
    gateway: Option<Address>,
    /// Kill this process at a named instant, for drills: POINT[:NTH]
    #[arg(long, hide = true, value_name = "POINT")]
    crash_at: Option<String>,
}

impl Who {
    pub(super) fn client(&self, home: &Home) -> Result<ClientId, Failure> {
        if let Some(client) = self.client_id {
            return Ok(client);
        }
        let signed_in = signed_in(home);
        match signed_in[..] {
            [client] => Ok(client),
            [] => Err(Failure::plain(Exit::Usage, "it is not said who pays")
                .money("Nothing was sent: no money moved.")
                .todo(
                    "Add --client-id C --username U --bank B, or set STRIFE_CLIENT_ID, \
                     STRIFE_USERNAME, STRIFE_BANK and STRIFE_PASSWORD.",
                )),
            _ => {
                let names: Vec<&str> = signed_in.iter().map(ClientId::as_str).collect();
                let what = format!("several clients are signed in here: {}", names.join(", "));
                Err(Failure::plain(Exit::Usage, what)
                    .money("Nothing was sent: no money moved.")
                    .todo("Say which with --client-id."))
            }
        }
    }

    pub(super) fn has_password(&self) -> bool {
        self.password.is_some() || self.password_stdin
    }

    /// Asks for the password where there is a person to answer and no session to go on with.
    pub(super) fn ask_password(&mut self, context: &Context) -> Result<(), Failure> {
        let client = self.client(&context.home)?;
        let signed_in = TokenFile::new(context.home.session(client)).load().is_some();
        if !self.has_password() && !signed_in && context.may_ask() {
            self.password = Some(secret::ask(&format!("password of {client}"), context)?);
        }
        Ok(())
    }

    /// Everything a payment needs, but for the network: that is met when it is used.
    pub(super) fn desk(&self, context: &Context) -> Result<Desk, Failure> {
        if let Some(spec) = &self.crash_at {
            crash::arm(spec, &CRASH_POINTS)?;
        }
        let home = context.home.clone();
        home.open()?;
        let client = self.client(&home)?;
        let config = context.config()?;
        let tls = tls::client_of(&home, home.client_party(client), Role::Gateway)?;
        let password =
            if self.password_stdin { Some(secret::from_stdin()?) } else { self.password.clone() };
        let who = Credentials {
            client,
            username: self.username.clone(),
            password,
            bank: self.bank.map(|bank| bank.to_string()),
        };
        let (told, configured) = (self.gateway.clone(), config.gateway.address);
        let (file, dir) = (TokenFile::new(home.session(client)), home.client(client));
        let dial: Dial = Arc::new(move || {
            let running = || home.running(Service::Gateway).map(|running| running.address);
            let address = told.clone().or_else(running).unwrap_or_else(|| configured.clone());
            tls::channel(&address, Arc::clone(&tls), tls::Link::Calls)
        });
        let timeout = context.timeout.unwrap_or(config.client.timeout());
        let session = Session::new(Link::new(dial, timeout), who, file);
        let outbox = Outbox::open(&dir, client).map_err(|error| words::of_outbox(&error))?;
        Ok(Desk::new(Arc::new(session), outbox))
    }
}

/// Who has a session in this home.
fn signed_in(home: &Home) -> Vec<ClientId> {
    let clients = home.all_data().join("clients");
    let entries = fs::read_dir(clients).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut names: Vec<ClientId> = names.filter(|name| home.session(*name).exists()).collect();
    names.sort();
    names
}

/// Tells what became of earlier payments since the last command, once.
pub(super) async fn since_last_time(desk: &Desk, context: &Context) -> Result<(), Failure> {
    let of_outbox = |error| words::of_outbox(&error);
    let entries = desk.entries().await.map_err(of_outbox)?;
    let ended = entries
        .iter()
        .filter_map(|entry| words::since_last_time(entry).map(|line| (entry.draft.id, line)));
    let (ids, lines): (Vec<_>, Vec<_>) = ended.unzip();
    if ids.is_empty() || context.quiet {
        return Ok(());
    }
    context.say(&format!("since last time:\n{}", lines.join("\n")));
    desk.told(ids).await.map_err(of_outbox)
}
