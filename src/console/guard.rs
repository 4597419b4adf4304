//! Which requests are listened to at all, and what a browser may do with the answers.
//!
//! A page of somebody else's can make a browser send requests here, by address or by a name that it
//! points at this machine. So the name that was asked for must be one of ours, a request that
//! changes something must come from our own page, and our page runs no script but our own file.

use crate::config::Address;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, Method, StatusCode};
use std::collections::BTreeSet;
use std::sync::Arc;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; manifest-src 'self'; form-action 'none'; frame-ancestors 'none'; \
     base-uri 'none'";

/// What goes with every answer.
const HEADERS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The names under which the page may be asked for: those of the configuration, and this machine's
/// own.
pub(super) fn hosts<const N: usize>(addresses: [&Address; N]) -> Arc<BTreeSet<String>> {
    let names = |address: &Address| {
        let port = address.port();
        let own = ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{port}"));
        own.into_iter().chain([address.to_string()])
    };
    Arc::new(addresses.into_iter().flat_map(names).collect())
}

/// Puts the checks and the headers around `routes`.
pub(super) fn around(routes: Router, hosts: Arc<BTreeSet<String>>) -> Router {
    routes.layer(middleware::from_fn(move |request: Request, next: Next| {
        let refused = refusal(request.method(), request.headers(), &hosts);
        async move {
            let mut response = match refused {
                Some(what) => (StatusCode::FORBIDDEN, what).into_response(),
                None => next.run(request).await,
            };
            with_headers(&mut response);
            response
        }
    }))
}

fn with_headers(response: &mut Response) {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}

/// Why a request is not listened to.
fn refusal(method: &Method, headers: &HeaderMap, hosts: &BTreeSet<String>) -> Option<&'static str> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(&HOST).unwrap_or_default();
    if !hosts.contains(host) {
        return Some("this name is not one that the console goes by");
    }
    let ours = |origin: &str| origin.strip_prefix("http://").is_some_and(|it| hosts.contains(it));
    match text(&ORIGIN) {
        Some(origin) if ours(origin) => None,
        Some(_) => Some("this request comes from another page"),
        None if *method == Method::GET || *method == Method::HEAD => None,
        None => Some("this request does not say which page it comes from"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(method: Method, host: &str, origin: Option<&str>) -> bool {
        let hosts = hosts([&Address::local(51_050)]);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().expect("a value"));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().expect("a value"));
        }
        refusal(&method, &headers, &hosts).is_none()
    }

    #[test]
    fn a_name_of_ours_is_needed_and_a_page_of_ours_to_change_anything() {
        assert!(verdict(Method::GET, "127.0.0.1:51050", None));
        assert!(verdict(Method::GET, "localhost:51050", None));
        assert!(!verdict(Method::GET, "evil.example:51050", None), "a rebound name");
        assert!(!verdict(Method::GET, "127.0.0.1:80", None));
        assert!(!verdict(Method::GET, "", None));
        let (own, other) = ("http://localhost:51050", "http://evil.example");
        assert!(verdict(Method::POST, "localhost:51050", Some(own)));
        assert!(!verdict(Method::POST, "localhost:51050", Some(other)));
        assert!(!verdict(Method::POST, "localhost:51050", Some("null")));
        assert!(!verdict(Method::POST, "localhost:51050", None));
        assert!(!verdict(Method::GET, "localhost:51050", Some(other)));
    }

    #[test]
    fn the_policy_lets_no_script_in_but_the_file() {
        assert!(POLICY.contains("script-src 'self'"));
        assert!(!POLICY.contains("unsafe") && !POLICY.contains('*'));
    }
}
