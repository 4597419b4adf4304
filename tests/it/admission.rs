//! More payments than can be carried: the surplus hears so at once, and the rest goes on.

use crate::support::live::{Turn, good, place};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use strife::home::{Home, Party, Service};
use strife::live::{Heard, Payer, Scene};
use strife::tls;
use strife::wire::v1::payment_gateway_client::PaymentGatewayClient;
use strife::wire::v1::{ClientInfo, PaymentRequest};
use tonic::{Code, Request, Status};

const IN_FLIGHT_MAX: usize = 8;
const SURPLUS: usize = 25;
const FULL_AFTER_MAX: Duration = Duration::from_secs(30);

/// Of a refusal, in the median: a machine that is busy with other tests is late now and then.
const REFUSED_WITHIN: Duration = Duration::from_millis(100);

fn stamped<T>(message: T, client: &str, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("client-id", client.parse().expect("ASCII"));
    request.metadata_mut().insert("auth-token", token.parse().expect("ASCII"));
    request
}

/// Asks for payments that find no room, one after the other. Nobody here is patient: a refusal is
/// taken as it comes.
async fn surplus(home: &Home) -> Vec<(String, Status, Duration)> {
    let address = home.last_run(Service::Gateway).expect("it runs").address;
    let channel = good(tls::to_gateway(home, Party::Client, &address));
    let mut stub = PaymentGatewayClient::new(channel);
    let claim = ClientInfo {
        client_id: "client3".to_owned(),
        username: "user3".to_owned(),
        password: "pass3".to_owned(),
        bank: "Axis".to_owned(),
    };
    let token = stub.register_client(claim).await.expect("signed in").into_inner().auth_token;
    let mut refused = Vec::new();
    let until = Instant::now() + FULL_AFTER_MAX;
    for n in 0.. {
        let payment = PaymentRequest {
            transaction_id: format!("surplus-{n}"),
            recipient_account_number: "10000000000004".to_owned(),
            amount_minor: 1,
            ..PaymentRequest::default()
        };
        let id = payment.transaction_id.clone();
        let began = Instant::now();
        match stub.process_payment(stamped(payment, "client3", &token)).await {
            Err(status) => refused.push((id, status, began.elapsed())),
            // The others are on their way still.
            Ok(_) => assert!(Instant::now() < until, "it is never full"),
        }
        if refused.len() == SURPLUS {
            break;
        }
    }
    refused
}

#[test]
fn a_payment_too_many_is_refused_within_a_tenth_of_a_second_and_begins_nothing() {
    let _turn = Turn::take();
    let mut scene = good(Scene::set_with(&place(5), |config| {
        config.gateway.max_in_flight = IN_FLIGHT_MAX;
        config.gateway.two_phase_timeout_ms = 60_000;
    }));
    good(scene.begin());
    good(scene.pay_for_sure());
    let victim = Service::Bank("ICICI".parse().expect("a bank"));
    let home = scene.cluster.home().clone();
    let payers: Vec<Payer> = (0..IN_FLIGHT_MAX).map(|_| good(Payer::new(&home, 1))).collect();
    good(scene.cluster.signal(victim, Signal::SIGSTOP));
    let refused = std::thread::scope(|scope| {
        for (n, mut payer) in payers.into_iter().enumerate() {
            // client1 to client2, at the bank that does not answer. On a busy machine it may be
            // refused for having waited; then it comes again.
            scope.spawn(move || {
                while matches!(payer.pay(&format!("held-{n}"), 2, 1), Heard::Refused { .. }) {}
            });
        }
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let refused = runtime.block_on(surplus(&home));
        good(scene.cluster.signal(victim, Signal::SIGCONT));
        refused
    });
    for (_, status, _) in &refused {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    }
    let mut took: Vec<Duration> = refused.iter().map(|(_, _, took)| *took).collect();
    took.sort();
    assert!(took[took.len() / 2] < REFUSED_WITHIN, "{took:?}");
    let asked = good(Payer::new(&home, 3)).ask(&refused[0].0);
    assert!(matches!(asked, Heard::Refused { .. }), "nothing was begun under it: {asked:?}");
    good(scene.pay_for_sure());
}
