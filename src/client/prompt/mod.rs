//! The client as a person meets it: a prompt, friendly words, and a background that keeps trying.
//!
//! Promises that no command ends the session but `exit` and the end of input; that ^C stops the
//! waiting and never the payment; and that what waits goes out while the prompt is open, and is
//! told without garbling what is being typed.
//!
//! Refuses to know how a payment is made: that is `pay`.

mod command;
mod lines;

use super::ask::{Ask, transaction_id};
use super::outbox::{Entry, OutboxError, Stage};
use super::pay::{Desk, Verdict};
use super::retry::{self, Pace};
use super::session::SessionError;
use super::show::{self, BalanceJson, EntryJson, RecordJson};
use super::words::{self, Words};
use crate::errors::{Exit, Failure};
use command::Command;
use lines::{Input, Lines, Say};
use std::io::Write;
use tokio::sync::Notify;

/// Runs until `exit` or the end of input. A script that pipes commands in gets the exit code of the
/// last command that failed; a person at a terminal, who has read it, gets 0.
pub async fn run(desk: &Desk, pace: Pace) -> Result<Exit, Failure> {
    let (lines, say) = Lines::open(format!("{}> ", desk.session.client()));
    let wake = Notify::new();
    let background = retry::forever(desk.clone(), pace, &wake, |text| say(text));
    let prompt = Prompt { desk, wake: &wake, say: say.clone() };
    tokio::select! {
        done = prompt.serve(lines) => done,
        () = background => Ok(Exit::Done),
    }
}

struct Prompt<'a> {
    desk: &'a Desk,
    wake: &'a Notify,
    say: Say,
}

impl Prompt<'_> {
    async fn serve(&self, mut lines: Lines) -> Result<Exit, Failure> {
        let mut last = Exit::Done;
        self.greet(lines.is_terminal).await?;
        loop {
            let line = match lines.next().await {
                Input::Line(line) => line,
                Input::Interrupted => {
                    self.talk("type exit to leave");
                    continue;
                }
                Input::End => break,
            };
            let command = match command::parse(&line) {
                Ok(Command::Exit) => break,
                Ok(command) => command,
                Err(text) => {
                    self.talk(&text);
                    last = Exit::Usage;
                    continue;
                }
            };
            let done = tokio::select! {
                done = self.obey(command) => done,
                _ = tokio::signal::ctrl_c(), if lines.is_terminal => {
                    self.talk("stopped waiting; a payment that was begun is in the queue");
                    self.wake.notify_one();
                    Ok(Exit::Interrupted)
                }
            };
            match done {
                Ok(Exit::Done) => {}
                Ok(exit) => last = exit,
                Err(failure) => {
                    last = failure.exit;
                    self.talk(&failure.to_string());
                }
            }
        }
        self.part().await?;
        Ok(if lines.is_terminal { Exit::Done } else { last })
    }

    async fn greet(&self, is_terminal: bool) -> Result<(), Failure> {
        let who = self.desk.session.client();
        match self.desk.session.signed().await {
            Some(signed) if is_terminal => {
                let account = signed.account.map(|account| format!(", account {account}"));
                let account = account.unwrap_or_default();
                self.talk(&format!("signed in as {who} at {}{account}; type help", signed.bank));
            }
            Some(_) => {}
            None => self.talk(&format!(
                "the gateway cannot be reached; {who} can still transfer: payments wait in the \
                 queue and are sent when it is back"
            )),
        }
        self.since_last_time().await
    }

    async fn since_last_time(&self) -> Result<(), Failure> {
        let entries = self.entries().await?;
        let told: Vec<_> = entries.iter().filter_map(words::since_last_time).collect();
        if !told.is_empty() {
            self.talk(&format!("since last time:\n{}", told.join("\n")));
            let ids = entries.iter().filter(|entry| entry.outcome.is_some());
            let ids = ids.map(|entry| entry.draft.id).collect();
            self.desk.told(ids).await.map_err(|error| words::of_outbox(&error))?;
        }
        let waiting = waiting(&entries);
        if waiting > 0 {
            self.talk(&format!("{waiting} payments wait; they are being sent again"));
            self.wake.notify_one();
        }
        Ok(())
    }

    async fn part(&self) -> Result<(), Failure> {
        let waiting = waiting(&self.entries().await?);
        if waiting > 0 {
            self.talk(&format!(
                "{waiting} payments still wait; send them with: strife queue flush, or by coming \
                 back"
            ));
        }
        Ok(())
    }

    async fn obey(&self, command: Command) -> Result<Exit, Failure> {
        let done = match command {
            Command::Nothing | Command::Exit => Ok(()),
            Command::Help => print(command::HELP),
            Command::View => self.view().await,
            Command::Transfer { amount, recipient, id } => {
                return self.transfer(&amount, &recipient, id.as_deref()).await;
            }
            Command::History { count } => self.history(count).await,
            Command::Status { id } => status(self.desk, &id).await?.told.and_then(|t| print(&t)),
            Command::Queue => {
                let rows: Vec<_> = self.entries().await?.iter().map(EntryJson::from).collect();
                if rows.is_empty() {
                    return print("nothing waits").map(|()| Exit::Done);
                }
                print(&show::table(&show::QUEUE, rows.iter().map(show::queue_row)))
            }
            Command::Flush => self.flush().await,
            Command::Drop { id } => {
                let id = transaction_id(&id)?;
                self.desk.drop_entry(id).await.map_err(|error| words::of_outbox(&error))?;
                print(&format!("dropped: tx {id}"))
            }
        };
        done.map(|()| Exit::Done)
    }

    async fn view(&self) -> Result<(), Failure> {
        let balance = self.desk.session.balance().await;
        let balance = balance.map_err(|error| words::of_session(&error))?;
        print(&show::balance(&BalanceJson::from(balance)))
    }

    async fn history(&self, count: i32) -> Result<(), Failure> {
        let page = self.desk.session.payments(count, String::new()).await;
        let page = page.map_err(|error| words::of_session(&error))?;
        let rows: Vec<_> = page.payments.into_iter().map(RecordJson::from).collect();
        if rows.is_empty() {
            return print("no payments yet");
        }
        print(&show::table(&show::HISTORY, rows.iter().map(show::history_row)))
    }

    async fn transfer(&self, amount: &str, payee: &str, id: Option<&str>) -> Result<Exit, Failure> {
        let own = self.desk.session.signed().await.and_then(|signed| signed.account);
        let draft = Ask { amount, recipient: payee, id, memo: "" }.parse(own)?;
        let verdict = self.desk.pay(draft.clone()).await;
        let verdict = verdict.map_err(|error| words::of_outbox(&error))?;
        let words = words::of_verdict(&draft, &verdict);
        match &words.told {
            Ok(line) => print(line)?,
            Err(failure) => self.talk(&failure.to_string()),
        }
        // Only what was said may be forgotten.
        if let Verdict::Final(_) = verdict {
            self.desk.told(vec![draft.id]).await.map_err(|error| words::of_outbox(&error))?;
        }
        Ok(words.exit())
    }

    async fn flush(&self) -> Result<(), Failure> {
        let mut count = 0;
        let ended = retry::flush(self.desk, |sent| {
            count += 1;
            match &sent.words.told {
                Ok(line) => drop(print(line)),
                Err(failure) => self.talk(&failure.to_string()),
            }
        });
        let ended = ended.await.map_err(|error| words::of_outbox(&error))?;
        self.desk.told(ended).await.map_err(|error| words::of_outbox(&error))?;
        if count == 0 { print("nothing waits") } else { Ok(()) }
    }

    async fn entries(&self) -> Result<Vec<Entry>, Failure> {
        self.desk.entries().await.map_err(|error| words::of_outbox(&error))
    }

    fn talk(&self, text: &str) {
        (self.say)(text.to_owned());
    }
}

