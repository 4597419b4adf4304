//! One bank as a process: recovers its journal, serves its port, asks the gateway.
//!
//! ```text
//!   gateway ==Participate==> service --mail--> ledger (one owner) --> journal --> book
//!                               ^                 |
//!                               '--- reports -----'
//! ```
//!
//! It knows nothing of the gateway but the proto.

pub mod book;
mod inquiry;
mod ledger;
mod meters;
mod service;

use crate::accept::{self, Health};
use crate::config::{self, Config};
use crate::errors::{Exit, Failure, Reason};
use crate::home::{Home, Party, Service, notify};
use crate::identity::{self, Gate, IdentityLayer, Role};
use crate::journal::{self, Attached, Clock, Journal, Start, StartPoints, fresh_start_id};
use crate::tls::{self, Keeper};
use crate::view;
use crate::wire::v1::bank_service_server::BankServiceServer;
use ledger::{LedgerBox, LedgerMail, LedgerOwner, LedgerShell};
use meters::Meters;
use recovery::bank::{Ledger, Settings, State};
use recovery::drill::point::Point;
use recovery::fact::BankStarted;
use recovery::message::Unwelcome;
use recovery::model::BankName;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::Layer;

/// Recovers and serves `bank` until `stop`.
pub async fn run(
    home: &Home,
    config: &Config,
    bank: BankName,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let clock = Clock::start();
    identity::show_figures();
    let place = place(config, bank)?;
    let mut keeper = Keeper::new(home);
    let tls = keeper.server(Party::Bank(bank))?;
    let asking = keeper.client(Party::Bank(bank), Role::Gateway)?;
    let to_gateway = tls::channel(&config.gateway.internal_address, asking, tls::Link::Calls)?;
    let started = recover(home, config, bank)?;
    let book = attach_book(home, bank, &started)?;
    let listener = accept::bind(&place.address).await?;
    let plain = meters::bind(bank, place).await?;
    let health = Health::new(&["strife.v1.BankService"]).await;

    let (mailbox, mail) = LedgerBox::new();
    let (inquiries, asked) = mpsc::unbounded_channel();
    let (halted, mut halt) = mpsc::unbounded_channel();
    let start = started.state.start().expect("it has just started");
    let meters = Meters::new(&started.state);
    let shell = LedgerShell::new(inquiries, halted, started.durable.lsn(), meters);
    let owner = own(started, &mailbox, shell, clock, book.feed.clone())?;
    let owner = spawn(owner, mail)?;

    let asking = inquiry::run(to_gateway, bank, start, asked, stop.clone());
    tokio::spawn(asking);
    let closing = CancellationToken::new();
    let stop_streams = closing.clone();
    let service = service::Bank { name: bank, ledger: mailbox.clone(), clock, stop: stop_streams };
    let page = meters::routes(home, bank, &mailbox, book.lag());
    let routes = routes(service, config, &health);
    health.serving().await;
    let announced = home.announce(Service::Bank(bank), &place.address)?;
    tracing::info!(%bank, address = %place.address, epoch = start.epoch, "serving");

    tokio::spawn(keeper.run(stop.clone()));
    let limits = config.limits.ageless();
    let serving = async {
        let serving = accept::serve(listener, tls, &limits, routes, closing.clone());
        tokio::join!(serving, accept::serve_plain(plain, page, closing.clone()))
    };
    let end = async {
        stop.cancelled().await;
        notify::stopping();
        health.draining().await;
        health.close().await;
        closing.cancel();
        std::future::pending::<()>().await;
    };
    let lost = tokio::select! {
        _ = serving => None,
        () = end => None,
        lost = halt.recv() => lost,
    };
    drop(announced);
    stop.cancel();
    closing.cancel();
    mailbox.close();
    let ended = tokio::task::spawn_blocking(move || {
        let _ = owner.join();
        book.stop();
    });
    let _ = ended.await;
    lost.map_or(Ok(()), |lost| Err(journal_lost(bank, &lost)))
}

