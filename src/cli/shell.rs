//! `strife completions` and `strife man`: what a packager asks for.

use super::{Cli, Output};
use crate::errors::Failure;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(super) struct CompletionsArgs {
    /// bash, elvish, fish, powershell or zsh
    shell: Shell,
}

pub(super) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "strife", &mut text);
    Output::text(&String::from_utf8_lossy(&text))
}

#[derive(Args, Debug)]
pub(super) struct ManArgs {
    /// Write a page for every subcommand into this directory instead
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn man(args: &ManArgs) -> Result<(), Failure> {
    if let Some(directory) = &args.out {
        let written = std::fs::create_dir_all(directory)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), directory));
        return written.map_err(|error| {
            Failure::unexpected(&format!("write pages into {}", directory.display()), &error)
        });
    }
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut text);
    rendered.map_err(|error| Failure::unexpected("render the manual page", &error))?;
    Output::text(&String::from_utf8_lossy(&text))
}