/// What became of one payment: the gateway's word, or what the outbox knows.
pub async fn status(desk: &Desk, id: &str) -> Result<Words, Failure> {
    let id = transaction_id(id)?;
    let of_outbox = |error: OutboxError| words::of_outbox(&error);
    let entry = desk.find(id).await.map_err(of_outbox)?;
    match desk.session.payment(id.as_str()).await {
        Ok(response) => {
            let mut words = words::of_state(id.as_str(), &response);
            let amount = match entry {
                Some(Entry { draft, .. }) => {
                    Some((draft.amount.minor(), draft.currency.to_string()))
                }
                None => amount_of(desk, id.as_str()).await,
            };
            if let Some((amount_minor, currency_code)) = amount {
                words.json.amount_minor = Some(amount_minor);
                words.json.currency_code = currency_code;
            }
            Ok(words)
        }
        Err(error) => match entry {
            Some(entry) => Ok(words::of_waiting(&entry, &words::of_session(&error))),
            None => Err(words::of_session(&error)),
        },
    }
}

/// The answer about one payment does not say how much it was; the history does.
async fn amount_of(desk: &Desk, id: &str) -> Option<(i64, String)> {
    const PAGES_MAX: usize = 20;
    let mut token = String::new();
    for _ in 0..PAGES_MAX {
        let page = desk.session.payments(100, token).await.ok()?;
        let mut records = page.payments.into_iter();
        if let Some(record) = records.find(|record| record.transaction_id == id) {
            return Some((record.amount_minor, record.currency_code));
        }
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    None
}

fn waiting(entries: &[Entry]) -> usize {
    entries.iter().filter(|entry| entry.stage() != Stage::Final).count()
}

/// On stdout. A reader that went away ends the session quietly.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    written.map_err(|_| Failure::plain(Exit::Done, String::new()))
}

/// Signs in for a prompt: a gateway that is away is no reason not to open it, a wrong password is.
pub async fn sign_in(desk: &Desk, has_password: bool) -> Result<(), Failure> {
    let done =
        if has_password { desk.session.sign_in().await } else { desk.session.ensure().await };
    match done {
        Ok(_) => Ok(()),
        Err(SessionError::SignIn(error)) if super::pay::is_away(&error) => Ok(()),
        Err(error) => Err(words::of_session(&error)),
    }
}
