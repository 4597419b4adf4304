//! `strife drill report`: the last run of drills, for people and for other programs.

use super::run::directory;
use crate::cli::Context;
use crate::errors::Failure;
use crate::live::results::{self, Results};
use clap::Args;
use serde::Serialize;
use std::fs;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(super) struct ReportArgs {
    /// Where the results are: what `strife drill run --in` was given
    #[arg(long = "in", value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Write the files here, if not beside the results
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

#[derive(Serialize)]
struct Written {
    ok: bool,
    html: PathBuf,
    junit: PathBuf,
    json: PathBuf,
}

pub(super) fn run(args: &ReportArgs, context: &Context) -> Result<(), Failure> {
    let from = directory(args.directory.as_deref(), context);
    let last = Results::load(&from)?;
    let to = args.to.clone().unwrap_or(from);
    let written = Written {
        ok: last.ok,
        html: to.join("drills.html"),
        junit: to.join("drills.xml"),
        json: to.join("drills.json"),
    };
    let json = serde_json::to_string_pretty(&last).unwrap_or_default();
    let files = [
        (&written.html, results::html(&last)),
        (&written.junit, results::junit(&last)),
        (&written.json, json),
    ];
    for (file, text) in files {
        fs::create_dir_all(&to)
            .and_then(|()| fs::write(file, text))
            .map_err(|error| Failure::unexpected(&format!("write {}", file.display()), &error))?;
    }
    context.output.one(&written, || {
        let paths = [&written.html, &written.junit, &written.json];
        paths.map(|path| path.display().to_string()).join("\n")
    })
}
