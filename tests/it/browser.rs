//! The web console in a real browser, over a real cluster whose bank is really killed.

use crate::support::browser::Browser;
use crate::support::edge::has_tool;
use crate::support::live::{Stage, ended, good};
use crate::support::web::{address, with_console};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use strife::home::Service;

/// Where pictures go: into the sources when `STRIFE_PICTURES` asks for it, for the README.
fn pictures() -> PathBuf {
    match std::env::var_os("STRIFE_PICTURES") {
        Some(_) => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/console/pictures"),
        None => PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
    }
}

fn has_browser() -> bool {
    has_tool("chromium") && has_tool("chromedriver")
}

fn fill_in(browser: &Browser) {
    browser.write("#username", "auditor");
    browser.write("#password", "auditorpass");
    browser.click("#sign-in button");
    browser.until("!document.getElementById('app').hidden");
}

fn sign_in(browser: &Browser, stage: &Stage) {
    browser.open(&format!("http://{}/", address(stage)));
    fill_in(browser);
}

const RECORDS: &str = "(await import('/app.js')).state.records";

/// The log as the page has it, from its first record on, has no gap. The newest record.
fn nothing_is_missing(browser: &Browser) -> u64 {
    let gaps =
        format!("{RECORDS}.filter((it, at, all) => at && it.lsn !== all[at - 1].lsn + 1).length");
    assert_eq!(browser.eval(&gaps), json!(0));
    browser.eval(&format!("{RECORDS}.at(-1).lsn")).as_u64().expect("a number")
}

fn pay(stage: &Stage, number: usize, arguments: [&str; 3]) {
    let [amount, to, id] = arguments;
    let mut command = stage.client(number, &["transfer", amount, to, id]);
    let (code, data, talk) = ended(command.output().expect("ran"));
    assert_eq!(code, 0, "{data}{talk}");
}

const CLEAR: &str =
    "document.getElementById('in-doubt')?.innerText.includes('Nothing is in doubt') === true";

/// Somebody tries a wrong password first.
fn is_refused(browser: &Browser, stage: &Stage) {
    browser.open(&format!("http://{}/", address(stage)));
    browser.until("!document.getElementById('door').hidden");
    assert_eq!(browser.complaints(), [""; 0]);
    browser.write("#username", "auditor");
    browser.write("#password", "wrong");
    browser.click("#sign-in button");
    browser.until("document.getElementById('sign-in-error').textContent.includes('do not belong')");
    browser.complaints();
}

#[test]
fn an_operator_watches_a_payment_sees_a_killed_bank_in_doubt_and_it_clears() {
    if !has_browser() {
        return;
    }
    let mut stage = with_console();
    let browser = Browser::start();
    let shot = |name: &str, height: u32| {
        browser.resize(1180, height);
        browser.picture(&pictures().join(format!("{name}.png")));
        browser.resize(1280, 860);
    };
    is_refused(&browser, &stage);
    sign_in(&browser, &stage);
    browser
        .until("document.querySelector('[data-tile=\"Banks up\"]')?.innerText.includes('6 of 6')");

    // Payments move from lane to lane and come to their end.
    browser.keys("gl");
    browser.until("document.querySelector('h1')?.textContent === 'Live'");
    good(stage.scene.pay_for_sure());
    let id = stage.scene.last_id();
    let lane = format!("document.querySelector('[data-payment$=\"{id}\"]')");
    browser.until(&format!("{lane}?.classList.contains('over') === true"));
    let stops = format!("{lane}.querySelectorAll('.stop.hit').length");
    assert_eq!(browser.eval(&stops), json!(4));

    // A bank dies of a payment that is decided: in doubt, and said everywhere.
    let icici = Service::Bank("ICICI".parse().expect("a bank"));
    good(stage.scene.cluster.stop(icici));
    good(stage.scene.cluster.start(icici, Some("before-posted-durable")));
    good(stage.scene.pay_until_dead(icici, 432_100));
    let stuck = stage.scene.last_id();
    pay(&stage, 3, ["64.50", "10000000000004", "school-books"]);
    pay(&stage, 4, ["1250", "10000000000005", "rent-august"]);
    pay(&stage, 5, ["18.75", "10000000000006", "tea-and-cake"]);
    let lane = format!("document.querySelector('[data-payment$=\"{stuck}\"]')");
    browser.until(&format!("{lane}?.classList.contains('late') === true"));
    shot("live", 400);
    browser.until("document.querySelector('.side .count:not([hidden])')?.textContent === '1'");
    sees_the_doubt(&browser, &stuck);
    browser.keys("go");
    browser.until("document.querySelector('[data-tile=\"In doubt\"].bad') !== null");
    browser
        .until("document.querySelector('[data-tile=\"Banks up\"]').innerText.includes('5 of 6')");
    browser.keys("gb");
    browser.until(
        "document.querySelector('[data-bank=\"ICICI\"]')?.innerText.includes('away') === true",
    );
    browser.until(&format!("document.querySelector('main').innerText.includes('{stuck}')"));

    // It comes back, and the doubt clears; a reload shows the same, without signing in again.
    good(stage.scene.cluster.start(icici, None));
    browser.keys("gd");
    browser.until(CLEAR);
    browser.reload();
    browser.until(CLEAR);
    nothing_is_missing(&browser);
    browser.eval(&format!("(location.hash = '#/payment/{stuck}', 1)"));
    browser.until("document.querySelector('.pill')?.textContent === 'committed'");
    shot("payment", 1000);
    assert_eq!(browser.complaints(), [""; 0], "the page complains of nothing");
    good(stage.scene.conclude());
}

