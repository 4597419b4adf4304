//! What a person is told once all stand: who to be, and what to type.

use super::Plan;
use crate::home::{Home, Service};
use crate::users::{self, EMBEDDED, User, UserRole};
use serde::Serialize;
use std::fmt::Write;

/// Everything that is worth knowing of a cluster that stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Ready {
    pub ready: bool,
    pub home: String,
    pub gateway: String,
    pub console: Option<String>,
    pub banks: usize,
    /// Services that stay down.
    pub down: Vec<String>,
    #[serde(skip)]
    sign_in: Option<SignIn>,
}

/// Someone to be, and someone to pay.
#[derive(Clone, PartialEq, Eq, Debug)]
struct SignIn {
    payer: User,
    /// Known only of the demo's users.
    password: Option<String>,
    payee: Option<User>,
}

impl Ready {
    pub(super) fn new(plan: &Plan, down: &[Service]) -> Self {
        let address = &plan.config.console.address;
        let console = plan.has_console().then(|| format!("http://{address}"));
        Self {
            ready: down.is_empty(),
            home: plan.home.root().display().to_string(),
            gateway: plan.config.gateway.address.to_string(),
            console,
            banks: plan.config.banks.len(),
            down: down.iter().map(ToString::to_string).collect(),
            sign_in: sign_in(&plan.home),
        }
    }

    /// As a newcomer reads it. `program` is how this one was called.
    pub fn text(&self, program: &str) -> String {
        let mut text = match self.down.as_slice() {
            [] => format!("Strife is ready: a gateway and {} banks.\n", self.banks),
            down => format!("Strife is up, but {} stays down.\n", down.join(", ")),
        };
        if let Some(sign_in) = &self.sign_in {
            sign_in.tell(&mut text, program, &self.home);
        }
        let _ = writeln!(text);
        if let Some(console) = &self.console {
            let _ = writeln!(text, "  console   {console}");
        }
        let _ = writeln!(text, "  gateway   {}", self.gateway);
        let _ = writeln!(text, "  logs      {}/logs", self.home);
        let _ = writeln!(text, "  stop      ^C");
        text
    }
}

impl SignIn {
    fn tell(&self, text: &mut String, program: &str, home: &str) {
        let payer = &self.payer;
        let bank = payer.bank().map(|bank| bank.to_string()).unwrap_or_default();
        let _ = writeln!(text, "\nIn another terminal, be {} at {bank}:\n", payer.client_id);
        let set = |text: &mut String, name: &str, value: &str| {
            let _ = writeln!(text, "  export {name}={}", quoted(value));
        };
        if home != ".strife" {
            set(text, "STRIFE_HOME", home);
        }
        set(text, "STRIFE_CLIENT_ID", payer.client_id.as_str());
        set(text, "STRIFE_USERNAME", &payer.username);
        if let Some(password) = &self.password {
            set(text, "STRIFE_PASSWORD", password);
        }
        set(text, "STRIFE_BANK", &bank);
        let program = quoted(program);
        let _ = writeln!(text, "\n  {program} view");
        if let Some(payee) = &self.payee
            && let Some(opening) = payee.opening
        {
            let note = format!("# to {} at {}", payee.client_id, opening.bank);
            let _ = writeln!(text, "  {program} transfer 250 {}   {note}", opening.account);
        }
        let _ = writeln!(text, "  {program} history");
    }
}

/// The first client of the home pays the second.
fn sign_in(home: &Home) -> Option<SignIn> {
    let users = users::load(&home.users_file()).ok()?;
    let mut clients = users.clients.into_iter().filter(|user| user.role == UserRole::Client);
    let payer = clients.next()?;
    // The demo's passwords are public, so long as nobody has changed them.
    let demo = users::parse(EMBEDDED, "users.json").ok()?;
    let unchanged = demo.find(payer.client_id) == Some(&payer);
    let number = payer.client_id.as_str().strip_prefix("client").filter(|_| unchanged);
    let password = number.map(|number| format!("pass{number}"));
    Some(SignIn { payer, password, payee: clients.next() })
}

/// As a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:@%+=,".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::path::PathBuf;

    fn plan(home: Home) -> Plan {
        let (program, flags, environment) = (PathBuf::from("x"), Vec::new(), Vec::new());
        Plan { home, config: Config::standard(), program, flags, environment }
    }

    #[test]
    fn a_newcomer_is_told_who_to_be_and_what_to_type() {
        let directory = tempfile::tempdir().expect("a directory");
        let home = Home::new(directory.path().join(".strife"));
        home.create().expect("made");
        std::fs::write(home.users_file(), EMBEDDED).expect("written");
        let mut ready = Ready::new(&plan(home), &[]);
        ".strife".clone_into(&mut ready.home);
        insta::assert_snapshot!(ready.text("strife"), @r"
        Strife is ready: a gateway and 6 banks.

        In another terminal, be client1 at HDFC:

          export STRIFE_CLIENT_ID=client1
          export STRIFE_USERNAME=user1
          export STRIFE_PASSWORD=pass1
          export STRIFE_BANK=HDFC

          strife view
          strife transfer 250 10000000000002   # to client2 at ICICI
          strife history

          console   http://127.0.0.1:51050
          gateway   127.0.0.1:50050
          logs      .strife/logs
          stop      ^C
        ");
    }

    #[test]
    fn a_changed_password_is_not_told_and_a_strange_home_is_quoted() {
        let directory = tempfile::tempdir().expect("a directory");
        let home = Home::new(directory.path().join("my money"));
        home.create().expect("made");
        let mut users = users::parse(EMBEDDED, "users.json").expect("valid");
        users.clients[0].password_hash = users.clients[1].password_hash.clone();
        users::save(&home.users_file(), &users).expect("written");
        let text = Ready::new(&plan(home), &[Service::Gateway]).text("strife");
        assert!(!text.contains("STRIFE_PASSWORD"), "{text}");
        assert!(text.contains("my money'\n"), "{text}");
        assert!(text.starts_with("Strife is up, but gateway stays down."), "{text}");
    }
}
