//! What a failed call means, when it is the real gateway that fails: killed before, during and
//! after a call, stopped, started again on its port. And the client killed under the real gateway.

use crate::support::live::{Stage, good};
use nix::sys::signal::Signal;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;
use strife::home::Service;
use strife::live::Heard;

const GATEWAY: Service = Service::Gateway;

fn is_unknown(heard: &Heard) -> bool {
    matches!(heard, Heard::Unknown(_))
}

/// Sent again under its id until it has an end.
fn ends(stage: &mut Stage, id: &str) -> Heard {
    for _ in 0..500 {
        let heard = stage.scene.payers[0].pay(id, 2, 1_00);
        if heard.is_final() {
            return heard;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{id} has no end")
}

#[test]
fn a_real_gateway_killed_before_during_and_after_a_call_is_never_taken_for_what_it_is_not() {
    let mut stage = Stage::begin();
    good(stage.scene.pay_for_sure());

    // Before: nobody listens, and no byte left. The first call may still find the old line.
    good(stage.scene.cluster.kill(GATEWAY));
    let heard = stage.scene.payers[0].pay("before", 2, 1_00);
    assert!(is_unknown(&heard) || matches!(heard, Heard::NotSent(_)), "{heard:?}");
    let heard = stage.scene.payers[0].pay("before", 2, 1_00);
    assert!(matches!(&heard, Heard::NotSent(why) if why.contains("refused")), "{heard:?}");
    good(stage.scene.cluster.start(GATEWAY, None));
    let ended = ends(&mut stage, "before");
    assert!(matches!(ended, Heard::Committed { replayed: false, .. }), "it was new: {ended:?}");

    // During: the request lies in the socket of a process that never reads it.
    let strife::live::Scene { cluster, payers, .. } = &mut stage.scene;
    good(cluster.signal(GATEWAY, Signal::SIGSTOP));
    let heard = std::thread::scope(|scope| {
        let payer = &mut payers[0];
        let paying = scope.spawn(move || payer.pay("during", 2, 1_00));
        std::thread::sleep(Duration::from_millis(300));
        good(cluster.kill(GATEWAY));
        paying.join().expect("heard")
    });
    assert!(is_unknown(&heard), "{heard:?}");
    good(stage.scene.cluster.start(GATEWAY, None));
    assert!(ends(&mut stage, "during").is_committed());

    // After it was decided, before it was answered.
    good(stage.scene.cluster.kill(GATEWAY));
    good(stage.scene.cluster.start(GATEWAY, Some("after-decision-durable")));
    good(stage.scene.pay_until_dead(GATEWAY, 1_00));
    let id = stage.scene.last_id();
    let heard = stage.scene.payers[0].asked()[&id].heard.clone();
    assert!(heard.iter().any(is_unknown), "{heard:?}");
    good(stage.scene.restart(GATEWAY));
    let ended = ends(&mut stage, &id);
    assert!(matches!(ended, Heard::Committed { replayed: true, .. }), "it had gone: {ended:?}");

    // Restarted on the same port between two calls: new, or in doubt, never lost.
    good(stage.scene.cluster.kill(GATEWAY));
    good(stage.scene.cluster.start(GATEWAY, None));
    let heard = stage.scene.payers[0].pay("after", 2, 1_00);
    assert!(!matches!(heard, Heard::Aborted { .. }), "{heard:?}");
    assert!(ends(&mut stage, "after").is_committed());
    good(stage.scene.conclude());
}

#[test]
fn a_deadline_of_a_real_gateway_that_stands_still_leaves_the_outcome_unknown() {
    let mut stage = Stage::begin();
    good(stage.scene.pay_for_sure());
    good(stage.scene.cluster.signal(GATEWAY, Signal::SIGSTOP));
    let heard = stage.scene.payers[0].pay("late", 2, 1_00);
    assert!(is_unknown(&heard), "{heard:?}");
    good(stage.scene.cluster.signal(GATEWAY, Signal::SIGCONT));
    let ended = ends(&mut stage, "late");
    assert!(ended.is_final());
    good(stage.scene.conclude());
}

#[test]
fn a_client_killed_at_any_point_under_the_real_gateway_loses_nothing_and_pays_once() {
    let mut stage = Stage::begin();
    good(stage.scene.pay_for_sure());
    for point in ["client-saved", "client-sent", "client-answered"] {
        let pay = ["transfer", "1", "10000000000002", point, "--crash-at", point];
        let killed = stage.client(3, &pay).output().expect("ran");
        assert_eq!(killed.status.signal(), Some(Signal::SIGKILL as i32), "{point}: {killed:?}");
        // It may have left: no command makes it go away unheard.
        let (code, _, talk) = stage.json(3, &["queue", "drop", point]);
        assert_eq!(code, 7, "{point}: {talk}");
        let (code, flushed, talk) = stage.json(3, &["queue", "flush"]);
        assert_eq!(code, 0, "{point}: {talk}");
        assert_eq!(flushed["payments"][0]["state"], "COMMITTED", "{point}: {flushed}");
        let (code, again, _) = stage.json(3, &pay[..4]);
        assert_eq!((code, &again["replayed"]), (0, &true.into()), "{point}: {again}");
    }
    let (_, history, _) = stage.json(3, &["history", "--all"]);
    assert_eq!(history["payments"].as_array().map(Vec::len), Some(3), "{history}");
    let (_, view, _) = stage.json(3, &["view"]);
    assert_eq!(view["balance_minor"], 1_000_000 - 3_00, "each once");
}
