//! The gateway as a process: recovers its log, greets the banks, serves clients.
//!
//! ```text
//!  clients --> service --mail--> coordinator (one owner) --> journal --> mirror
//!                                  ^      |
//!   banks  <== Participate ========'======'  one stream a bank, one batch a turn
//! ```
//!
//! It holds no balance: money is at the banks, and what was decided is in the log.

mod admin;
pub mod auditor;
mod banks;
mod batches;
mod coordinator;
mod ending;
mod inquiry;
mod meters;
pub mod mirror;
mod operate;
mod page;
mod service;
mod sessions;
mod standing;
mod tail;
mod trail;
mod watch;

use crate::accept::{self, Health};
use crate::config::{self, Config};
use crate::errors::{Exit, Failure, Reason};
use crate::home::{Home, Party, Service};
use crate::identity::{self, Gate, IdentityLayer, Load};
use crate::journal::{self, Attached, Clock, Journal, Start, StartPoints, Tail, fresh_start_id};
use crate::tls::Keeper;
use crate::view;
use crate::wire::DESCRIPTORS;
use crate::wire::v1::admin_service_server::AdminServiceServer;
use crate::wire::v1::coordinator_service_server::CoordinatorServiceServer;
use crate::wire::v1::payment_gateway_server::PaymentGatewayServer;
use banks::Bank;
use coordinator::{CoordinatorBox, CoordinatorMail, CoordinatorOwner, CoordinatorShell};
use ending::Doors;
use meters::Meters;
use recovery::drill::point::Point;
use recovery::fact::Started;
use recovery::gateway::{Ack, Coordinator, Halt, Settings, State};
use sessions::Sessions;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use tail::Tailer;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tower::Layer;

/// Recovers and serves the gateway until `stop`.
pub async fn run(home: &Home, config: &Config, stop: CancellationToken) -> Result<(), Failure> {
    let clock = Clock::start();
    identity::show_figures();
    let mut keeper = Keeper::new(home);
    let public_tls = keeper.server(Party::Server)?;
    let internal_tls = keeper.server(Party::Gateway)?;
    let started = recover(home, config)?;
    let banks = Arc::new(banks::all(&mut keeper, config, &started.state)?);
    let sessions = Arc::new(signed_in(home, config, &started.state)?);
    let epoch = started.state.epoch();
    let mirror = attach_mirror(home, &started)?;
    let public = accept::bind(&config.gateway.address).await?;
    let internal = accept::bind(&config.gateway.internal_address).await?;
    let plain = accept::bind_plain("console.address", &config.console.address).await?;
    let health = Doors::closed().await;

    let (mailbox, mail) = CoordinatorBox::new();
    let (halted, mut halt) = mpsc::unbounded_channel();
    let meters = Meters::new(&started.state);
    let shell = CoordinatorShell::new(banks.len(), halted, started.durable.lsn(), meters);
    let feed = mirror.feed.clone();
    let (owner, tail) = own(started, settings(home, config), &mailbox, shell, clock, feed)?;
    let owner = spawn(owner, mail)?;
    // What is in flight when a stop is asked for is finished over these.
    let hang_up = CancellationToken::new();
    for bank in banks.iter().cloned() {
        tokio::spawn(banks::keep(bank, mailbox.clone(), hang_up.clone()));
    }
    let audited = audit(home, config, &mut keeper, &hang_up)?;
    tokio::spawn(keeper.run(stop.clone()));
    let page = page::routes(home, &mailbox, mirror.lag(), config.console.enabled);
    let closing = CancellationToken::new();
    let tailer = Tailer::new(tail, home.data(Service::Gateway), closing.clone());
    let mirror_lsn = Box::new(mirror.progress());
    let shown = Shown { home: home.clone(), clock, mirror_lsn, audited, tailer };
    let outside = routes(config, &mailbox, &sessions, &banks, shown, &closing, &health.outside);
    let inside = inside(config, &mailbox, banks, &health.inside);
    health.open().await;
    let announced = home.announce(Service::Gateway, &config.gateway.address)?;
    tracing::info!(address = %config.gateway.address, epoch, "serving");

    let limits = ending::last_calls(&config.limits);
    let serving = async {
        let inner = limits.ageless();
        let outside = accept::serve(public, public_tls, &limits, outside, closing.clone());
        let inside = accept::serve(internal, internal_tls, &inner, inside, closing.clone());
        tokio::join!(outside, inside, accept::serve_plain(plain, page, closing.clone()))
    };
    let end = async {
        stop.cancelled().await;
        ending::drain(&health, &mailbox, config.limits.drain()).await;
        closing.cancel();
        std::future::pending::<()>().await;
    };
    let halt = tokio::select! {
        _ = serving => None,
        () = end => None,
        halt = halt.recv() => halt,
    };
    drop(announced);
    closing.cancel();
    hang_up.cancel();
    mailbox.close();
    finish(owner, mirror).await;
    halt.map_or(Ok(()), |halt| Err(halted_by(&halt)))
}

