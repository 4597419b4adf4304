//! The explorer beyond what the tests have time for: `cargo run --release -p recovery --example
//! explore [NAME]`. It prints each scope as it ends, and stops with a story at anything wrong.
//!
//! `crossing-crash`, two payments with a crash anywhere, has 6,533,350 states and takes a minute
//! and some gigabytes; `one-payment-fine` has 2,425,688. Two payments with two crashes are more
//! than this explorer was seen to finish.

#[path = "../tests/explored/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the tests use all of it")]
mod explored;

use explored::{At, Budget, Call, Grain, Scenario, explore};

const NOTHING: Budget = Budget::NOTHING;

fn scopes() -> Vec<(&'static str, Scenario)> {
    let pays = |id, from, to| Call { id, from, to, amount: 70 };
    let one = [pays(0, At::First, At::Second)];
    let rivals = [one[0], pays(1, At::First, At::Second)];
    let crossing = [one[0], pays(1, At::Second, At::First)];
    let all = Budget { crashes: 1, losses: 1, copies: 1, timeouts: 1, ..NOTHING };
    let fine = Scenario { grain: Grain::Fine, ..Scenario::new(&one, all) };
    let two_crashes = Budget { crashes: 2, ..all };
    let crash = Budget { crashes: 1, ..NOTHING };
    let messages = Budget { crashes: 0, ..all };
    let mut scopes = vec![
        ("one-payment-fine", fine),
        ("crossing-messages", Scenario::new(&crossing, messages)),
        ("rivals-messages", Scenario::new(&rivals, messages)),
        ("crossing-crash", Scenario::new(&crossing, crash)),
        ("rivals-crash", Scenario::new(&rivals, crash)),
        ("one-payment-two-crashes", Scenario::new(&one, two_crashes)),
    ];
    for (_, scenario) in &mut scopes {
        scenario.states_max = 200_000_000;
    }
    scopes
}

fn main() -> std::process::ExitCode {
    let wanted = std::env::args().nth(1);
    for (name, scenario) in scopes() {
        if wanted.as_deref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        println!("{name}: {:?}, {:?}", scenario.calls, scenario.budget);
        match explore(&scenario) {
            Ok(found) => println!("{found}"),
            Err(wrong) => {
                println!("{}, after {} states:\n{}", wrong.what, wrong.states, wrong.story);
                return std::process::ExitCode::FAILURE;
            }
        }
    }
    std::process::ExitCode::SUCCESS
}
