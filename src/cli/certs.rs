//! `strife certs init | ls | renew | issue | revoke`.

use super::Context;
use crate::certs::{self, Certificate};
use crate::errors::{Exit, Failure};
use crate::home::Party;
use crate::tls::{self, ENDS_SOON};
use clap::{Args, Subcommand};
use recovery::model::{BankName, ClientId};
use serde::Serialize;
use std::time::{Duration, SystemTime};
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
    /// Make certificates anew, with new keys; what runs takes them up within seconds
    Renew {
        /// Which, such as server, client, banks/HDFC; without any, all but the authorities'
        names: Vec<String>,
        /// Only those that end within so many days
        #[arg(long, value_name = "DAYS")]
        within: Option<u64>,
    },
    /// Make a certificate that speaks for one client alone, in certs/clients/
    Issue {
        /// For whom
        client_id: ClientId,
    },
    /// Have a certificate believed by nobody any more; its open connections end within seconds
    Revoke {
        /// Which, such as clients/client1, or the file of one, such as one in certs/retired/
        name: String,
    },
}

pub(super) fn run(args: &CertsArgs, context: &Context) -> Result<(), Failure> {
    let banks: Vec<BankName> = context.config()?.banks.into_keys().collect();
    match &args.command {
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
        CertsCommand::Renew { names, within } => renew(names, *within, &banks, context),
        CertsCommand::Issue { client_id } => {
            let party = certs::issue(&context.home, *client_id)?;
            let place = context.home.certificate(party);
            context.say(&format!("{} and its key speak for {client_id} alone.", place.display()));
            Ok(())
        }
        CertsCommand::Revoke { name } => revoke(name, &banks, context),
    }
}

/// Everyone who has a certificate here.
fn parties(banks: &[BankName], context: &Context) -> Vec<Party> {
    let clients = context.home.clients_with_certificates().into_iter().map(Party::ClientOf);
    Party::all(banks.iter().copied()).into_iter().chain(clients).collect()
}

fn named(name: &str, banks: &[BankName], context: &Context) -> Option<Party> {
    parties(banks, context).into_iter().find(|party| party.stem() == name)
}

fn unknown(name: &str, banks: &[BankName], context: &Context) -> Failure {
    let names: Vec<String> = parties(banks, context).into_iter().map(Party::stem).collect();
    let what = format!("there is no certificate {name} here");
    Failure::plain(Exit::Usage, what).todo(format!("There are: {}.", names.join(", ")))
}

fn renew(
    names: &[String],
    within: Option<u64>,
    banks: &[BankName],
    context: &Context,
) -> Result<(), Failure> {
    let chosen: Result<Vec<Party>, Failure> = match names {
        [] => Ok(parties(banks, context).into_iter().filter(|it| *it != it.signer()).collect()),
        names => {
            let one = |name: &String| named(name, banks, context);
            names
                .iter()
                .map(|name| one(name).ok_or_else(|| unknown(name, banks, context)))
                .collect()
        }
    };
    let deadline = within.and_then(|days| {
        SystemTime::now().checked_add(Duration::from_hours(days.saturating_mul(24)))
    });
    for party in chosen? {
        let ends = tls::lifetime(&tls::certificate(&context.home, party)?).map(|it| it.end);
        if deadline.is_some_and(|deadline| ends.is_some_and(|ends| ends > deadline)) {
            continue;
        }
        let retired = certs::renew(&context.home, party)?;
        let kept = retired.display();
        context.say(&format!("{} is new; the one before is kept as {kept}.", party.stem()));
    }
    certs::refresh_lists(&context.home)
}

fn revoke(name: &str, banks: &[BankName], context: &Context) -> Result<(), Failure> {
    let party = named(name, banks, context);
    let file = party.map_or_else(|| name.into(), |party| context.home.certificate(party));
    let bytes = std::fs::read(&file).map_err(|_| unknown(name, banks, context))?;
    let (signer, new) = certs::revoke(&context.home, &tls::parse_certificate(&file, &bytes)?)?;
    let list = context.home.revocations(signer);
    let verb = if new { "stands now" } else { "stood already" };
    context.say(&format!("{} {verb} in {}.", file.display(), list.display()));
    if let Some(party) = party.filter(|_| new) {
        context
            .say(&format!("Give its holder a new one with: strife certs renew {}", party.stem()));
    }
    let copies = "Copy that list to every machine that runs a service.";
    context.say(copies);
    Ok(())
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
            let problem = if certificate.revoked {
                "revoked".to_owned()
            } else if days_left < ENDS_SOON.as_secs() as i64 / 86_400 {
                format!("ends soon: strife certs renew {}", party.stem())
            } else {
                String::new()
            };
            Row { file, role, expires, days_left, sha256, problem }
        }
        Err(failure) => {
            let (role, expires, sha256) = Default::default();
            Row { file, role, expires, days_left: 0, sha256, problem: failure.what }
        }
    }
}
