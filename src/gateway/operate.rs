//! What operators change: a payment decided by hand, and the pace of recovery.
//!
//! Who asks is whoever is signed in, never what a request says. Two operators are two client ids.

use super::coordinator::{CoordinatorBox, Replies, Request as Ask, gone, rejected};
use super::service::lost;
use crate::errors::{self, Reason};
use crate::home::{Home, write_private};
use crate::identity::Principal;
use crate::wire::v1::Resolution;
use recovery::gateway::{Input, Reply, Ticket};
use recovery::model::{ClientId, GlobalId, Memo};
use tokio::sync::oneshot;
use tonic::{Request, Status};

async fn ask(
    coordinator: &CoordinatorBox,
    input: impl FnOnce(Ticket) -> Input + Send + 'static,
) -> Result<Reply, Status> {
    let (reply, answer) = oneshot::channel();
    let reply = Replies::One(reply);
    if !coordinator.send(Ask::Operate { input: Box::new(input), reply }) {
        return Err(gone());
    }
    match answer.await {
        Ok(Reply::Rejected(rejection)) => Err(rejected(&rejection)),
        Ok(reply) => Ok(reply),
        Err(_) => Err(lost()),
    }
}

fn malformed(field: &str, why: impl std::fmt::Display) -> Status {
    let told = format!("{field}: {why}");
    errors::status_with(Reason::RequestMalformed, told, &[("field", field)])
}

/// Who is signed in.
pub(super) fn operator<T>(request: &Request<T>) -> Result<ClientId, Status> {
    let principal = request.extensions().get::<Principal>();
    let principal = principal.ok_or_else(|| {
        errors::status(Reason::RoleRequired, "nobody is signed in, and this needs an admin")
    })?;
    Ok(principal.client_id)
}

fn named(id: &str, resolution: Resolution) -> Result<(GlobalId, bool), Status> {
    let payment = id.parse().map_err(|error| malformed("global_id", error))?;
    let commit = match resolution {
        Resolution::Commit => true,
        Resolution::Abort => false,
        Resolution::Unspecified => return Err(malformed("resolution", "commit or abort")),
    };
    Ok((payment, commit))
}

/// The first operator.
pub(super) async fn ask_force(
    coordinator: &CoordinatorBox,
    by: ClientId,
    id: &str,
    resolution: Resolution,
    reason: &str,
) -> Result<(), Status> {
    let (payment, commit) = named(id, resolution)?;
    let why: Memo = reason.trim().parse().map_err(|error| malformed("reason", error))?;
    if why.as_str().is_empty() {
        return Err(malformed("reason", "say why, in 1 to 140 bytes"));
    }
    let asked = move |ticket| Input::AskForce { ticket, payment, commit, by, why };
    ask(coordinator, asked).await.map(drop)
}

/// The second.
pub(super) async fn approve_force(
    coordinator: &CoordinatorBox,
    by: ClientId,
    id: &str,
    resolution: Resolution,
) -> Result<(), Status> {
    let (payment, commit) = named(id, resolution)?;
    let approved = move |ticket| Input::ApproveForce { ticket, payment, commit, by };
    ask(coordinator, approved).await.map(drop)
}

/// The next start is paused, too, until it is resumed.
pub(super) async fn pause(coordinator: &CoordinatorBox, home: &Home) -> Result<(), Status> {
    write_private(&home.pause_marker(), b"recovery is paused: strife admin step, or resume\n")
        .map_err(|failure| Status::internal(failure.what))?;
    ask(coordinator, |ticket| Input::Pause { ticket }).await.map(drop)
}

pub(super) async fn step(coordinator: &CoordinatorBox) -> Result<Option<GlobalId>, Status> {
    match ask(coordinator, |ticket| Input::Step { ticket }).await? {
        Reply::LetGo(payment) => Ok(payment),
        Reply::Payment(_)
        | Reply::Rejected(_)
        | Reply::Page(_)
        | Reply::Finals(_)
        | Reply::Done => Err(lost()),
    }
}

pub(super) async fn resume(coordinator: &CoordinatorBox, home: &Home) -> Result<(), Status> {
    match std::fs::remove_file(home.pause_marker()) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Status::internal(format!("the marker stays: {error}"))),
    }
    ask(coordinator, |ticket| Input::Resume { ticket }).await.map(drop)
}
