//! A gateway that is killed and stays away while people pay at their prompts.
//!
//! Whatever a client was shown as queued or unknown ends, once, is told to that client, and stands
//! in the books. The test is short; the long form is the same test with `STRIFE_OUTAGE=8,5,20`:
//! clients, outages, seconds of each, at the configured cadence.

use crate::support::live::{Stage, good};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use strife::home::Service;

/// client1 and client2 are the scene's own.
const FIRST_CLIENT: usize = 3;
/// Everybody pays this client, who pays nobody.
const PAYEE: (usize, &str) = (12, "10000000000012");
const OPENING_MINOR: u64 = 1_000_000;
const BETWEEN_PAYMENTS: Duration = Duration::from_millis(120);
const BETWEEN_OUTAGES: Duration = Duration::from_millis(1_500);
/// By then nothing waits any more.
const SETTLE_MAX: Duration = Duration::from_mins(3);

struct Form {
    clients: usize,
    outages: u32,
    down: Duration,
    /// The cadence of the background, where it is not the configured one of five seconds.
    retry_ms: Option<u64>,
}

impl Form {
    fn chosen() -> Self {
        let Ok(text) = std::env::var("STRIFE_OUTAGE") else {
            let (down, retry_ms) = (Duration::from_secs(2), Some(300));
            return Self { clients: 3, outages: 2, down, retry_ms };
        };
        let numbers: Vec<u64> =
            text.split(',').map(|number| number.parse().expect("a number")).collect();
        let [clients, outages, seconds] = numbers[..] else { panic!("clients,outages,seconds") };
        let down = Duration::from_secs(seconds);
        Self { clients: clients as usize, outages: outages as u32, down, retry_ms: None }
    }
}

/// A prompt with somebody who types, and everything that it said.
struct Prompt {
    client: usize,
    child: Child,
    typed: Option<ChildStdin>,
    said: PathBuf,
}

/// What a prompt said of a payment, in order: `queued`, `unknown`, `paid`, `declined`, ...
type Told = BTreeMap<String, Vec<String>>;

impl Prompt {
    fn open(stage: &Stage, form: &Form, number: usize) -> Self {
        // The last two prompts are of one client, on one home.
        let client = FIRST_CLIENT - 1 + number.min(form.clients - 1);
        let mut command = stage.client(client, &["client", "--timeout", "3s"]);
        if let Some(retry_ms) = form.retry_ms {
            command.env("STRIFE_CLIENT__RETRY_MS", retry_ms.to_string());
            command.env("STRIFE_CLIENT__RETRY_MAX_MS", (2 * retry_ms).to_string());
        }
        let said = stage.home().root().join(format!("prompt-{number}"));
        let file = File::create(&said).expect("made");
        command.stdin(Stdio::piped()).stderr(file.try_clone().expect("a copy")).stdout(file);
        let mut child = command.spawn().expect("started");
        let typed = child.stdin.take();
        Self { client, child, typed, said }
    }

    fn type_until(&mut self, number: usize, done: &AtomicBool) -> Vec<String> {
        let typed = self.typed.as_mut().expect("open");
        let mut ids = Vec::new();
        while !done.load(Ordering::Relaxed) {
            let id = format!("out-{number}-{}", ids.len());
            writeln!(typed, "transfer 1 {} {id}", PAYEE.1).expect("the prompt is there");
            ids.push(id);
            std::thread::sleep(BETWEEN_PAYMENTS);
        }
        ids
    }

    /// Leaves, and says where everything was said.
    fn leave(mut self) -> (usize, PathBuf) {
        drop(self.typed.take());
        self.child.wait().expect("ended");
        (self.client, self.said)
    }
}

/// What was said by all prompts of a client: what one of them queued, another may have sent. A
/// sentence begins with what it is about the payment, and names it as `tx ID`.
fn told<'a>(said: impl Iterator<Item = &'a Path>) -> Told {
    let mut told = Told::new();
    for said in said {
        let text = std::fs::read_to_string(said).expect("readable");
        let mut kind = String::new();
        for line in text.lines() {
            let first = line.split_whitespace().next().unwrap_or_default();
            if line.starts_with("paid already:") {
                "paid".clone_into(&mut kind);
            } else if !line.starts_with(' ') && first.ends_with(':') {
                first.trim_end_matches(':').clone_into(&mut kind);
            }
            let mut words = line.split_whitespace();
            while let Some(word) = words.next() {
                if word == "tx"
                    && let Some(id) = words.next()
                {
                    let all = told.entry(id.to_owned()).or_default();
                    if !all.contains(&kind) {
                        all.push(kind.clone());
                    }
                }
            }
        }
    }
    told
}

/// What is true at last of a payment of which all this was said: an end, if there was one.
fn last(kinds: &[String]) -> &str {
    let mut ends = kinds.iter().filter(|kind| ["paid", "declined"].contains(&kind.as_str()));
    let end = ends.next();
    assert!(ends.next().is_none(), "two ends: {kinds:?}");
    end.or(kinds.last()).expect("something was said")
}

fn waits(stage: &Stage, client: usize) -> usize {
    let (code, queue, talk) = stage.json(client, &["queue", "ls"]);
    assert_eq!(code, 0, "{talk}");
    queue["queue"].as_array().expect("a list").len()
}

