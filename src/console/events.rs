//! The log as it grows, to a browser: server-sent events whose id is the newest record's number.
//!
//! A browser that lost its connection says the last id that it has, and misses nothing.

use super::Shared;
use super::desk::Session;
use super::record::Told;
use crate::wire::v1::{LogRecord, TailLogRequest, TailLogResponse};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt, stream};
use serde_json::json;
use std::convert::Infallible;
use std::time::Duration;
use tonic::{Status, Streaming};
use wal::{Lsn, Record};

/// A connection that says nothing is taken for dead by those between.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How soon a browser comes back.
const RETRY: Duration = Duration::from_millis(700);

/// Everything behind `after`, for as long as both ends are there.
pub(super) async fn stream(
    console: Shared,
    session: Session,
    after: u64,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, super::desk::Denied> {
    let request = session.request(TailLogRequest { after_lsn: after });
    let records = console.desk.admin()?.tail_log(request).await;
    let records = records.map_err(|status| super::desk::denied(&status))?.into_inner();
    let hello = Event::default().retry(RETRY).event("hello").data("{}");
    let stop = console.stop.clone().cancelled_owned();
    let all = stream::iter([Ok(hello)]).chain(events(records)).take_until(stop);
    Ok(Sse::new(all).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Ends where the gateway's stream ends: then the browser comes back by itself.
fn events(records: Streaming<TailLogResponse>) -> impl Stream<Item = Result<Event, Infallible>> {
    let told = |answer: Result<TailLogResponse, Status>| async move {
        let told: Vec<Told> = answer.ok()?.records.iter().map(read).collect();
        let last = told.last()?.lsn;
        let data = json!(told).to_string();
        Some(Ok(Event::default().id(last.to_string()).event("records").data(data)))
    };
    records.take_while(|answer| std::future::ready(answer.is_ok())).filter_map(told)
}

fn read(record: &LogRecord) -> Told {
    Told::of(&Record {
        lsn: Lsn::new(record.lsn),
        wall_ms: record.wall_unix_ms,
        kind: u16::try_from(record.kind).unwrap_or(u16::MAX),
        kind_version: u16::try_from(record.kind_version).unwrap_or(u16::MAX),
        payload: &record.payload,
    })
}
