//! Who is signed in: tokens, as far as a running gateway needs them on every call.
//!
//! The log is the truth (a session survives a restart); this is its copy for readers on any thread.
//! A token is 256 random bits and is kept as its SHA-256 only. It is bound to the certificate that
//! it was issued over and to the password that was in force.

use super::coordinator::{CoordinatorBox, Replies, Request};
use crate::errors::{Failure, Reason, status, status_retry};
use crate::home::Home;
use crate::identity::{AuthFailure, Authenticator, Caller, Fingerprint, Principal, speaks_for};
use crate::journal::wall_ms;
use crate::users::{self, Passwords, Throttle, TooMany, User, Users};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use recovery::fact::SessionOpened;
use recovery::gateway::Session;
use recovery::model::{AccountNumber, BankName, ClientId};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio::sync::oneshot;
use tonic::Status;

/// Sessions that one client may have at once; the oldest goes when one more is opened.
const SESSIONS_PER_CLIENT_MAX: usize = 64;

/// How often the users file is looked at while calls come in.
const LOOK_MS: u64 = 1_000;

type TokenHash = [u8; 32];

struct Live {
    session: Session,
    last_used_ms: AtomicU64,
}

/// What a call needs to know of its caller, made ready once and not by every call.
struct Member {
    principal: Principal,
    credential_sha256: [u8; 32],
}

/// The users file as it was when it was last looked at.
struct Known {
    users: Users,
    members: HashMap<ClientId, Member>,
    modified: Option<SystemTime>,
}

impl Known {
    fn new(users: Users, modified: Option<SystemTime>) -> Self {
        let member = |user: &User| {
            let (client_id, role) = (user.client_id, user.role);
            let (account, bank) = (user.account(), user.bank());
            let principal = Principal { client_id, role, account, bank };
            (client_id, Member { principal, credential_sha256: user.credential_sha256() })
        };
        let members = users.clients.iter().map(member).collect();
        Self { users, members, modified }
    }
}

pub(super) struct Sessions {
    live: RwLock<HashMap<TokenHash, Live>>,
    known: RwLock<Known>,
    users_file: PathBuf,
    looked_ms: AtomicU64,
    passwords: Passwords,
    throttle: Throttle,
    idle: Duration,
    absolute: Duration,
}

/// A session that was just opened.
pub(super) struct Opened {
    pub(super) token: String,
    pub(super) user: User,
    pub(super) expires_ms: u64,
}

fn too_many(refused: TooMany) -> Status {
    let seconds = refused.wait.as_secs() + 1;
    let what = format!("too many wrong passwords: try again in {seconds} s");
    status_retry(Reason::TooManyGuesses, what, refused.wait)
}

fn sha256(bytes: &[u8]) -> TokenHash {
    Sha256::digest(bytes).into()
}

