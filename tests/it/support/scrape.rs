//! Reading `/metrics`, and whatever else is served without TLS.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use strife::config::Address;

/// A plain GET: the status and the body.
pub(crate) fn get(address: &Address, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect((address.host(), address.port())).expect("accepted");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, body.to_owned())
}

/// Figures by name and labels, as they are written: `strife_in_doubt`, `a{b="c"}`.
#[derive(Debug)]
pub(crate) struct Figures(BTreeMap<String, f64>);

impl Figures {
    pub(crate) fn read(address: &Address) -> Self {
        let (status, text) = get(address, "/metrics");
        assert_eq!(status, 200, "{text}");
        let figure = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(figure).collect())
    }

    pub(crate) fn of(&self, figure: &str) -> f64 {
        *self.0.get(figure).unwrap_or_else(|| panic!("no {figure} in {self:#?}"))
    }

    /// One that counts.
    pub(crate) fn whole(&self, figure: &str) -> i64 {
        let value = self.of(figure);
        assert!(value.fract().abs() < f64::EPSILON, "{figure} is {value}");
        value as i64
    }

    /// Whether there is a figure of this name, with whatever labels.
    pub(crate) fn has(&self, name: &str) -> bool {
        let counts = |key: &str| {
            let bare = key.split('{').next().unwrap_or(key);
            bare == name || bare.strip_suffix("_count") == Some(name)
        };
        self.0.keys().any(|key| counts(key))
    }

    /// Every label and its value.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let braced = self.0.keys().filter_map(|key| key.split_once('{')?.1.strip_suffix('}'));
        let pairs = braced.flat_map(|labels| labels.split("\","));
        pairs.filter_map(|pair| {
            let (label, value) = pair.split_once('=')?;
            Some((label, value.trim_matches('"')))
        })
    }
}

/// Reads until `right`, for as long as a busy machine may take.
pub(crate) fn until(address: &Address, right: impl Fn(&Figures) -> bool) -> Figures {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        let figures = Figures::read(address);
        if right(&figures) {
            return figures;
        }
        assert!(Instant::now() < end, "it did not come so far: {figures:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
