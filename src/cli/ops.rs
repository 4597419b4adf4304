//! `strife ops ls | show | write`: what is put beside the program in production.

use super::Context;
use crate::errors::{Exit, Failure};
use crate::ops::{self, PIECES};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Examples:
  strife ops show strife.rules.yml > /etc/prometheus/strife.rules.yml
  strife ops write /tmp/strife-ops";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(super) struct OpsArgs {
    #[command(subcommand)]
    command: OpsCommand,
}

#[derive(Subcommand, Debug)]
enum OpsCommand {
    /// List what there is: units for systemd, rules for Prometheus, a board for Grafana
    Ls,
    /// Print one of them
    Show {
        /// As `ls` names it
        name: String,
    },
    /// Write all of them into a directory
    Write {
        /// Made if it is not there; what is there under the same names is replaced
        directory: PathBuf,
    },
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    place: &'static str,
    about: &'static str,
}

pub(super) fn run(args: &OpsArgs, context: &Context) -> Result<(), Failure> {
    match &args.command {
        OpsCommand::Ls => {
            let row = |piece: &ops::Piece| Row {
                name: piece.name,
                place: piece.place,
                about: piece.about,
            };
            let rows: Vec<Row> = PIECES.iter().map(row).collect();
            context.output.list("pieces", &rows, &["NAME", "GOES TO", "FOR"], |row| {
                vec![row.name.to_owned(), row.place.to_owned(), row.about.to_owned()]
            })
        }
        OpsCommand::Show { name } => {
            let piece = ops::find(name).ok_or_else(|| {
                Failure::plain(Exit::Usage, format!("there is no {name}"))
                    .todo("See what there is: strife ops ls")
            })?;
            super::Output::text(piece.text)
        }
        OpsCommand::Write { directory } => {
            let failed =
                |error| Failure::unexpected(&format!("write into {}", directory.display()), &error);
            std::fs::create_dir_all(directory).map_err(failed)?;
            for piece in PIECES {
                std::fs::write(directory.join(piece.name), piece.text).map_err(failed)?;
            }
            let count = PIECES.len();
            context.say(&format!("{count} files are in {}.", directory.display()));
            Ok(())
        }
    }
}
