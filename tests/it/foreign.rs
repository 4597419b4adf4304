//! A bank that Strife did not write, as a real process: Python, grpcio, and the report's five
//! calls. It joins by configuration alone.

use crate::support::edge::has_grpcio;
use crate::support::live::{Stage, ended, good, strife};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use strife::home::{Home, Service};
use strife::live::{Heard, Payer, account, expected_minor};

const NAME: &str = "PyBank";
/// Two clients of that bank, each with what a client of the demo opens with.
const CLIENTS: [u32; 2] = [777, 779];
/// One whose account the gateway lists, and the bank has never heard of.
const UNHEARD_OF: u32 = 778;
const OPENING_MINOR: i64 = 1_000_000;
/// By then a bank that was started is reached, and one that is to die has died.
const SOON: Duration = Duration::from_mins(1);

struct PyBank {
    home: Home,
    address: String,
    book: PathBuf,
    child: Option<Child>,
}

impl Drop for PyBank {
    fn drop(&mut self) {
        self.kill();
    }
}

impl PyBank {
    /// One table in strife.toml, and its clients. Nothing may run.
    fn join(home: &Home) -> Self {
        // Below the ports of outgoing connections, as the cluster takes its own.
        let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
        let port = std::iter::repeat_with(|| rand::random_range(10_000..32_000)).find(free);
        let address = format!("127.0.0.1:{}", port.expect("a free port"));
        let config = std::fs::read_to_string(home.config_file()).expect("readable");
        let table = format!("\n[banks.{NAME}]\naddress = \"{address}\"\nforeign = true\n");
        std::fs::write(home.config_file(), config + &table).expect("written");
        for number in CLIENTS {
            add_user(home, number, "10000");
        }
        add_user(home, UNHEARD_OF, "0");
        let book = home.root().join("pybank.db");
        Self { home: home.clone(), address, book, child: None }
    }

    /// Starts the process on the book that it left, and waits until it listens.
    fn start(&mut self, die_at: Option<&str>) {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/");
        let mut python = Command::new("python3");
        python
            .args(["-B", &format!("{root}tests/foreign/bank.py"), "--name", NAME])
            .args(["--address", &self.address, "--proto", &format!("{root}proto")])
            .arg("--certs")
            .arg(self.home.certs())
            .arg("--data")
            .arg(&self.book);
        for number in CLIENTS {
            python.args(["--account", &format!("{}={OPENING_MINOR}", account(number))]);
        }
        if let Some(place) = die_at {
            python.args(["--die-at", place]);
        }
        // Its stubs go where everything of this test goes.
        python.env("TMPDIR", self.home.root()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().expect("python3");
        let mut ready = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut ready).expect("a line");
        assert_eq!(ready, "ready\n", "it listens on {}", self.address);
        self.child = Some(child);
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().expect("started").try_wait().expect("a child of ours")
    }
}

fn add_user(home: &Home, number: u32, opening: &str) {
    let mut command = strife(home, &["users", "add", "--role", "client", "--bank", NAME]);
    command
        .args(["--client-id", &format!("client{number}"), "--username", &format!("user{number}")])
        .args(["--account-number", &account(number).to_string(), "--opening", opening])
        .arg("--password-stdin");
    let mut adding = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ran");
    let mut stdin = adding.stdin.take().expect("a pipe");
    writeln!(stdin, "pass{number}").expect("written");
    drop(stdin);
    let (code, _, talk) = ended(adding.wait_with_output().expect("ended"));
    assert_eq!(code, 0, "{talk}");
}

/// A cluster that has a seventh bank, all of it running.
fn begun() -> (Stage, PyBank) {
    let mut stage = Stage::set();
    let mut bank = PyBank::join(stage.home());
    bank.start(None);
    good(stage.scene.begin());
    for number in CLIENTS {
        let payer = good(Payer::at(stage.home(), number, NAME));
        stage.scene.payers.push(payer);
    }
    good(stage.scene.pay_for_sure());
    pay_for_sure(&mut stage.scene.payers[0], "hello");
    (stage, bank)
}

