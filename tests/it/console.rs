//! The web console as a server: who is let in, what it tells, and that nobody needs it.

use crate::support::live::good;
use crate::support::scrape::get;
use crate::support::web::{Events, address, ask, post, raw, sign_in, with_console};
use serde_json::{Value, json};
use strife::home::Service;

#[test]
fn nobody_sees_anything_unsigned_and_no_other_page_is_listened_to() {
    let mut stage = with_console();
    let address = address(&stage);
    for path in [
        "overview",
        "events",
        "log?log=gateway",
        "payment?id=x",
        "evidence?id=x",
        "holds",
        "drills",
        "recoveries",
    ] {
        let (status, body) = get(&address, &format!("/api/{path}"));
        assert_eq!(status, 401, "{path}: {body}");
    }
    let request = format!("GET / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let (status, page) = raw(&address, &request);
    assert_eq!(status, 200);
    let policy = "content-security-policy: default-src 'none'; script-src 'self'";
    assert!(page.contains(policy), "{page}");
    assert!(!page.contains("style=") && !page.contains("<script>"), "nothing inline");
    let rebound = "GET / HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    assert_eq!(raw(&address, rebound).0, 403);

    let auditor = json!({ "username": "auditor", "password": "auditorpass" });
    assert_eq!(post(&address, "/api/sign-in", "", &auditor).0, 403, "no origin");
    assert_eq!(post(&address, "/api/sign-in", "origin: http://evil.example\r\n", &auditor).0, 403);
    assert_eq!(sign_in(&address, "user1", "pass1").0, 403, "a client is no operator");
    let (status, cookie) = sign_in(&address, "auditor", "auditorpass");
    assert_eq!(status, 200);
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert_eq!(ask(&address, &cookie, "/api/overview").0, 200);
    let (_, logged) = ask(&address, &cookie, "/api/log?log=gateway&limit=500");
    assert!(logged.contains("\"kind\":\"Initialised\"") && logged.contains("\"crc\""), "{logged}");
    assert!(!logged.contains("10000000000001"), "accounts are masked");

    // The console dies; payments do not notice, and its page says what is missing.
    good(stage.scene.cluster.kill(Service::Console));
    good(stage.scene.pay_for_sure());
    let (status, body) = get(&address, "/");
    assert_eq!(status, 502);
    assert!(body.contains("Payments are not touched"), "{body}");
    assert_eq!(get(&address, "/metrics").0, 200);
    good(stage.scene.cluster.start(Service::Console, None));
    let (status, _) = ask(&address, &cookie, "/api/overview");
    assert_eq!(status, 401, "a new console asks to sign in again");
    good(stage.scene.conclude());
}

#[test]
fn events_are_numbered_by_the_log_and_whoever_comes_back_misses_nothing() {
    let mut stage = with_console();
    let address = address(&stage);
    let (_, mut cookie) = sign_in(&address, "auditor", "auditorpass");
    let mut seen: Vec<Value> = Vec::new();
    for victim in [Service::Gateway, Service::Console] {
        let before = seen.len();
        let last = |seen: &[Value]| seen.last().and_then(|it| it["lsn"].as_u64()).unwrap_or(0);
        let mut events = Events::behind(&address, &cookie, last(&seen));
        good(stage.scene.pay_for_sure());
        while !tells(&seen[before..], &stage.scene.last_id()) {
            let (id, records) = events.next().expect("more to come");
            seen.extend(records);
            assert_eq!(id, last(&seen), "the id is the newest record's number");
        }
        // While nobody listens the log goes on.
        good(stage.scene.cluster.kill(victim));
        while events.next().is_some() {}
        if victim == Service::Console {
            good(stage.scene.pay_for_sure());
        }
        good(stage.scene.cluster.start(victim, None));
        good(stage.scene.pay_for_sure());
        if victim == Service::Console {
            cookie = sign_in(&address, "auditor", "auditorpass").1;
        }
    }
    let last = seen.last().and_then(|it| it["lsn"].as_u64()).expect("records");
    let mut events = Events::behind(&address, &cookie, last);
    while !tells(&seen, &stage.scene.last_id()) {
        seen.extend(events.next().expect("more to come").1);
    }
    let numbers = seen.iter().map(|it| it["lsn"].as_u64().expect("a number"));
    assert!(numbers.eq(1..=seen.len() as u64), "each record once, in order, from the first on");
    good(stage.scene.conclude());
}

/// Whether a payment's beginning is among these records.
fn tells(records: &[Value], id: &str) -> bool {
    let is_it = |record: &Value| {
        record["reference"]
            .as_str()
            .is_some_and(|it| it.split_once('/').unwrap_or_default().1 == id)
    };
    records.iter().any(is_it)
}
