//! Passwords come from stdin or from a terminal that does not echo: never from anywhere logged.

use super::Context;
use crate::errors::{Exit, Failure};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use secrecy::SecretString;
use std::io::{BufRead, Write};

/// The first line of stdin, for `--password-stdin`.
pub(crate) fn from_stdin() -> Result<SecretString, Failure> {
    line()
}

/// Asks on the terminal; refuses where nobody can answer.
pub(crate) fn ask(prompt: &str, context: &Context) -> Result<SecretString, Failure> {
    if !context.may_ask() {
        let failure = Failure::plain(Exit::Usage, "a password is needed and nobody can be asked");
        return Err(failure.todo("Give it on stdin with --password-stdin."));
    }
    let mut talk = std::io::stderr();
    let _ = write!(talk, "{prompt}: ");
    let _ = talk.flush();
    let answer = unechoed(line);
    let _ = writeln!(talk);
    answer
}

fn line() -> Result<SecretString, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().read_line(&mut text);
    read.map_err(|error| Failure::unexpected("read the password", &error))?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::plain(Exit::Usage, "the password is empty"));
    }
    Ok(SecretString::from(password))
}

/// Does `work` with the terminal's echo off, and on again after it.
fn unechoed<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let stdin = std::io::stdin();
    let Ok(before) = tcgetattr(&stdin) else { return work() };
    let mut silent = before.clone();
    silent.local_flags.remove(LocalFlags::ECHO);
    let _ = tcsetattr(&stdin, SetArg::TCSAFLUSH, &silent);
    let done = work();
    let _ = tcsetattr(&stdin, SetArg::TCSAFLUSH, &before);
    done
}
