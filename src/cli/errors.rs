//! `strife errors ls | lookup`.

use super::Context;
use crate::errors::{Exit, Failure, Reason};
use clap::{Args, Subcommand};
use serde::Serialize;

#[derive(Args, Debug)]
pub(super) struct ErrorsArgs {
    #[command(subcommand)]
    command: ErrorsCommand,
}

#[derive(Subcommand, Debug)]
enum ErrorsCommand {
    /// List every reason
    Ls,
    /// Explain one reason, such as BANK_UNAVAILABLE, or one exit code, such as 7
    Lookup {
        /// The reason or the exit code
        name: String,
    },
}

#[derive(Serialize)]
struct Row {
    reason: &'static str,
    code: String,
    exit: u8,
    meaning: &'static str,
    money: &'static str,
    todo: &'static str,
}

fn row(reason: Reason) -> Row {
    let entry = reason.entry();
    Row {
        reason: entry.name,
        code: format!("{:?}", entry.code),
        exit: entry.exit.code(),
        meaning: entry.meaning,
        money: entry.money,
        todo: entry.todo,
    }
}

pub(super) fn run(args: ErrorsArgs, context: &Context) -> Result<(), Failure> {
    match args.command {
        ErrorsCommand::Ls => {
            let rows: Vec<Row> = Reason::ALL.iter().copied().map(row).collect();
            context.output.list("reasons", &rows, &["REASON", "EXIT", "MEANING"], |row| {
                vec![row.reason.to_owned(), row.exit.to_string(), row.meaning.to_owned()]
            })
        }
        ErrorsCommand::Lookup { name } => lookup(&name, context),
    }
}

fn lookup(name: &str, context: &Context) -> Result<(), Failure> {
    if let Ok(number) = name.parse() {
        let exit = Exit::from_code(number).ok_or_else(|| {
            let what = format!("no command ends with {number}");
            Failure::plain(Exit::Usage, what).todo("See all with: strife errors ls")
        })?;
        let with = |reason: &&Reason| reason.entry().exit == exit;
        let rows: Vec<Row> = Reason::ALL.iter().filter(with).copied().map(row).collect();
        context.say(&format!("{number}: {}", exit.meaning()));
        return context.output.list("reasons", &rows, &["REASON", "MEANING"], |row| {
            vec![row.reason.to_owned(), row.meaning.to_owned()]
        });
    }
    let upper = name.to_uppercase().replace('-', "_");
    let reason = Reason::from_name(&upper).ok_or_else(|| unknown(name, &upper))?;
    let row = row(reason);
    context.output.one(&row, || {
        let told = [row.money, row.todo].map(|text| format!("  {text}\n"));
        let told: String = told.into_iter().filter(|line| !line.trim().is_empty()).collect();
        format!("{}: {}\n{told}  gRPC {}, exit {}", row.reason, row.meaning, row.code, row.exit)
    })
}

fn unknown(name: &str, upper: &str) -> Failure {
    let likeness = |reason: &Reason| strsim::jaro_winkler(reason.name(), upper);
    let nearest = Reason::ALL.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let todo = match nearest.filter(|reason| likeness(reason) > 0.8) {
        Some(reason) => format!("Did you mean {reason}?"),
        None => "See all with: strife errors ls".to_owned(),
    };
    Failure::plain(Exit::Usage, format!("there is no reason {name:?}")).todo(todo)
}