fn signed_in(home: &Home, config: &Config, state: &State) -> Result<Sessions, Failure> {
    let (idle, absolute) = (config.gateway.session_idle(), config.gateway.session_absolute());
    Sessions::new(home, state.sessions.iter(), idle, absolute)
}

/// All that was appended is on disk, and the mirror shows it.
async fn finish(owner: JoinHandle<()>, mirror: Attached) {
    let ended = tokio::task::spawn_blocking(move || {
        let _ = owner.join();
        mirror.stop();
    });
    let _ = ended.await;
}

/// Has the logs compared now and then, where that is wanted.
fn audit(
    home: &Home,
    config: &Config,
    keeper: &mut Keeper,
    stop: &CancellationToken,
) -> Result<auditor::Latest, Failure> {
    let audited = auditor::Latest::default();
    if let Some(every) = config.gateway.audit_every() {
        let auditor = auditor::Auditor::new(home, config, keeper)?;
        tokio::spawn(auditor::keep(auditor, every, audited.clone(), stop.clone()));
    }
    Ok(audited)
}

fn inside(
    config: &Config,
    coordinator: &CoordinatorBox,
    banks: Arc<Vec<Bank>>,
    health: &Health,
) -> Gate<axum::Router> {
    let inquiry = inquiry::Inquiry { coordinator: coordinator.clone(), banks };
    let inquiry = CoordinatorServiceServer::new(inquiry);
    let inquiry = inquiry.max_decoding_message_size(config.limits.batch_bytes);
    let routes = Routes::new(inquiry).add_service(health.service());
    IdentityLayer::certificates_only().layer(routes.into_axum_router())
}

/// What operators are shown beside the coordinator's own word.
struct Shown {
    home: Home,
    clock: Clock,
    mirror_lsn: Box<dyn Fn() -> u64 + Send + Sync>,
    audited: auditor::Latest,
    tailer: Tailer,
}

fn attach_mirror(home: &Home, started: &Start<State>) -> Result<Attached, Failure> {
    let born = started.state.cluster.zip(started.state.lineage);
    let (cluster, lineage) = born.expect("a log begins with its identity");
    let durable = started.durable.lsn();
    let path = home.database(Service::Gateway);
    let opened = mirror::open(&path, view::Identity { cluster, lineage }, durable.get());
    journal::attach("mirror", opened, home.data(Service::Gateway), durable)
}

fn routes(
    config: &Config,
    coordinator: &CoordinatorBox,
    sessions: &Arc<Sessions>,
    banks: &Arc<Vec<Bank>>,
    shown: Shown,
    stop: &CancellationToken,
    health: &Health,
) -> Gate<axum::Router> {
    let Shown { home, clock, mirror_lsn, audited, tailer } = shown;
    let gateway = service::Gateway {
        coordinator: coordinator.clone(),
        sessions: Arc::clone(sessions),
        banks: Arc::clone(banks),
        clock,
        stop: stop.clone(),
        streams: batches::Streams::default(),
    };
    let admin = admin::Admin {
        home,
        coordinator: coordinator.clone(),
        sessions: Arc::clone(sessions),
        banks: Arc::clone(banks),
        ack: config.gateway.ack.name(),
        clock,
        retry_ms: Settings::default().retry_ms,
        mirror_lsn,
        audited,
        tailer,
    };
    let gateway = PaymentGatewayServer::new(gateway)
        .max_decoding_message_size(config.limits.message_bytes)
        .max_encoding_message_size(config.limits.message_bytes);
    let admin =
        AdminServiceServer::new(admin).max_decoding_message_size(config.limits.message_bytes);
    let mut routes = Routes::new(gateway).add_service(admin).add_service(health.service());
    if config.gateway.reflection {
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("strife.v1.PaymentGateway")
            .with_service_name("strife.v1.AdminService")
            .with_service_name("grpc.health.v1.Health")
            .build_v1();
        match reflection {
            Ok(reflection) => routes = routes.add_service(reflection),
            Err(error) => tracing::error!("reflection is off: {error}"),
        }
    }
    IdentityLayer::with_sessions(Arc::clone(sessions) as _)
        .trail(Arc::new(trail::LogTrail::new(coordinator.clone())))
        .load(Load::new(config.limits.calls, config.limits.calls_per_client))
        .layer(routes.into_axum_router())
}