/// In doubt: the amount, the age, who is waited for, and what every log says.
fn sees_the_doubt(browser: &Browser, id: &str) {
    browser.keys("gd");
    browser.until("document.getElementById('in-doubt')?.innerText.includes('ICICI') === true");
    for text in [id, "4,321.00 set aside", "COMMITTING"] {
        let said = format!("document.getElementById('in-doubt').innerText.includes('{text}')");
        browser.until(&said);
    }
    browser.click("#in-doubt button");
    for text in ["POSTED", "HELD", "commit is final", "strife tx resolve"] {
        let said = format!("document.getElementById('evidence').innerText.includes('{text}')");
        browser.until(&said);
    }
}

#[test]
fn a_page_that_lost_the_gateway_or_its_console_comes_back_and_has_missed_nothing() {
    if !has_browser() {
        return;
    }
    let mut stage = with_console();
    good(stage.scene.pay_for_sure());
    let browser = Browser::start();
    sign_in(&browser, &stage);
    browser.until(&format!("{RECORDS}.length > 0"));
    let before = nothing_is_missing(&browser);
    good(stage.scene.cluster.kill(Service::Gateway));
    browser.until("!document.getElementById('banner').hidden");
    good(stage.scene.cluster.start(Service::Gateway, None));
    good(stage.scene.pay_for_sure());
    let id = stage.scene.last_id();
    browser.until("document.getElementById('banner').hidden");
    browser.until(&format!("{RECORDS}.some((it) => it.reference?.endsWith('/{id}'))"));
    let between = nothing_is_missing(&browser);
    assert!(between > before);

    // Who was signed in, a console keeps in memory only.
    good(stage.scene.cluster.kill(Service::Console));
    good(stage.scene.pay_for_sure());
    good(stage.scene.cluster.start(Service::Console, None));
    browser.until("!document.getElementById('door').hidden");
    fill_in(&browser);
    let id = stage.scene.last_id();
    browser.until(&format!("{RECORDS}.some((it) => it.reference?.endsWith('/{id}'))"));
    assert!(nothing_is_missing(&browser) > between);
    good(stage.scene.conclude());
}

const VIEWS: [&str; 7] = ["", "live", "doubt", "banks", "log", "drills", "recoveries"];

#[test]
fn every_view_stands_at_every_width_in_both_themes_and_by_keyboard() {
    if !has_browser() {
        return;
    }
    let mut stage = with_console();
    for _ in 0..6 {
        good(stage.scene.pay_for_sure());
    }
    let committed = stage.scene.last_id();
    assert!(!stage.scene.pay_minor(9_999_999_900).is_committed(), "more than there is");
    // A recovery with something to tell, and a report.
    good(stage.scene.cluster.kill(Service::Gateway));
    good(stage.scene.cluster.start(Service::Gateway, None));
    leave_a_report(&stage);
    let browser = Browser::start();
    sign_in(&browser, &stage);

    browser.keys("/");
    browser.write("#search-text", &committed);
    browser.keys("\u{e007}");
    browser.until("document.querySelectorAll('.swim .box').length === 11");
    let same = browser.eval("document.querySelector('.command').innerText").to_string();
    assert!(same.contains(&format!("strife tx explain client1/{committed}")), "{same}");
    browser.eval("(document.activeElement.blur(), 1)");
    browses_the_log(&browser);

    let payment = format!("payment/{committed}");
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        for width in [1280, 390] {
            browser.resize(width, 860);
            for view in VIEWS.into_iter().chain([payment.as_str()]) {
                let name = view.split('/').next().unwrap_or_default();
                browser.eval(&format!("(location.hash = '#/{view}', 1)"));
                browser.until("document.querySelector('main h1') !== null");
                browser.until("!document.querySelector('main').innerText.includes('Reading')");
                let wide = browser.eval("document.documentElement.scrollWidth - innerWidth");
                let fits = wide.as_i64().is_some_and(|it| it <= 0);
                assert!(fits, "{view} at {width}: {wide} too wide");
                let file = format!("all-{scheme}-{width}-{name}.png");
                browser.picture(&PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(file));
            }
        }
    }
    assert_eq!(browser.complaints(), [""; 0]);
    good(stage.scene.conclude());
}

