//! The figures of the gateway and the banks, read from their `/metrics` as Prometheus would.

use crate::config::Address;
use axum::body::Body;
use http::{Request, header};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::net::TcpStream;

/// A service that takes longer shows nothing this time.
const PATIENCE: Duration = Duration::from_millis(800);
/// A page of figures is some kilobytes.
const BYTES_MAX: usize = 1 << 20;

/// By name and labels, as they are written there.
pub(super) type Figures = BTreeMap<String, f64>;

/// What is shown at `address`; nothing where nobody answers.
pub(super) async fn read(address: &Address) -> Option<Figures> {
    let text = tokio::time::timeout(PATIENCE, fetch(address)).await.ok()??;
    Some(parse(&text))
}

async fn fetch(address: &Address) -> Option<String> {
    let tcp = TcpStream::connect((address.host(), address.port())).await.ok()?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.ok()?;
    let serving = tokio::spawn(connection);
    let request = Request::get("/metrics").header(header::HOST, address.to_string());
    let request = request.body(String::new()).ok()?;
    let answer = sender.send_request(request).await.ok()?;
    let body = axum::body::to_bytes(Body::new(answer.into_body()), BYTES_MAX).await.ok()?;
    serving.abort();
    String::from_utf8(body.to_vec()).ok()
}

fn parse(text: &str) -> Figures {
    let figure = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_with_their_labels_and_without_their_comments() {
        let figures = parse("# HELP a An a.\n# TYPE a gauge\na{b=\"c d\"} 2.5\n\nb 7\nodd\n");
        assert_eq!(figures.len(), 2);
        assert_eq!((figures["a{b=\"c d\"}"], figures["b"]), (2.5, 7.0));
    }
}