fn own(
    started: Start<State>,
    settings: Settings,
    mailbox: &CoordinatorBox,
    shell: CoordinatorShell,
    clock: Clock,
    view: Option<view::Feed>,
) -> Result<(CoordinatorOwner, Tail), Failure> {
    let Start { state, log, durable, .. } = started;
    let awake = mailbox.clone();
    let journal = Journal::start("gateway", log, view, move |durable| awake.durable(durable))
        .map_err(|error| Failure::unexpected("start the log's thread", &error))?;
    if settings.paused {
        tracing::warn!("recovery is paused: go on with strife admin step, or resume");
    }
    let coordinator = Coordinator::new(state, settings, clock.now());
    let tail = journal.tail();
    Ok((CoordinatorOwner::new(coordinator, shell, journal, clock, durable), tail))
}

fn settings(home: &Home, config: &Config) -> Settings {
    Settings {
        paused: home.pause_marker().exists(),
        ack: match config.gateway.ack {
            config::Ack::Settled => Ack::Settled,
            config::Ack::Decided => Ack::Decided,
        },
        two_phase_timeout_ms: config.gateway.two_phase_timeout_ms,
        settle_wait_ms: config.gateway.settle_wait_ms,
        in_flight_max: config.gateway.max_in_flight,
        in_flight_per_bank_max: config.gateway.max_in_flight_per_bank,
        ..Settings::default()
    }
}

fn spawn(
    owner: CoordinatorOwner,
    mail: Receiver<CoordinatorMail>,
) -> Result<JoinHandle<()>, Failure> {
    let thread = std::thread::Builder::new().name("coordinator".into());
    let run = move || drop(owner.run(&mail));
    thread.spawn(run).map_err(|error| Failure::unexpected("start the coordinator's thread", &error))
}

fn recover(home: &Home, config: &Config) -> Result<Start<State>, Failure> {
    let directory = home.data(Service::Gateway);
    let options = wal::Options { segment_bytes: config.wal.segment_bytes };
    let peeked = mirror::peek(&home.database(Service::Gateway));
    let replayed = Point::RecoveringBeforeFence;
    let points = StartPoints { replayed, begun: Some(Point::RecoveringBeforeHello) };
    let begin = |state: &State| {
        let (epoch, start_id) = (state.epoch() + 1, fresh_start_id());
        (epoch, Started { epoch, start_id, version: env!("CARGO_PKG_VERSION").to_owned() }.into())
    };
    let started = journal::open::<State>(&directory, options, peeked, points, |_, _| {}, begin)
        .map_err(|error| error.failure("gateway", directory.clone()))?;
    metrics::gauge!("strife_recovery_seconds").set(started.took.as_secs_f64());
    let torn = started.report.torn.as_ref().map_or(0, |torn| torn.bytes);
    tracing::info!(
        records = started.records,
        payments = started.state.payments.len(),
        in_doubt = started.state.open.len(),
        torn_bytes = torn,
        elapsed_ms = started.took.as_millis() as u64,
        "recovered: every id answers as before, and what is in doubt is settled with the banks"
    );
    let (epoch, in_doubt) = (started.state.epoch(), started.state.open.len());
    journal::note_recovery(&directory, &started, epoch, in_doubt);
    Ok(started)
}

fn halted_by(halt: &Halt) -> Failure {
    let reason = match halt {
        Halt::Fenced { .. } => Reason::Fenced,
        Halt::LogLost { .. } | Halt::DecisionLost { .. } => Reason::LogDamaged,
    };
    let todo = match halt {
        Halt::Fenced { .. } => {
            "Two gateways were started on copies of one directory, or an old copy was put \
             back: keep the one that the banks obey, and stop this one for good."
        }
        Halt::LogLost { .. } | Halt::DecisionLost { .. } => {
            "Restore the newest copy of data/gateway, \
             or rebuild it from the banks: strife rebuild gateway --from-banks"
        }
    };
    Failure::new(reason, halt.to_string())
        .exit(Exit::Damaged)
        .money("This gateway has stopped and moves nothing more; the banks keep what they hold.")
        .todo(todo)
}
