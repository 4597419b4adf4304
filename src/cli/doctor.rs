//! `strife doctor [--security]`.

use super::Context;
use crate::doctor::{self, Verdict};
use crate::errors::{Exit, Failure};
use clap::Args;

#[derive(Args, Debug)]
pub(super) struct DoctorArgs {
    /// Look for what is unsafe: permissions, certificates, passwords, ports
    #[arg(long)]
    security: bool,
}

pub(super) fn run(args: &DoctorArgs, context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    let found = if args.security {
        context.home.open()?;
        doctor::security(&context.home, &config)
    } else {
        doctor::basics(&context.home, &config)
    };
    context.output.list("checks", &found, &["CHECK", "", "WHAT", "DO"], |finding| {
        let (check, verdict) = (finding.check.to_owned(), finding.verdict.name().to_owned());
        vec![check, verdict, finding.what.clone(), finding.todo.clone()]
    })?;
    let bad = found.iter().filter(|finding| finding.verdict == Verdict::Bad).count();
    if bad == 0 {
        return Ok(());
    }
    let word = if args.security { "unsafe" } else { "wrong" };
    Err(Failure::plain(Exit::Configuration, format!("{bad} of {} checks are {word}", found.len()))
        .todo("Do what stands beside each that is bad, then look again."))
}
