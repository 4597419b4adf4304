//! The console over plain HTTP, without a browser: signing in, asking, listening.

use crate::support::live::{Stage, good};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use strife::config::Address;
use strife::home::Service;

/// What a busy machine may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A cluster that runs, with its console.
pub(crate) fn with_console() -> Stage {
    let mut stage = Stage::set_with(|config| config.console.enabled = true);
    good(stage.scene.begin());
    good(stage.scene.cluster.start(Service::Console, None));
    stage
}

pub(crate) fn address(stage: &Stage) -> Address {
    stage.scene.cluster.config().console.address.clone()
}

fn open(address: &Address) -> TcpStream {
    let stream = TcpStream::connect((address.host(), address.port())).expect("accepted");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// One raw request: the status, and all of the answer.
pub(crate) fn raw(address: &Address, request: &str) -> (u16, String) {
    let mut stream = open(address);
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status");
    (status, answer)
}

/// `more` are header lines, each with its end.
pub(crate) fn post(address: &Address, path: &str, more: &str, body: &Value) -> (u16, String) {
    let body = body.to_string();
    let length = body.len();
    raw(
        address,
        &format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\n{more}content-type: application/json\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        ),
    )
}

/// Signs in from the console's own page; the answer's cookie.
pub(crate) fn sign_in(address: &Address, username: &str, password: &str) -> (u16, String) {
    let own = format!("origin: http://{address}\r\n");
    let who = json!({ "username": username, "password": password });
    let (status, answer) = post(address, "/api/sign-in", &own, &who);
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    (status, cookie.unwrap_or_default().to_owned())
}

/// A GET by somebody who signed in.
pub(crate) fn ask(address: &Address, cookie: &str, path: &str) -> (u16, String) {
    let cookie = cookie.split(';').next().unwrap_or_default();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\ncookie: {cookie}\r\nconnection: close\r\n\r\n"
    );
    raw(address, &request)
}

/// Server-sent events: the id of each, and the numbers of its records.
pub(crate) struct Events {
    lines: BufReader<TcpStream>,
}

impl Events {
    /// Listens behind `last`, as a browser that comes back.
    pub(crate) fn behind(address: &Address, cookie: &str, last: u64) -> Self {
        let cookie = cookie.split(';').next().unwrap_or_default();
        let end = Instant::now() + PATIENCE;
        loop {
            let mut stream = open(address);
            let request = format!(
                "GET /api/events HTTP/1.1\r\nhost: {address}\r\ncookie: {cookie}\r\n\
                 last-event-id: {last}\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).expect("sent");
            let mut lines = BufReader::new(stream);
            let mut status = String::new();
            lines.read_line(&mut status).expect("answered");
            if status.contains(" 200 ") {
                return Self { lines };
            }
            assert!(Instant::now() < end, "no events: {status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The next event with records; `None` when the other side is gone.
    pub(crate) fn next(&mut self) -> Option<(u64, Vec<Value>)> {
        let (mut id, mut line) = (None, String::new());
        loop {
            line.clear();
            if self.lines.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(text) = line.strip_prefix("id: ") {
                id = Some(text.trim().parse().expect("a number"));
            } else if let (Some(text), Some(id)) = (line.strip_prefix("data: "), id) {
                return Some((id, serde_json::from_str(text).expect("JSON")));
            }
        }
    }
}
