//! The built program, as a person or a script runs it.

use assert_cmd::Command;
use std::fs;
use tempfile::TempDir;

/// `strife` in an empty directory, with nothing of ours in the environment.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn strife(&self, arguments: &[&str]) -> Command {
        let mut command = Command::cargo_bin("strife").expect("built");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("STRIFE_")) {
            command.env_remove(name);
        }
        command.env_remove("NO_COLOR").current_dir(self.0.path()).args(arguments);
        command
    }

    /// Runs to an exit code, stdout and stderr.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        ended(self.strife(arguments))
    }

    /// A home with a users file, as `init` leaves it.
    fn with_users(self) -> Self {
        let (code, _, talk) = self.run(&["certs", "init"]);
        assert_eq!(code, 0, "{talk}");
        fs::write(self.0.path().join(".strife/users.json"), strife::users::EMBEDDED)
            .expect("written");
        self
    }
}

fn ended(mut command: Command) -> (i32, String, String) {
    let output = command.output().expect("ran");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("a code"), text(output.stdout), text(output.stderr))
}

#[test]
fn an_unknown_key_is_an_error_with_a_suggestion_and_8() {
    let desk = Desk::new();
    fs::write(desk.0.path().join("mine.toml"), "[gateway]\nadress = \"a:1\"\n").expect("written");
    let (code, data, talk) = desk.run(&["-c", "mine.toml", "config", "show"]);
    assert_eq!((code, data.as_str()), (8, ""));
    assert!(talk.contains("mine.toml: unknown key \"gateway.adress\""), "{talk}");
    assert!(talk.contains("Did you mean \"address\"?"), "{talk}");
    assert!(talk.contains("reason: CONFIG_INVALID"), "{talk}");
}

#[test]
fn what_config_show_prints_is_a_configuration() {
    let desk = Desk::new();
    let (code, shown, _) = desk.run(&["config", "show"]);
    assert_eq!(code, 0);
    fs::write(desk.0.path().join("shown.toml"), shown).expect("written");
    let (code, _, talk) = desk.run(&["config", "check", "shown.toml"]);
    assert_eq!((code, talk.as_str()), (0, "shown.toml can be used: 6 banks.\n"));
}

#[test]
fn errors_are_coloured_when_asked_for_and_never_with_no_color_on_a_pipe() {
    let desk = Desk::new();
    let plain = desk.run(&["errors", "lookup", "NONSENSE"]).2;
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    let coloured = desk.run(&["--color", "always", "errors", "lookup", "NONSENSE"]).2;
    assert!(coloured.contains('\u{1b}'), "{coloured:?}");
    let mut command = desk.strife(&["errors", "lookup", "NONSENSE"]);
    command.env("NO_COLOR", "1");
    assert!(!ended(command).2.contains('\u{1b}'));
}

#[test]
fn global_flags_go_before_or_after_the_subcommand_or_into_the_environment() {
    let desk = Desk::new();
    let before = desk.run(&["-o", "json", "errors", "lookup", "FENCED"]);
    let after = desk.run(&["errors", "lookup", "FENCED", "-o", "json"]);
    let mut command = desk.strife(&["errors", "lookup", "FENCED"]);
    command.env("STRIFE_OUTPUT", "json");
    assert_eq!(before, after);
    assert_eq!(before, ended(command));
    let told: serde_json::Value = serde_json::from_str(&before.1).expect("JSON");
    assert_eq!(told["exit"], 6);
}

#[test]
fn usage_errors_end_with_2_and_help_with_0() {
    let desk = Desk::new();
    assert_eq!(desk.run(&["nonsense"]).0, 2);
    assert_eq!(desk.run(&["config"]).0, 2);
    let (code, help, talk) = desk.run(&["--help"]);
    assert_eq!((code, talk.as_str()), (0, ""));
    assert!(help.contains("Start here: strife up"), "{help}");
}

#[test]
fn certificates_are_made_once() {
    let desk = Desk::new();
    assert_eq!(desk.run(&["certs", "init"]).0, 0);
    let (code, listed, _) = desk.run(&["certs", "ls", "-o", "json"]);
    assert_eq!(code, 0);
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed["certificates"].as_array().map(Vec::len), Some(12));
    let (code, _, talk) = desk.run(&["certs", "init"]);
    assert_eq!(code, 8, "{talk}");
    fs::remove_file(desk.0.path().join(".strife/certs/banks/Axis.key")).expect("removed");
    let (code, listed, talk) = desk.run(&["certs", "ls"]);
    assert_eq!(code, 8);
    assert!(listed.contains("Axis.key is missing"), "{listed}");
    assert!(talk.contains("CERTIFICATE_MISSING"), "{talk}");
}

#[test]
fn a_directory_of_someone_else_is_not_made_a_home() {
    let desk = Desk::new();
    fs::create_dir(desk.0.path().join("theirs")).expect("made");
    fs::write(desk.0.path().join("theirs/thesis.txt"), "mine").expect("written");
    let (code, _, talk) = desk.run(&["--home", "theirs", "certs", "init"]);
    assert_eq!(code, 8);
    assert!(talk.contains("HOME_FOREIGN"), "{talk}");
    assert_eq!(fs::read_dir(desk.0.path().join("theirs")).expect("there").count(), 1);
}

#[test]
fn an_admin_can_be_added_and_a_password_changed_without_being_shown() {
    let desk = Desk::new().with_users();
    let add = ["users", "add", "--client_id", "boss", "--role", "admin", "--password-stdin"];
    let mut command = desk.strife(&add);
    command.write_stdin("correct horse\n");
    assert_eq!(ended(command).0, 0);
    let mut command = desk.strife(&["users", "passwd", "client1", "--password-stdin"]);
    command.write_stdin("new secret\n");
    let (code, data, talk) = ended(command);
    assert_eq!(code, 0, "{talk}");
    assert!(!data.contains("new secret") && !talk.contains("new secret"));
    let file = fs::read_to_string(desk.0.path().join(".strife/users.json")).expect("there");
    assert!(!file.contains("correct horse") && !file.contains("new secret"));
    let (code, listed, _) = desk.run(&["users", "ls", "-o", "jsonl"]);
    assert_eq!((code, listed.lines().count()), (0, 15));
    assert!(!listed.contains("argon2"), "{listed}");
}

#[test]
fn a_password_is_asked_of_nobody_when_there_is_nobody() {
    let desk = Desk::new().with_users();
    let (code, _, talk) = desk.run(&["--no-input", "users", "passwd", "client1"]);
    assert_eq!(code, 2);
    assert!(talk.contains("--password-stdin"), "{talk}");
}

#[test]
fn status_of_a_home_where_nothing_runs_ends_with_4_and_says_how_to_start() {
    let desk = Desk::new().with_users();
    let (code, listed, talk) = desk.run(&["status", "-o", "json"]);
    assert_eq!(code, 4);
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed["services"].as_array().map(Vec::len), Some(7));
    assert_eq!(listed["services"][0]["state"], "down");
    assert!(talk.contains("strife up"), "{talk}");
}

#[test]
fn completions_and_the_manual_know_every_subcommand() {
    let desk = Desk::new();
    for arguments in [&["completions", "bash"][..], &["man"]] {
        let (code, text, _) = desk.run(arguments);
        assert_eq!(code, 0);
        for name in ["certs", "users", "config", "errors"] {
            assert!(text.contains(name), "{arguments:?} lacks {name}");
        }
    }
}