fn browses_the_log(browser: &Browser) {
    browser.keys("gw");
    browser.until("document.querySelectorAll('tbody tr').length > 20");
    browser.click("tbody tr:nth-child(3) button");
    browser.until("document.querySelector('.raw')?.textContent.startsWith('0000') === true");
    browser.until("document.querySelectorAll('.tick').length > 20");
    let choose = "((it) => { it.value = 'Decided'; it.dispatchEvent(new Event('change')); }) \
                  (document.getElementById('log-kind'))";
    browser.eval(choose);
    browser.until(
        "[...document.querySelectorAll('tbody td:nth-child(3)')] \
         .every((it) => it.textContent === 'Decided')",
    );
}

/// As `strife drill run` leaves one.
fn leave_a_report(stage: &Stage) {
    let drill = |name: &str, ok: bool| {
        json!({
            "name": name, "victim": "gateway", "fault": "SIGKILL", "outcome": "COMMITTED",
            "recovered_ms": 41, "settled_ms": 96, "ok": ok, "took_ms": 700, "exit": 0,
            "timeline": [{ "at_ms": 0, "kind": "begun", "what": "all services are ready" }],
        })
    };
    let report = json!({
        "ok": true, "seed": 7, "version": "0.1.0", "began_unix_ms": 1_790_000_000_000_u64,
        "took_ms": 1500, "drills": [drill("after-began", true), drill("after-vote", true)],
    });
    let place = stage.home().drills();
    std::fs::create_dir_all(&place).expect("made");
    std::fs::write(place.join("last.json"), report.to_string()).expect("written");
}

/// What axe-core says of a page, from its source at the registry; `None` where it is out of reach.
fn axe() -> Option<String> {
    if !has_tool("npm") {
        return None;
    }
    let place = tempfile::tempdir().expect("a directory");
    let mut npm = Command::new("npm");
    npm.args(["pack", "--silent", "axe-core@4"]).current_dir(place.path());
    let packed = npm.output().expect("ran");
    let name = String::from_utf8_lossy(&packed.stdout).trim().to_owned();
    let mut tar = Command::new("tar");
    tar.args(["-xzf", &name, "package/axe.min.js"]).current_dir(place.path());
    if !packed.status.success() || !tar.status().is_ok_and(|status| status.success()) {
        crate::support::edge::skipped("axe-core");
        return None;
    }
    Some(std::fs::read_to_string(place.path().join("package/axe.min.js")).expect("unpacked"))
}

#[test]
fn nothing_serious_stands_in_the_way_of_whoever_cannot_see_or_point() {
    if !has_browser() {
        return;
    }
    let Some(axe) = axe() else { return };
    let mut stage = with_console();
    good(stage.scene.pay_for_sure());
    let id = stage.scene.last_id();
    leave_a_report(&stage);
    let browser = Browser::start();
    browser.open(&format!("http://{}/", address(&stage)));
    browser.until("!document.getElementById('door').hidden");
    browser.run(&axe);
    assert_eq!(findings(&browser), [""; 0], "signing in");
    fill_in(&browser);
    let payment = format!("payment/{id}");
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        for view in VIEWS.into_iter().chain([payment.as_str()]) {
            browser.eval(&format!("(location.hash = '#/{view}', 1)"));
            browser.until("document.querySelector('main h1') !== null");
            browser.until("!document.querySelector('main').innerText.includes('Reading')");
            assert_eq!(findings(&browser), [""; 0], "{view} {scheme}");
        }
    }
    good(stage.scene.conclude());
}

/// Serious and critical findings, and where.
fn findings(browser: &Browser) -> Vec<String> {
    let found = browser.eval(
        "(await window.axe.run()).violations \
         .filter((it) => it.impact === 'serious' || it.impact === 'critical') \
         .map((it) => `${it.id}: ${it.nodes.map((node) => node.html).join(' ')}`)",
    );
    let found = found.as_array().cloned().unwrap_or_else(|| panic!("{found}"));
    found.iter().map(Value::to_string).collect()
}
