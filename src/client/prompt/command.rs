//! A line that a person typed, as a command.

/// What can be typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Nothing,
    View,
    Transfer { amount: String, recipient: String, id: Option<String> },
    History { count: i32 },
    Status { id: String },
    Queue,
    Flush,
    Drop { id: String },
    Help,
    Exit,
}

/// How many payments `history` shows.
pub(super) const HISTORY_COUNT: i32 = 20;

pub(super) const HELP: &str = "\
view                                            your balance
transfer <amount> <recipient> [transaction_id]  pay; the same id is the same payment, never two
history [count]                                 your payments, newest first
status <id>                                     what became of one payment
queue                                           what waits to be sent, or for its outcome
queue flush | queue drop <id>                   send it now; forget what was never sent
exit                                            leave; what waits is kept";

const NAMES: [&str; 8] = ["view", "transfer", "history", "status", "queue", "help", "exit", "quit"];

pub(super) fn parse(line: &str) -> Result<Command, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let usage = |text: &str| Err(format!("write it as: {text}"));
    let Some((name, rest)) = words.split_first() else { return Ok(Command::Nothing) };
    match (name.to_lowercase().as_str(), rest) {
        ("view" | "balance", []) => Ok(Command::View),
        ("transfer" | "pay", [amount, recipient, rest @ ..]) if rest.len() < 2 => {
            let id = rest.first().map(|id| (*id).to_owned());
            let (amount, recipient) = ((*amount).to_owned(), (*recipient).to_owned());
            Ok(Command::Transfer { amount, recipient, id })
        }
        ("transfer" | "pay", _) => usage("transfer <amount> <recipient> [transaction_id]"),
        ("history", []) => Ok(Command::History { count: HISTORY_COUNT }),
        ("history", [count]) => match count.parse() {
            Ok(count @ 1..=100) => Ok(Command::History { count }),
            Ok(_) | Err(_) => usage("history [1 to 100]"),
        },
        ("status", [id]) => Ok(Command::Status { id: (*id).to_owned() }),
        ("status", _) => usage("status <transaction_id>"),
        ("queue", [] | ["ls"]) => Ok(Command::Queue),
        ("queue", ["flush"]) => Ok(Command::Flush),
        ("queue", ["drop", id]) => Ok(Command::Drop { id: (*id).to_owned() }),
        ("queue", _) => usage("queue, queue flush, or queue drop <id>"),
        ("help" | "?", _) => Ok(Command::Help),
        ("exit" | "quit", []) => Ok(Command::Exit),
        ("view" | "balance" | "exit" | "quit", _) => usage(name),
        ("history", _) => usage("history [count]"),
        (other, _) => Err(unknown(other)),
    }
}

/// The one command that begins as the person began, if there is one.
fn unknown(typed: &str) -> String {
    let start: String = typed.chars().take(2).collect();
    let near: Vec<&str> = NAMES.iter().copied().filter(|name| name.starts_with(&start)).collect();
    match near[..] {
        [name] => format!("there is no command {typed:?}; did you mean {name}?"),
        _ => format!("there is no command {typed:?}; type help"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_command_is_answered_with_how_to_write_it() {
        assert_eq!(parse("  "), Ok(Command::Nothing));
        assert_eq!(parse("VIEW"), Ok(Command::View));
        let id = Some("tx-1".to_owned());
        let (amount, recipient) = ("250".to_owned(), "10000000000002".to_owned());
        assert_eq!(
            parse("transfer 250 10000000000002 tx-1"),
            Ok(Command::Transfer { amount, recipient, id })
        );
        assert!(parse("transfer 250").is_err());
        assert!(parse("transfer 250 10000000000002 an id").is_err());
        assert!(parse("history 0").is_err());
        assert!(parse("trasnfer 5 x").is_err_and(|text| text.contains("did you mean transfer")));
        assert!(parse("rm -rf").is_err_and(|text| text.contains("type help")));
    }
}