fn place(config: &Config, bank: BankName) -> Result<&config::Bank, Failure> {
    config.banks.get(&bank).filter(|place| !place.foreign).ok_or_else(|| {
        Failure::plain(Exit::Configuration, format!("strife.toml has no bank {bank} of ours")).todo(
            "Add a table [banks.NAME] with its address, or check the name: strife config show",
        )
    })
}

fn routes(service: service::Bank, config: &Config, health: &Health) -> Gate<axum::Router> {
    let service = BankServiceServer::new(service)
        .max_decoding_message_size(config.limits.batch_bytes)
        .max_encoding_message_size(config.limits.batch_bytes);
    let routes = tonic::service::Routes::new(service).add_service(health.service());
    IdentityLayer::certificates_only().layer(routes.into_axum_router())
}

fn attach_book(home: &Home, bank: BankName, started: &Start<State>) -> Result<Attached, Failure> {
    let born = started.state.cluster.zip(started.state.lineage);
    let (cluster, lineage) = born.expect("a journal begins with its identity");
    let (service, durable) = (Service::Bank(bank), started.durable.lsn());
    let identity = view::Identity { cluster, lineage };
    let opened = book::open(&home.database(service), identity, bank, durable.get());
    journal::attach("book", opened, home.data(service), durable)
}

fn own(
    started: Start<State>,
    mailbox: &LedgerBox,
    shell: LedgerShell,
    clock: Clock,
    view: Option<view::Feed>,
) -> Result<LedgerOwner, Failure> {
    let Start { state, log, durable, .. } = started;
    let awake = mailbox.clone();
    let journal = Journal::start("bank", log, view, move |durable| awake.durable(durable))
        .map_err(|error| Failure::unexpected("start the journal's thread", &error))?;
    let ledger = Ledger::new(state, Settings::default(), clock.now());
    Ok(LedgerOwner::new(ledger, shell, journal, clock, durable))
}

fn spawn(owner: LedgerOwner, mail: Receiver<LedgerMail>) -> Result<JoinHandle<()>, Failure> {
    let thread = std::thread::Builder::new().name("ledger".into());
    let run = move || drop(owner.run(&mail));
    thread.spawn(run).map_err(|error| Failure::unexpected("start the ledger's thread", &error))
}

fn recover(home: &Home, config: &Config, bank: BankName) -> Result<Start<State>, Failure> {
    let directory = home.data(Service::Bank(bank));
    let options = wal::Options { segment_bytes: config.wal.segment_bytes };
    let started = journal::open::<State>(
        &directory,
        options,
        book::peek(&home.database(Service::Bank(bank))),
        StartPoints { replayed: Point::BankRecovering, begun: None },
        |_, _| {},
        |state| {
            let (epoch, start_id) = (state.epoch() + 1, fresh_start_id());
            let version = env!("CARGO_PKG_VERSION").to_owned();
            (epoch, BankStarted { epoch, start_id, version }.into())
        },
    )
    .map_err(|error| error.failure(bank.as_str(), directory.clone()))?;
    if started.state.bank != Some(bank) {
        let what = format!("{} holds the journal of another bank", directory.display());
        return Err(Failure::plain(Exit::Damaged, what).money("Nothing was served."));
    }
    report(bank, &started);
    let (epoch, in_doubt) = (started.state.epoch(), started.state.open.len());
    journal::note_recovery(&directory, &started, epoch, in_doubt);
    Ok(started)
}

fn report(bank: BankName, started: &Start<State>) {
    metrics::gauge!("strife_recovery_seconds").set(started.took.as_secs_f64());
    let torn = started.report.torn.as_ref().map_or(0, |torn| torn.bytes);
    tracing::info!(
        %bank,
        records = started.records,
        torn_bytes = torn,
        in_doubt = started.state.open.len(),
        elapsed_ms = started.took.as_millis() as u64,
        "recovered: every hold without an outcome is kept, and the gateway is asked"
    );
}

fn journal_lost(bank: BankName, lost: &Unwelcome) -> Failure {
    Failure::new(Reason::DataMissing, lost.to_string())
        .money(
            "This bank's journal is shorter than the gateway knows it was; nothing more is served.",
        )
        .todo(format!(
            "Restore the newest copy of {bank}'s data, or rebuild it: strife rebuild bank {bank} \
             --from-gateway"
        ))
}
