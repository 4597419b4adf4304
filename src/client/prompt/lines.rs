//! Where lines come from: a terminal with editing and history, or a pipe.
//!
//! Reading blocks, so it has a thread of its own; it reads a line only when asked to, so that
//! nothing is typed into a command that is still running. What is said meanwhile goes above the
//! line that is being typed.
//!
//! Refuses to know what a line means.

use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, ExternalPrinter};
use std::io::{BufRead, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// One answer to a request for a line.
#[derive(Debug)]
pub(super) enum Input {
    Line(String),
    /// ^C.
    Interrupted,
    /// ^D, or the end of the pipe.
    End,
}

/// Says something without garbling the line that is being typed.
pub(super) type Say = Arc<dyn Fn(String) + Send + Sync>;

pub(super) struct Lines {
    asked: Sender<()>,
    read: Receiver<Input>,
    pub(super) is_terminal: bool,
}

impl Lines {
    /// From stdin, with what says things beside it.
    pub(super) fn open(prompt: String) -> (Self, Say) {
        let (asked, asks) = channel(1);
        let (answer, read) = channel(1);
        let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let editor = if is_terminal { DefaultEditor::new().ok() } else { None };
        let say = if let Some(mut editor) = editor {
            let say = beside(&mut editor);
            std::thread::spawn(move || serve(asks, &answer, || edited(&mut editor, &prompt)));
            say
        } else {
            std::thread::spawn(move || serve(asks, &answer, piped));
            Arc::new(say_plainly)
        };
        (Self { asked, read, is_terminal }, say)
    }

    pub(super) async fn next(&mut self) -> Input {
        if self.asked.send(()).await.is_err() {
            return Input::End;
        }
        self.read.recv().await.unwrap_or(Input::End)
    }
}

fn serve(mut asks: Receiver<()>, answer: &Sender<Input>, mut read: impl FnMut() -> Input) {
    while asks.blocking_recv().is_some() {
        if answer.blocking_send(read()).is_err() {
            return;
        }
    }
}

fn edited(editor: &mut DefaultEditor, prompt: &str) -> Input {
    match editor.readline(prompt) {
        Ok(line) => {
            let _ = editor.add_history_entry(line.as_str());
            Input::Line(line)
        }
        Err(ReadlineError::Interrupted) => Input::Interrupted,
        // The terminal is gone, or was closed.
        Err(_) => Input::End,
    }
}

fn piped() -> Input {
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => Input::End,
        Ok(_) => Input::Line(line),
    }
}

fn beside(editor: &mut DefaultEditor) -> Say {
    match editor.create_external_printer() {
        Ok(printer) => {
            let printer = Mutex::new(printer);
            Arc::new(move |text| {
                let mut printer = printer.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = printer.print(text + "\n");
            })
        }
        Err(_) => Arc::new(say_plainly),
    }
}

fn say_plainly(text: String) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