/// Pays a client of the bank, under one id after the other, until it is there to take part.
fn pay_for_sure(payer: &mut Payer, id: &str) {
    let until = Instant::now() + SOON;
    for attempt in 0.. {
        let heard = payer.pay(&format!("{id}-{attempt}"), CLIENTS[0], 1_00);
        if heard.is_committed() {
            return;
        }
        assert!(Instant::now() < until, "it was not reached: {heard:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What the audit of the files says of the bank whose files it cannot read.
fn audited(stage: &Stage) -> Value {
    let output = strife(stage.home(), &["audit", "-o", "json"]).output().expect("ran");
    let (code, data, talk) = ended(output);
    assert_eq!(code, 0, "{data} {talk}");
    serde_json::from_str(&data).expect("JSON")
}

/// Everything settles, by the answers and by the logs; and the audit says of the bank's accounts
/// what the bank itself says, which [`strife::live::Scene::conclude`] has asked it.
fn conclude(stage: &mut Stage) {
    good(stage.scene.conclude());
    let found = audited(stage);
    let expected = expected_minor(&stage.scene.payers.iter().collect::<Vec<_>>());
    let bank = &found["not_compared"][0];
    assert_eq!((&bank["bank"], &bank["unacknowledged"]), (&NAME.into(), &0.into()), "{found}");
    for number in CLIENTS {
        let all = bank["accounts"].as_array().expect("a list");
        let ours = all.iter().find(|a| a["account_number"] == account(number).to_string());
        assert_eq!(ours.expect("listed")["expected_minor"], expected[&number], "client{number}");
    }
}

#[test]
fn a_bank_in_another_language_joins_by_configuration_alone_pays_is_paid_and_declines() {
    if !has_grpcio() {
        return;
    }
    let (mut stage, _bank) = begun();
    let scene = &mut stage.scene;
    assert!(scene.payers[0].pay("to-it", CLIENTS[0], 25_000).is_committed());
    assert!(scene.payers[2].pay("from-it", 2, 10_000).is_committed());
    assert!(scene.payers[2].pay("within-it", CLIENTS[1], 50_00).is_committed());
    let declined = scene.payers[3].pay("too-much", 2, OPENING_MINOR * 2);
    let reason = "INSUFFICIENT_FUNDS".to_owned();
    assert!(matches!(&declined, Heard::Aborted { reason: r, .. } if *r == reason), "{declined:?}");
    let unheard_of = account(UNHEARD_OF).to_string();
    let (code, paid, talk) = stage.json(3, &["transfer", "5", &unheard_of]);
    assert_eq!((code, &paid["reason"]), (3, &"ACCOUNT_NOT_FOUND".into()), "{talk}");
    conclude(&mut stage);
    let (_, text, _) = ended(strife(stage.home(), &["audit"]).output().expect("ran"));
    assert!(text.contains("PyBank  not compared: its books are its own"), "{text}");

    // Its payments cannot be told from the books of the others: that is said, and nothing changed.
    let (home, lost) = (stage.home().clone(), stage.home().root().join("lost"));
    std::fs::rename(home.data(Service::Gateway), &lost).expect("moved away");
    let rebuild = strife(&home, &["rebuild", "gateway", "--from-banks"]).output().expect("ran");
    let (code, _, talk) = ended(rebuild);
    assert!(code == 6 && talk.contains("PyBank") && talk.contains("of another make"), "{talk}");
    std::fs::rename(&lost, home.data(Service::Gateway)).expect("found");
    good(stage.scene.begin());
    good(stage.scene.pay_for_sure());
    assert!(stage.scene.ask("to-it").is_committed());
}

#[test]
fn a_foreign_bank_killed_between_prepare_and_commit_comes_back_and_posts_once() {
    if !has_grpcio() {
        return;
    }
    let (mut stage, mut bank) = begun();
    for place in ["prepared", "committing", "committed"] {
        bank.kill();
        bank.start(Some(&format!("{place}:2")));
        let until = Instant::now() + SOON;
        for attempt in 0.. {
            stage.scene.payers[0].pay(&format!("{place}-{attempt}"), CLIENTS[0], 7_00);
            if let Some(status) = bank.ended() {
                assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "{place}: {status}");
                break;
            }
            assert!(Instant::now() < until, "{place} was never reached");
        }
        bank.start(None);
        good(stage.scene.payers[0].settle(SOON));
    }
    conclude(&mut stage);
}

#[test]
fn a_foreign_bank_and_the_gateway_killed_under_load_lose_and_double_nothing() {
    const PAYMENTS: u32 = 30;
    if !has_grpcio() {
        return;
    }
    let (mut stage, mut bank) = begun();
    let strife::live::Scene { cluster, payers, .. } = &mut stage.scene;
    std::thread::scope(|scope| {
        for (payer, payee) in payers.iter_mut().zip([CLIENTS[0], CLIENTS[1], 2, 1]) {
            scope.spawn(move || {
                for number in 0..PAYMENTS {
                    payer.pay(&format!("load-{number}"), payee, 1_00);
                    std::thread::sleep(Duration::from_millis(40));
                }
            });
        }
        for round in 0..3 {
            std::thread::sleep(Duration::from_millis(400));
            bank.kill();
            if round == 1 {
                good(cluster.kill(Service::Gateway));
                good(cluster.start(Service::Gateway, None));
            }
            bank.start(None);
        }
    });
    let heard = stage.scene.payers.iter().flat_map(|payer| payer.asked().values());
    let hurt = heard.filter(|asked| !asked.heard.iter().all(Heard::is_committed)).count();
    assert!(hurt > 0, "nobody noticed that anything was killed");
    conclude(&mut stage);
}