fn modified(path: &std::path::Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

impl Sessions {
    /// Takes over the sessions that the log knows.
    pub(super) fn new<'a>(
        home: &Home,
        sessions: impl Iterator<Item = (&'a TokenHash, &'a Session)>,
        idle: Duration,
        absolute: Duration,
    ) -> Result<Self, Failure> {
        let users_file = home.users_file();
        let modified = modified(&users_file);
        let known = Known::new(users::load(&users_file)?, modified);
        let now = wall_ms();
        let live =
            sessions.filter(|(_, session)| session.expires_ms > now).map(|(hash, session)| {
                (*hash, Live { session: *session, last_used_ms: AtomicU64::new(now) })
            });
        Ok(Self {
            live: RwLock::new(live.collect()),
            known: RwLock::new(known),
            users_file,
            looked_ms: AtomicU64::new(now),
            passwords: Passwords::new(),
            throttle: Throttle::default(),
            idle,
            absolute,
        })
    }

    /// Reads the users file again when it has changed. A file that cannot be read leaves the users
    /// as they were, and is said.
    fn refresh(&self) {
        let now = modified(&self.users_file);
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).modified;
        if now == known {
            return;
        }
        match users::load(&self.users_file) {
            Ok(users) => {
                let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
                *known = Known::new(users, now);
            }
            Err(failure) => tracing::error!("users stay as they were: {failure}"),
        }
    }

    /// A changed password ends its sessions within [`LOOK_MS`].
    fn look(&self, now: u64) {
        let looked = self.looked_ms.load(Ordering::Relaxed);
        if now.saturating_sub(looked) > LOOK_MS {
            self.looked_ms.store(now, Ordering::Relaxed);
            self.refresh();
        }
    }

    fn user(&self, client: ClientId) -> Option<User> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.users.find(client).cloned()
    }

    /// Where an account of one of the users lies.
    pub(super) fn bank_of(&self, account: AccountNumber) -> Option<BankName> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut users = known.users.clients.iter();
        users.find(|user| user.account() == Some(account)).and_then(User::bank)
    }

    /// Signs in, or says only that it did not work: which part was wrong is nobody's business.
    pub(super) async fn open(
        &self,
        claim: &crate::wire::v1::ClientInfo,
        caller: Caller,
        coordinator: &CoordinatorBox,
    ) -> Result<Opened, Status> {
        let denied = || {
            status(
                Reason::BadCredentials,
                "client, user name, password and bank do not belong together",
            )
        };
        self.refresh();
        // What is no client id at all is nobody's, and may be told at once.
        let client: ClientId = claim.client_id.parse().map_err(|_| denied())?;
        if !speaks_for(caller.role, client) {
            let what = format!("the certificate does not speak for {client}");
            return Err(status(Reason::IdentityMismatch, what));
        }
        let certificate = caller.fingerprint;
        let attempt = self.throttle.admit(client, certificate.0).await.map_err(too_many)?;
        let user = self.user(client);
        let right = self.passwords.verify(user.as_ref(), &claim.username, &claim.password).await;
        let at = |user: &User| user.bank().map(|bank| bank.to_string()).unwrap_or_default();
        let user = user.filter(|user| right && at(user) == claim.bank).ok_or_else(denied)?;
        attempt.succeeded();
        let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let expires_ms = wall_ms() + self.absolute.as_millis() as u64;
        let session = SessionOpened {
            token_sha256: sha256(token.as_bytes()),
            client: user.client_id,
            certificate_sha256: certificate.0,
            credential_sha256: user.credential_sha256(),
            expires_ms,
        };
        self.make_room(user.client_id, coordinator);
        let (reply, done) = oneshot::channel();
        coordinator
            .send(Request::OpenSession { session: session.clone(), reply: Replies::One(reply) });
        done.await.map_err(|_| super::coordinator::gone())?;
        self.admit(&session);
        Ok(Opened { token, user, expires_ms })
    }

    fn admit(&self, opened: &SessionOpened) {
        let session = Session {
            client: opened.client,
            certificate_sha256: opened.certificate_sha256,
            credential_sha256: opened.credential_sha256,
            expires_ms: opened.expires_ms,
        };
        let live = Live { session, last_used_ms: AtomicU64::new(wall_ms()) };
        let mut sessions = self.live.write().unwrap_or_else(PoisonError::into_inner);
        sessions.insert(opened.token_sha256, live);
    }

    /// Ends what has expired, and the client's oldest session when it has too many.
    fn make_room(&self, client: ClientId, coordinator: &CoordinatorBox) {
        let now = wall_ms();
        let ended: Vec<TokenHash> = {
            let sessions = self.live.read().unwrap_or_else(PoisonError::into_inner);
            let over = sessions.iter().filter(|(_, live)| !self.is_alive(live, now));
            let mut ended: Vec<TokenHash> = over.map(|(hash, _)| *hash).collect();
            let own = sessions.iter().filter(|(_, live)| live.session.client == client);
            let mut own: Vec<_> =
                own.map(|(hash, live)| (live.session.expires_ms, *hash)).collect();
            own.sort_unstable();
            let surplus = (own.len() + 1).saturating_sub(SESSIONS_PER_CLIENT_MAX);
            ended.extend(own.into_iter().take(surplus).map(|(_, hash)| hash));
            ended
        };
        for hash in ended {
            self.forget(hash, coordinator);
        }
    }

    /// Ends the session, in the log too. What the caller waits for, if anything, is the answer.
    fn forget(
        &self,
        token_sha256: TokenHash,
        coordinator: &CoordinatorBox,
    ) -> oneshot::Receiver<recovery::gateway::Reply> {
        self.live.write().unwrap_or_else(PoisonError::into_inner).remove(&token_sha256);
        let (reply, done) = oneshot::channel();
        coordinator.send(Request::CloseSession { token_sha256, reply: Replies::One(reply) });
        done
    }

    /// Signs out.
    pub(super) async fn close(&self, token: &str, coordinator: &CoordinatorBox) {
        let done = self.forget(sha256(token.as_bytes()), coordinator);
        let _ = done.await;
    }

    /// Ends every session of a client, and says how many.
    pub(super) async fn close_all(&self, client: ClientId, coordinator: &CoordinatorBox) -> usize {
        let theirs: Vec<TokenHash> = {
            let sessions = self.live.read().unwrap_or_else(PoisonError::into_inner);
            let theirs = sessions.iter().filter(|(_, live)| live.session.client == client);
            theirs.map(|(hash, _)| *hash).collect()
        };
        let count = theirs.len();
        let ended: Vec<_> = theirs.into_iter().map(|hash| self.forget(hash, coordinator)).collect();
        for done in ended {
            let _ = done.await;
        }
        count
    }

    fn is_alive(&self, live: &Live, now: u64) -> bool {
        let idle = now.saturating_sub(live.last_used_ms.load(Ordering::Relaxed));
        live.session.expires_ms > now && idle <= self.idle.as_millis() as u64
    }
}

impl Authenticator for Sessions {
    fn authenticate(
        &self,
        client_id: ClientId,
        token: &str,
        certificate: Fingerprint,
    ) -> Result<Principal, AuthFailure> {
        let now = wall_ms();
        self.look(now);
        let sessions = self.live.read().unwrap_or_else(PoisonError::into_inner);
        // Looked up by hash: how far a guess agrees with a token cannot be timed.
        let live = sessions.get(&sha256(token.as_bytes())).ok_or(AuthFailure::TokenInvalid)?;
        let session = live.session;
        let bound = session.client == client_id && session.certificate_sha256 == certificate.0;
        if !bound || !self.is_alive(live, now) {
            return Err(AuthFailure::TokenInvalid);
        }
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let member = known.members.get(&client_id).ok_or(AuthFailure::TokenInvalid)?;
        if member.credential_sha256 != session.credential_sha256 {
            return Err(AuthFailure::TokenInvalid);
        }
        live.last_used_ms.store(now, Ordering::Relaxed);
        Ok(member.principal)
    }
}
