//! `strife users ls | add | passwd | import`: who may sign in.

use super::{Context, Output, secret};
use crate::errors::{Exit, Failure};
use crate::init;
use crate::users::{self, Opening, User, UserRole, Users};
use clap::{Args, Subcommand};
use recovery::model::{AccountNumber, Amount, BankName, ClientId, Currency, major};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(super) struct UsersArgs {
    #[command(subcommand)]
    command: UsersCommand,
}

#[derive(Subcommand, Debug)]
enum UsersCommand {
    /// List who may sign in
    Ls,
    /// Add a client with its account, an auditor or an admin
    Add {
        /// The new client id
        #[arg(long)]
        client_id: ClientId,
        /// The user name; the client id when left out
        #[arg(long)]
        username: Option<String>,
        /// What the user may do
        #[arg(long)]
        role: UserRole,
        /// A client's bank
        #[arg(long, required_if_eq("role", "client"))]
        bank: Option<BankName>,
        /// A client's new account, 14 digits
        #[arg(long, value_name = "ACCOUNT", required_if_eq("role", "client"))]
        account_number: Option<AccountNumber>,
        /// What the account opens with, such as 250 or 99.50
        #[arg(long, value_name = "AMOUNT", default_value = "0")]
        opening: String,
        /// Read the password from stdin instead of asking
        #[arg(long)]
        password_stdin: bool,
    },
    /// Change a password; the user's sessions end
    Passwd {
        /// Whose
        client_id: ClientId,
        /// Read the password from stdin instead of asking
        #[arg(long)]
        password_stdin: bool,
    },
    /// Hash the plain passwords of a users file, and print the result
    Import {
        /// The file with plain passwords
        file: PathBuf,
    },
}

pub(super) fn run(args: UsersArgs, context: &Context) -> Result<(), Failure> {
    match args.command {
        UsersCommand::Ls => list(context),
        UsersCommand::Add {
            client_id,
            username,
            role,
            bank,
            account_number,
            opening,
            password_stdin,
        } => {
            let username = username.unwrap_or_else(|| client_id.to_string());
            let opening = account(role, bank.zip(account_number), &opening)?;
            add(client_id, username, role, opening, password_stdin, context)
        }
        UsersCommand::Passwd { client_id, password_stdin } => {
            passwd(client_id, password_stdin, context)
        }
        UsersCommand::Import { file } => {
            let shown = file.display().to_string();
            let text = std::fs::read_to_string(&file).map_err(|error| {
                Failure::plain(Exit::Configuration, format!("cannot read {shown}: {error}"))
            })?;
            Output::text(&users::import(&text, &shown)?.to_json()?)
        }
    }
}

#[derive(Serialize)]
struct Row {
    client_id: String,
    username: String,
    role: &'static str,
    bank: String,
    account_number: String,
    opening_minor: i64,
    currency_code: String,
}

impl From<&User> for Row {
    fn from(user: &User) -> Self {
        let opening = user.opening;
        Self {
            client_id: user.client_id.to_string(),
            username: user.username.clone(),
            role: user.role.name(),
            bank: opening.map(|o| o.bank.to_string()).unwrap_or_default(),
            account_number: opening.map(|o| o.account.to_string()).unwrap_or_default(),
            opening_minor: opening.map_or(0, |o| o.balance_minor),
            currency_code: opening.map(|o| o.currency.to_string()).unwrap_or_default(),
        }
    }
}

fn list(context: &Context) -> Result<(), Failure> {
    let users = existing(context)?;
    let rows: Vec<Row> = users.clients.iter().map(Row::from).collect();
    let header = ["CLIENT", "USER", "ROLE", "BANK", "ACCOUNT", "OPENING"];
    context.output.list("users", &rows, &header, |row| {
        let none = row.account_number.is_empty();
        let opening = format!("{} {}", row.currency_code, major(row.opening_minor));
        vec![
            row.client_id.clone(),
            row.username.clone(),
            row.role.to_owned(),
            row.bank.clone(),
            row.account_number.clone(),
            if none { String::new() } else { opening },
        ]
    })
}

fn existing(context: &Context) -> Result<Users, Failure> {
    context.home.open()?;
    users::load(&context.home.users_file())
}

/// A client has an account, and nobody else has.
fn account(
    role: UserRole,
    place: Option<(BankName, AccountNumber)>,
    opening: &str,
) -> Result<Option<Opening>, Failure> {
    let Some((bank, account)) = place.filter(|_| role == UserRole::Client) else {
        return match place {
            None => Ok(None),
            Some(_) => Err(Failure::plain(Exit::Usage, format!("{role} has no account"))),
        };
    };
    let balance_minor = match opening {
        "0" => 0,
        text => text
            .parse()
            .map(Amount::minor)
            .map_err(|error| Failure::plain(Exit::Usage, format!("--opening {text}: {error}")))?,
    };
    Ok(Some(Opening { bank, account, balance_minor, currency: Currency::INR }))
}

fn add(
    client_id: ClientId,
    username: String,
    role: UserRole,
    opening: Option<Opening>,
    password_stdin: bool,
    context: &Context,
) -> Result<(), Failure> {
    let mut all = existing(context)?;
    if all.find(client_id).is_some() {
        return Err(Failure::plain(Exit::Usage, format!("{client_id} is there already")));
    }
    let password_hash = users::hash(new_password(password_stdin, context)?.expose_secret())?;
    all.clients.push(User { client_id, username, password_hash, role, opening });
    if opening.is_some() {
        users::parse(&all.to_json()?, "the changed users file")?;
        init::extend(&context.home, &context.config()?, &all)?;
    } else {
        save(&all, context)?;
    }
    context.say(&format!("{client_id} may sign in."));
    Ok(())
}

fn passwd(client_id: ClientId, password_stdin: bool, context: &Context) -> Result<(), Failure> {
    let mut all = existing(context)?;
    let Some(user) = all.find_mut(client_id) else {
        let failure = Failure::plain(Exit::Declined, format!("there is no user {client_id}"));
        return Err(failure.todo("See all with: strife users ls"));
    };
    user.password_hash = users::hash(new_password(password_stdin, context)?.expose_secret())?;
    save(&all, context)?;
    context.say("Changed. Sessions under the old password have ended.");
    Ok(())
}

/// Written and read back by the same rules, so that what is saved can be loaded.
fn save(all: &Users, context: &Context) -> Result<(), Failure> {
    users::parse(&all.to_json()?, "the changed users file")?;
    users::save(&context.home.users_file(), all)
}

fn new_password(from_stdin: bool, context: &Context) -> Result<SecretString, Failure> {
    if from_stdin {
        return secret::from_stdin();
    }
    let first = secret::ask("New password", context)?;
    let second = secret::ask("Again", context)?;
    if first.expose_secret() == second.expose_secret() {
        return Ok(first);
    }
    Err(Failure::plain(Exit::Usage, "the two passwords are different; nothing was changed"))
}