/// Every payment of a client with its state, by the gateway's list.
fn history(stage: &Stage, client: usize) -> BTreeMap<String, String> {
    let (code, all, talk) = stage.json(client, &["history", "--all"]);
    assert_eq!(code, 0, "{talk}");
    let mut states = BTreeMap::new();
    for payment in all["payments"].as_array().expect("a list") {
        let text = |name: &str| payment[name].as_str().expect("text").to_owned();
        let before = states.insert(text("transaction_id"), text("state"));
        assert!(before.is_none(), "twice: {payment}");
    }
    states
}

/// People type while the gateway is killed, stays away and comes back; gives the ids of each.
fn type_through_outages(
    stage: &mut Stage,
    prompts: &mut [Prompt],
    form: &Form,
) -> Vec<Vec<String>> {
    let done = AtomicBool::new(false);
    let cluster = &mut stage.scene.cluster;
    std::thread::scope(|scope| {
        let done = &done;
        let mut typing = Vec::new();
        for (number, prompt) in (1..).zip(prompts) {
            typing.push(scope.spawn(move || prompt.type_until(number, done)));
        }
        for _ in 0..form.outages {
            std::thread::sleep(BETWEEN_OUTAGES);
            good(cluster.kill(Service::Gateway));
            std::thread::sleep(form.down);
            good(cluster.start(Service::Gateway, None));
        }
        std::thread::sleep(BETWEEN_OUTAGES);
        done.store(true, Ordering::Relaxed);
        typing.into_iter().map(|one| one.join().expect("typed")).collect()
    })
}

/// Nobody does anything any more but the background of each prompt.
fn wait_until_told(stage: &Stage, prompts: &[Prompt], ids: &[Vec<String>]) {
    let until = Instant::now() + SETTLE_MAX;
    for client in prompts.iter().map(|prompt| prompt.client) {
        let typed = || prompts.iter().zip(ids).filter(|(prompt, _)| prompt.client == client);
        loop {
            let told = told(typed().map(|(prompt, _)| prompt.said.as_path()));
            let unheard = typed().flat_map(|(_, ids)| ids).filter(|id| {
                let last = told.get(*id).map(|kinds| last(kinds));
                last.is_none_or(|kind| ["queued", "unknown"].contains(&kind))
            });
            let unheard: Vec<_> = unheard.collect();
            if unheard.is_empty() && waits(stage, client) == 0 {
                break;
            }
            assert!(Instant::now() < until, "client{client} was not told of {unheard:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// What was told last is what stands in the books; gives how often what was told.
fn compare(
    typed: &[(usize, PathBuf)],
    ids: &[Vec<String>],
    books: &BTreeMap<usize, BTreeMap<String, String>>,
) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::<String, usize>::new();
    for ((client, _), ids) in typed.iter().zip(ids) {
        let said = typed.iter().filter(|(other, _)| other == client);
        let told = told(said.map(|(_, said)| said.as_path()));
        for id in ids {
            let kinds = told.get(id).unwrap_or_else(|| panic!("{id} was typed, and never told"));
            *counts.entry(kinds.join(" > ")).or_default() += 1;
            let state = books[client].get(id).map(String::as_str);
            let right = match last(kinds) {
                "paid" => state == Some("COMMITTED"),
                "declined" => state == Some("ABORTED"),
                // A bank was not there: nothing was begun, and nothing was kept.
                "unreachable" => state.is_none(),
                other => panic!("{id} of client{client} was told as {other} at last: {kinds:?}"),
            };
            assert!(right, "{id} of client{client} was told {kinds:?} and is {state:?}");
        }
    }
    counts
}

#[test]
fn whatever_was_shown_as_queued_or_unknown_ends_once_and_is_told() {
    let form = Form::chosen();
    let mut stage = Stage::begin();
    good(stage.scene.pay_for_sure());
    let mut prompts: Vec<_> =
        (1..=form.clients).map(|number| Prompt::open(&stage, &form, number)).collect();
    let ids = type_through_outages(&mut stage, &mut prompts, &form);
    wait_until_told(&stage, &prompts, &ids);
    let typed: Vec<(usize, PathBuf)> = prompts.into_iter().map(Prompt::leave).collect();
    good(stage.scene.wait_quiet());
    let clients: BTreeSet<usize> = typed.iter().map(|(client, _)| *client).collect();
    let books = clients.into_iter().map(|client| (client, history(&stage, client))).collect();
    let counts = compare(&typed, &ids, &books);

    let states = books.values().flat_map(BTreeMap::values);
    let paid = states.filter(|state| *state == "COMMITTED").count();
    let (_, view, _) = stage.json(PAYEE.0, &["view"]);
    let expected = OPENING_MINOR + 100 * paid as u64;
    assert_eq!(view["balance_minor"], Value::from(expected), "the payee has each of them once");
    let hurt: usize = counts.iter().filter(|(kinds, _)| kinds.contains('>')).map(|(_, n)| n).sum();
    assert!(hurt > 0, "nobody was told of an outage: {counts:?}");
    let Form { clients, outages, down, .. } = form;
    let typed: usize = ids.iter().map(Vec::len).sum();
    println!("{clients} clients, {outages} outages of {down:?}: {typed} payments, {paid} paid");
    for (kinds, count) in &counts {
        println!("  {count:5}  {kinds}");
    }
    good(stage.scene.conclude());
}
