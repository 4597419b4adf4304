//! A gateway that pays as it should, unless the script says otherwise.
//!
//! It runs on a thread and a runtime of its own, so that [`FakeGateway::kill`] drops its sockets in
//! the middle of whatever they were doing, and a new one can come up on the same port.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use strife::accept;
use strife::config::{Address, Limits};
use strife::errors::{Reason, status, status_with};
use strife::home::{Home, Party};
use strife::tls;
use strife::wire::v1;
use strife::wire::v1::payment_gateway_server::{PaymentGateway, PaymentGatewayServer};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};

/// What happens to one ProcessPayment; without a script it pays.
pub(crate) enum Act {
    Pay,
    /// The payment goes through, and the answer never comes.
    PayAndHang,
    /// The payment goes through, and the gateway dies before the answer.
    PayAndDie,
    /// The gateway dies before anything was begun.
    Die,
    Hang,
    Panic,
    Refuse(Status),
    Answer(v1::PaymentState, &'static str),
}

#[derive(Default)]
pub(crate) struct Book {
    pub(crate) script: VecDeque<Act>,
    /// Money moved, by transaction id: how often, and how much.
    pub(crate) moved: BTreeMap<String, (u32, i64)>,
    /// Every ProcessPayment that arrived.
    pub(crate) arrived: Vec<v1::PaymentRequest>,
    pub(crate) tokens: Vec<String>,
    pub(crate) sign_ins: u32,
    answers: BTreeMap<String, (v1::PaymentRequest, v1::PaymentResponse)>,
}

/// What a gateway keeps on disk: it survives [`FakeGateway::kill`].
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Book>>);

impl Shared {
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn script(&self, acts: impl IntoIterator<Item = Act>) {
        self.book().script.extend(acts);
    }
}

pub(crate) struct FakeGateway {
    pub(crate) address: SocketAddr,
    pub(crate) shared: Shared,
    die: Arc<Notify>,
    home: Option<Home>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl FakeGateway {
    /// Without TLS, for what is above it.
    pub(crate) fn start() -> Self {
        Self::start_on("127.0.0.1:0".parse().expect("an address"), Shared::default(), None)
    }

    /// As the gateway of a home, with its certificates, for the built program to find.
    pub(crate) fn start_in(home: &Home) -> Self {
        let address = "127.0.0.1:0".parse().expect("an address");
        Self::start_on(address, Shared::default(), Some(home.clone()))
    }

    /// Comes up with what an earlier one has left behind.
    fn start_on(address: SocketAddr, shared: Shared, home: Option<Home>) -> Self {
        let die = Arc::new(Notify::new());
        let service = Service { shared: shared.clone(), die: Arc::clone(&die) };
        let (told, listening) = std::sync::mpsc::channel();
        let (killed, within) = (Arc::clone(&die), home.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind(address).await.expect("a free port");
                let address = listener.local_addr().expect("an address");
                let announced = within.as_ref().map(|home| {
                    let address = Address::local(address.port());
                    home.announce(strife::home::Service::Gateway, &address).expect("announced")
                });
                told.send(address).expect("someone waits");
                tokio::select! {
                    () = serve(listener, within, service) => {}
                    () = killed.notified() => {}
                }
                drop(announced);
            });
            runtime.shutdown_background();
        });
        let address = listening.recv().expect("the address");
        Self { address, shared, die, home, thread: Some(thread) }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.address)).expect("an address")
    }

    /// Drops every socket now.
    pub(crate) fn kill(&mut self) {
        self.die.notify_one();
        self.wait();
    }

    /// Waits until a scripted death has happened.
    pub(crate) fn wait(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a clean end");
        }
    }

    pub(crate) fn restart(&mut self) {
        self.kill();
        *self = Self::start_on(self.address, self.shared.clone(), self.home.clone());
    }
}

impl Drop for FakeGateway {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn serve(listener: TcpListener, home: Option<Home>, service: Service) {
    let service = PaymentGatewayServer::new(service);
    let Some(home) = home else {
        let router = Server::builder().add_service(service);
        router.serve_with_incoming(TcpListenerStream::new(listener)).await.expect("serves");
        return;
    };
    let tls = tls::server_of(&home, Party::Server).expect("certificates");
    let routes = tonic::service::Routes::new(service).into_axum_router();
    let limits = Limits::default();
    accept::serve(listener, tls, &limits, routes, CancellationToken::new()).await;
}

#[derive(Clone)]
struct Service {
    shared: Shared,
    die: Arc<Notify>,
}

impl Service {
    fn admit<Q>(&self, request: &Request<Q>) -> Result<(), Status> {
        let token = request.metadata().get("auth-token").and_then(|v| v.to_str().ok());
        let token = token.ok_or_else(|| status(Reason::TokenMissing, "no token"))?;
        if self.shared.book().tokens.iter().any(|known| known == token) {
            return Ok(());
        }
        Err(status(Reason::TokenInvalid, "the token is not known"))
    }

