//! Who is signed in at the page: the gateway's own users, and its own sessions.
//!
//! The gateway checks the password and gives a token; the browser gets a cookie that no script can
//! read and that no other site can make it send. Between the two stands a table in memory: a
//! console that was restarted asks to sign in again.

use crate::config::{Address, Config};
use crate::errors::{Failure, Reason, explain, reason_of};
use crate::home::{Home, Party, Service};
use crate::journal::wall_ms;
use crate::tls;
use crate::users::{self, UserRole};
use crate::wire::v1::admin_service_client::AdminServiceClient;
use crate::wire::v1::payment_gateway_client::PaymentGatewayClient;
use crate::wire::v1::{ClientInfo, LogoutRequest, StatusRequest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::COOKIE;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// The cookie's name.
const NAME: &str = "strife_console";
/// People who are signed in at once; the oldest goes for one more.
const SESSIONS_MAX: usize = 128;
/// The gateway is asked again whether a session stands after so long.
const ASK_AGAIN_MS: u64 = 10_000;
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) client_id: String,
    pub(super) role: String,
    token: String,
    expires_ms: u64,
    asked_ms: u64,
}

/// Why nobody is let in.
#[derive(Debug)]
pub(super) enum Denied {
    /// Sign in first.
    SignIn,
    /// The gateway said so.
    Refused(String),
    /// The gateway does not answer.
    Away(String),
}

type Key = [u8; 32];

pub(super) struct Desk {
    home: Home,
    configured: Address,
    sessions: Mutex<HashMap<Key, Session>>,
    channel: Mutex<Option<(Address, Channel)>>,
}

fn key(cookie: &str) -> Key {
    Sha256::digest(cookie.as_bytes()).into()
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get(COOKIE)?.to_str().ok()?;
    all.split(';').find_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('='))
}

impl Session {
    /// A request that speaks for this session.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let value = |text: &str| MetadataValue::try_from(text).ok();
        if let (Some(client), Some(token)) = (value(&self.client_id), value(&self.token)) {
            request.metadata_mut().insert("client-id", client);
            request.metadata_mut().insert("auth-token", token);
        }
        request
    }

    /// As [`Self::request`], with an end.
    pub(super) fn call<T>(&self, message: T) -> Request<T> {
        let mut request = self.request(message);
        request.set_timeout(CALL_TIMEOUT);
        request
    }
}

impl Desk {
    pub(super) fn new(home: &Home, config: &Config) -> Self {
        Self {
            home: home.clone(),
            configured: config.gateway.address.clone(),
            sessions: Mutex::default(),
            channel: Mutex::default(),
        }
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To the gateway, with the admin's certificate.
    fn channel(&self) -> Result<Channel, Failure> {
        let running = self.home.running(Service::Gateway);
        let address = running.map_or_else(|| self.configured.clone(), |running| running.address);
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, channel)) = channel.as_ref()
            && *of == address
        {
            return Ok(channel.clone());
        }
        let made = tls::to_gateway(&self.home, Party::Admin, &address)?;
        *channel = Some((address, made.clone()));
        Ok(made)
    }

    pub(super) fn admin(&self) -> Result<AdminServiceClient<Channel>, Denied> {
        let channel = self.channel().map_err(|failure| Denied::Away(failure.what))?;
        Ok(AdminServiceClient::new(channel))
    }

    /// The cookie for whoever the gateway lets in and may look at everything.
    pub(super) async fn sign_in(&self, username: &str, password: &str) -> Result<String, Denied> {
        let refused = || Denied::Refused("user name and password do not belong together".into());
        let users = users::load(&self.home.users_file());
        let users = users.map_err(|failure| Denied::Away(failure.what))?;
        let operator = |user: &&users::User| user.username == username;
        let user = users.clients.iter().find(operator);
        let client_id = user.map_or(username.to_owned(), |user| user.client_id.to_string());
        let claim = ClientInfo {
            client_id: client_id.clone(),
            username: username.to_owned(),
            password: password.to_owned(),
            bank: String::new(),
        };
        let channel = self.channel().map_err(|failure| Denied::Away(failure.what))?;
        let mut request = Request::new(claim);
        request.set_timeout(CALL_TIMEOUT);
        let answer = PaymentGatewayClient::new(channel).register_client(request).await;
        let answer = answer.map_err(|status| match reason_of(&status) {
            Some(Reason::BadCredentials) => refused(),
            _ => denied(&status),
        })?;
        let answer = answer.into_inner();
        let session = Session {
            client_id,
            role: answer.role.clone(),
            token: answer.auth_token,
            expires_ms: answer.expires_at_unix_ms as u64,
            asked_ms: wall_ms(),
        };
        if ![UserRole::Auditor.name(), UserRole::Admin.name()].contains(&answer.role.as_str()) {
            self.leave(&session).await;
            let what = format!("the console is for auditors and admins, not for a {}", answer.role);
            return Err(Denied::Refused(what));
        }
        let cookie = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        self.keep(key(&cookie), session);
        Ok(format!("{NAME}={cookie}; Path=/; HttpOnly; SameSite=Strict"))
    }

    fn keep(&self, key: Key, session: Session) {
        let mut sessions = self.sessions();
        let now = wall_ms();
        sessions.retain(|_, session| session.expires_ms > now);
        if sessions.len() >= SESSIONS_MAX
            && let Some(oldest) =
                sessions.iter().min_by_key(|(_, it)| it.expires_ms).map(|(key, _)| *key)
        {
            sessions.remove(&oldest);
        }
        sessions.insert(key, session);
    }

    /// Whose request this is. The gateway is asked now and then whether the session stands; while
    /// it is away, which is when the logs are wanted most, a session stands until its end.
    pub(super) async fn session(&self, headers: &HeaderMap) -> Result<Session, Denied> {
        let key = key(cookie(headers).ok_or(Denied::SignIn)?);
        let now = wall_ms();
        let found = self.sessions().get(&key).cloned();
        let session = found.filter(|it| it.expires_ms > now).ok_or(Denied::SignIn)?;
        if now.saturating_sub(session.asked_ms) < ASK_AGAIN_MS {
            return Ok(session);
        }
        let asked = match self.admin() {
            Ok(mut admin) => admin.status(session.call(StatusRequest {})).await.map(drop),
            Err(_) => return Ok(session),
        };
        let over = [Reason::TokenInvalid, Reason::TokenMissing, Reason::RoleRequired];
        if asked.as_ref().err().and_then(reason_of).is_some_and(|reason| over.contains(&reason)) {
            self.sessions().remove(&key);
            return Err(Denied::SignIn);
        }
        if let Some(kept) = self.sessions().get_mut(&key) {
            kept.asked_ms = now;
        }
        Ok(session)
    }

    pub(super) async fn sign_out(&self, headers: &HeaderMap) -> String {
        let session = cookie(headers).and_then(|cookie| self.sessions().remove(&key(cookie)));
        if let Some(session) = session {
            self.leave(&session).await;
        }
        format!("{NAME}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")
    }

    async fn leave(&self, session: &Session) {
        if let Ok(channel) = self.channel() {
            let request = session.call(LogoutRequest { everywhere: false });
            let _ = PaymentGatewayClient::new(channel).logout(request).await;
        }
    }
}

/// What a failed call means to whoever looks at the page.
pub(super) fn denied(status: &Status) -> Denied {
    match reason_of(status) {
        Some(Reason::TokenInvalid | Reason::TokenMissing) => Denied::SignIn,
        Some(Reason::RoleRequired | Reason::IdentityMismatch) => {
            Denied::Refused(explain(status).what)
        }
        _ => Denied::Away(explain(status).what),
    }
}
