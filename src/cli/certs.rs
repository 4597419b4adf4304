//! `strife certs init | ls`.

use super::Context;
use crate::certs::{self, Certificate};
use crate::errors::{Exit, Failure};
use crate::home::Party;
use clap::{Args, Subcommand};
use recovery::model::BankName;
use serde::Serialize;
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

#[derive(Args, Debug)]
pub(super) struct CertsArgs {
    #[command(subcommand)]
    command: CertsCommand,
}

#[derive(Subcommand, Debug)]
enum CertsCommand {
    /// Make a development set: two authorities, and a certificate for everyone
    Init,
    /// List every certificate with its role, its end and its fingerprint
    Ls,
}

pub(super) fn run(args: &CertsArgs, context: &Context) -> Result<(), Failure> {
    let banks: Vec<BankName> = context.config()?.banks.into_keys().collect();
    match args.command {
        CertsCommand::Init => {
            if context.home.is_empty() {
                context.home.create()?;
            }
            context.home.open()?;
            certs::init(&context.home, &banks)?;
            let place = context.home.certs();
            context.say(&format!("Certificates are in {}.", place.display()));
            Ok(())
        }
        CertsCommand::Ls => list(&banks, context),
    }
}

#[derive(Serialize)]
struct Row {
    file: String,
    role: String,
    expires: String,
    days_left: i64,
    sha256: String,
    problem: String,
}

fn list(banks: &[BankName], context: &Context) -> Result<(), Failure> {
    let listed = certs::list(&context.home, banks);
    let failure = listed.iter().find_map(|(_, read)| read.as_ref().err().cloned());
    let rows: Vec<Row> = listed.into_iter().map(|(party, read)| row(party, read)).collect();
    let header = ["FILE", "ROLE", "EXPIRES", "DAYS", "SHA-256", ""];
    context.output.list("certificates", &rows, &header, |row| {
        let short = row.sha256.get(..16).unwrap_or_default().to_owned();
        let day = row.expires.get(..10).unwrap_or_default().to_owned();
        let days = if day.is_empty() { String::new() } else { row.days_left.to_string() };
        vec![row.file.clone(), row.role.clone(), day, days, short, row.problem.clone()]
    })?;
    failure.map_or(Ok(()), |failure| Err(failure.exit(Exit::Configuration)))
}

fn row(party: Party, read: Result<Certificate, Failure>) -> Row {
    let file = format!("{}.crt", party.stem());
    match read {
        Ok(certificate) => {
            let authority = party == party.signer();
            let role = if authority { "authority".into() } else { certificate.role.to_string() };
            let expires = OffsetDateTime::from(certificate.expires);
            let days_left = (expires - OffsetDateTime::from(SystemTime::now())).whole_days();
            let expires = expires.format(&Rfc3339).unwrap_or_default();
            let sha256 = certificate.fingerprint.to_string();
            Row { file, role, expires, days_left, sha256, problem: String::new() }
        }
        Err(failure) => {
            let (role, expires, sha256) = Default::default();
            Row { file, role, expires, days_left: 0, sha256, problem: failure.what }
        }
    }
}