    async fn die(&self) -> Status {
        self.die.notify_one();
        never().await
    }
}

async fn never<T>() -> T {
    std::future::pending().await
}

fn pay(book: &mut Book, request: &v1::PaymentRequest) -> Result<v1::PaymentResponse, Status> {
    if let Some((terms, answer)) = book.answers.get(&request.transaction_id) {
        if terms != request {
            let field = [("field", "amount_minor")];
            return Err(status_with(Reason::TransactionIdReused, "amount_minor differs", &field));
        }
        return Ok(v1::PaymentResponse { replayed: true, ..answer.clone() });
    }
    let moved = book.moved.entry(request.transaction_id.clone()).or_default();
    *moved = (moved.0 + 1, moved.1 + request.amount_minor);
    let answer = v1::PaymentResponse {
        success: true,
        message: "paid".to_owned(),
        transaction_id: request.transaction_id.clone(),
        state: v1::PaymentState::Committed.into(),
        lsn: 100 + book.answers.len() as u64,
        ..v1::PaymentResponse::default()
    };
    let kept = (request.clone(), answer.clone());
    book.answers.insert(request.transaction_id.clone(), kept);
    Ok(answer)
}

#[tonic::async_trait]
impl PaymentGateway for Service {
    async fn register_client(
        &self,
        request: Request<v1::ClientInfo>,
    ) -> Result<Response<v1::RegisterResponse>, Status> {
        let info = request.into_inner();
        if info.password != "pass1" {
            return Err(status(Reason::BadCredentials, "they do not belong together"));
        }
        let mut book = self.shared.book();
        book.sign_ins += 1;
        let auth_token = format!("token-{}", book.sign_ins);
        book.tokens.push(auth_token.clone());
        Ok(Response::new(v1::RegisterResponse {
            success: true,
            message: String::new(),
            auth_token,
            account_number: "10000000000001".to_owned(),
            role: "client".to_owned(),
            expires_at_unix_ms: 0,
        }))
    }

    async fn process_payment(
        &self,
        request: Request<v1::PaymentRequest>,
    ) -> Result<Response<v1::PaymentResponse>, Status> {
        self.admit(&request)?;
        let request = request.into_inner();
        let act = {
            let mut book = self.shared.book();
            book.arrived.push(request.clone());
            book.script.pop_front().unwrap_or(Act::Pay)
        };
        match act {
            Act::Pay => pay(&mut self.shared.book(), &request).map(Response::new),
            Act::PayAndHang => {
                pay(&mut self.shared.book(), &request)?;
                never().await
            }
            Act::PayAndDie => {
                pay(&mut self.shared.book(), &request)?;
                Err(self.die().await)
            }
            Act::Die => Err(self.die().await),
            Act::Hang => never().await,
            Act::Panic => panic!("scripted"),
            Act::Refuse(status) => Err(status),
            Act::Answer(state, reason) => Ok(Response::new(v1::PaymentResponse {
                message: "as scripted".to_owned(),
                transaction_id: request.transaction_id,
                reason: reason.to_owned(),
                state: state.into(),
                ..v1::PaymentResponse::default()
            })),
        }
    }

    async fn view_balance(
        &self,
        request: Request<v1::BalanceRequest>,
    ) -> Result<Response<v1::BalanceResponse>, Status> {
        self.admit(&request)?;
        let moved: i64 = self.shared.book().moved.values().map(|(_, amount)| amount).sum();
        Ok(Response::new(v1::BalanceResponse {
            success: true,
            account_number: "10000000000001".to_owned(),
            currency_code: "INR".to_owned(),
            balance_minor: 1_000_000 - moved,
            available_minor: 1_000_000 - moved,
            as_of_lsn: 7,
            ..v1::BalanceResponse::default()
        }))
    }

    async fn get_payment(
        &self,
        request: Request<v1::GetPaymentRequest>,
    ) -> Result<Response<v1::PaymentResponse>, Status> {
        self.admit(&request)?;
        let id = request.into_inner().transaction_id;
        let book = self.shared.book();
        let answer = book.answers.get(&id).cloned();
        let answer = answer.map(|(_, answer)| v1::PaymentResponse { replayed: true, ..answer });
        let absent = || status_with(Reason::PaymentNotFound, "never begun", &[]);
        answer.map(Response::new).ok_or_else(absent)
    }

    async fn list_payments(
        &self,
        request: Request<v1::ListPaymentsRequest>,
    ) -> Result<Response<v1::ListPaymentsResponse>, Status> {
        self.admit(&request)?;
        let book = self.shared.book();
        let record = |request: &v1::PaymentRequest| v1::PaymentRecord {
            transaction_id: request.transaction_id.clone(),
            recipient_account_number: request.recipient_account_number.clone(),
            amount_minor: request.amount_minor,
            currency_code: request.currency_code.clone(),
            memo: request.memo.clone(),
            state: v1::PaymentState::Committed.into(),
            ..v1::PaymentRecord::default()
        };
        let mut payments: Vec<_> = book.arrived.iter().rev().map(record).collect();
        payments.dedup_by(|a, b| a.transaction_id == b.transaction_id);
        Ok(Response::new(v1::ListPaymentsResponse { payments, next_page_token: String::new() }))
    }

    type ProcessPaymentsStream = tokio_stream::Empty<Result<v1::ProcessPaymentsResponse, Status>>;

    async fn process_payments(
        &self,
        _: Request<tonic::Streaming<v1::ProcessPaymentsRequest>>,
    ) -> Result<Response<Self::ProcessPaymentsStream>, Status> {
        Err(Status::unimplemented("not by this stand-in"))
    }

    type WatchPaymentsStream = tokio_stream::Empty<Result<v1::WatchPaymentsResponse, Status>>;

    async fn watch_payments(
        &self,
        _: Request<v1::WatchPaymentsRequest>,
    ) -> Result<Response<Self::WatchPaymentsStream>, Status> {
        Err(Status::unimplemented("not by this stand-in"))
    }

    async fn logout(
        &self,
        request: Request<v1::LogoutRequest>,
    ) -> Result<Response<v1::LogoutResponse>, Status> {
        self.admit(&request)?;
        self.shared.book().tokens.clear();
        Ok(Response::new(v1::LogoutResponse {}))
    }
}
