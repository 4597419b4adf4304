//! A client by hand: real calls to a real gateway, with whatever certificate and token.

use recovery::fact::GatewayFact;
use recovery::record;
use strife::home::{Home, Party, Service};
use strife::tls;
use strife::wire::v1::admin_service_client::AdminServiceClient;
use strife::wire::v1::payment_gateway_client::PaymentGatewayClient;
use strife::wire::v1::{ClientInfo, PaymentRequest};
use tonic::transport::Channel;
use tonic::{Request, Status};
use wal::Disk;
use wal::read::{Cursor, follow};

pub(crate) fn channel(home: &Home, party: Party) -> Channel {
    let running = home.running(Service::Gateway).expect("running");
    tls::to_gateway(home, party, &running.address).expect("a channel")
}

/// A user of the demo, as it signs in: client3, auditor, admin.
pub(crate) fn user(name: &str) -> ClientInfo {
    let number = name.strip_prefix("client").and_then(|it| it.parse::<usize>().ok());
    let banks = strife::config::DEFAULT_BANKS;
    let (username, password, bank) = match number {
        Some(n) => (format!("user{n}"), format!("pass{n}"), banks[(n - 1) % banks.len()]),
        None => (name.to_owned(), format!("{name}pass"), ""),
    };
    ClientInfo { client_id: name.to_owned(), username, password, bank: bank.to_owned() }
}

/// A session.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) gateway: PaymentGatewayClient<Channel>,
    pub(crate) admin: AdminServiceClient<Channel>,
}

impl Caller {
    pub(crate) async fn sign_in(
        home: &Home,
        party: Party,
        who: ClientInfo,
    ) -> Result<Self, Status> {
        let channel = channel(home, party);
        let mut gateway = PaymentGatewayClient::new(channel.clone());
        let name = who.client_id.clone();
        let token = gateway.register_client(who).await?.into_inner().auth_token;
        Ok(Self { name, token, gateway, admin: AdminServiceClient::new(channel) })
    }

    /// The message with this caller's metadata.
    pub(crate) fn says<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert("client-id", self.name.parse().expect("a value"));
        metadata.insert("auth-token", self.token.parse().expect("a value"));
        request
    }
}

pub(crate) fn payment(id: &str, payee: u32, amount_minor: i64) -> PaymentRequest {
    PaymentRequest {
        transaction_id: id.to_owned(),
        recipient_account_number: format!("1000000000{payee:04}"),
        amount_minor,
        ..PaymentRequest::default()
    }
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

/// The gateway's log, as far as it can be read beside the gateway.
pub(crate) fn facts(home: &Home) -> Vec<GatewayFact> {
    let (disk, mut cursor) = (Disk::new(home.data(Service::Gateway)), Cursor::default());
    let mut all = Vec::new();
    follow(&disk, &mut cursor, |record, _| record::decode(&record).map(|fact| all.push(fact)))
        .expect("readable");
    all
}
