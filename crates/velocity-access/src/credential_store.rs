//! Where keys and sessions are kept, as this crate needs it. The API implements it over Postgres.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::credential_scope::CredentialScope;

/// What a store gives, later.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreUnavailable>>;

/// The store cannot be asked. The text is for the log, never for a caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreUnavailable(String);

impl StoreUnavailable {
    /// Unavailable for this reason.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

/// Keys and sessions.
///
/// What a store cannot read in full (a scope it does not understand, a role that is not text) is an error and not a
/// shorter answer: a key whose scopes were left out would be a key for everything.
pub trait CredentialStore: Send + Sync + 'static {
    /// The key whose text has this SHA-256, expired or not.
    fn api_key<'a>(&'a self, hash: &'a [u8; 32]) -> StoreFuture<'a, Option<StoredKey>>;

    /// The key was used. Never blocks; kept in batches.
    fn key_used(&self, id: &str, at: Timestamp, ip: Option<IpAddr>);

    /// The session whose secret has this SHA-256, unless it was ended.
    fn session<'a>(&'a self, hash: &'a [u8; 32]) -> StoreFuture<'a, Option<StoredSession>>;

    /// Keeps a new session.
    fn create_session<'a>(&'a self, session: &'a NewSession) -> StoreFuture<'a, ()>;

    /// Changes a session if it is still at `update.generation`, which then grows by one. False: another replica was
    /// faster, or the session has ended.
    fn refresh_session<'a>(&'a self, id: &'a str, update: &'a SessionUpdate) -> StoreFuture<'a, bool>;

    /// Ends a session. One that is not there has ended.
    fn end_session<'a>(&'a self, id: &'a str) -> StoreFuture<'a, ()>;
}

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredKey {
    /// Its id, by which it is listed and revoked.
    pub id: String,
    /// Whom it acts as.
    pub actor: String,
    /// Its roles.
    pub roles: BTreeSet<String>,
    /// Its attributes.
    pub attributes: Map<String, Value>,
    /// What it is narrowed to; empty: to nothing, it may do what its owner may.
    pub scopes: Vec<CredentialScope>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// When it ends because another took its place.
    pub ends_at: Option<Timestamp>,
}

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSession {
    /// Its id, by which it is revoked. Not the secret that the caller sends.
    pub id: String,
    /// The strategy that began it, `namespace/name`. It counts under no other.
    pub strategy: String,
    /// Who signed in.
    pub actor: String,
    /// Their roles.
    pub roles: BTreeSet<String>,
    /// Their attributes.
    pub attributes: Map<String, Value>,
    /// What `X-CSRF-Token` must say.
    pub csrf: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// From when the provider is to be asked again.
    pub refresh_at: Option<Timestamp>,
    /// The provider's refresh token, sealed.
    pub refresh_token: Option<Vec<u8>>,
    /// How often it has been changed.
    pub generation: i64,
}

/// A session to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSession {
    /// Its id.
    pub id: String,
    /// The SHA-256 of its secret.
    pub hash: [u8; 32],
    /// The strategy that began it, `namespace/name`.
    pub strategy: String,
    /// Who signed in.
    pub actor: String,
    /// Their roles.
    pub roles: BTreeSet<String>,
    /// Their attributes.
    pub attributes: Map<String, Value>,
    /// What `X-CSRF-Token` must say.
    pub csrf: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// From when the provider is to be asked again.
    pub refresh_at: Option<Timestamp>,
    /// The provider's refresh token, sealed.
    pub refresh_token: Option<Vec<u8>>,
}

/// What a refresh changes in a session.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionUpdate {
    /// The generation that the session must be at.
    pub generation: i64,
    /// The roles from now on.
    pub roles: BTreeSet<String>,
    /// The attributes from now on.
    pub attributes: Map<String, Value>,
    /// When the session ends.
    pub expires_at: Timestamp,
    /// From when the provider is to be asked again.
    pub refresh_at: Option<Timestamp>,
    /// The provider's new refresh token, sealed.
    pub refresh_token: Option<Vec<u8>>,
}

/// A store without keys and sessions, for installations and tests that have none.
#[derive(Debug, Clone, Copy, Default)]
pub struct EmptyStore;

impl CredentialStore for EmptyStore {
    fn api_key<'a>(&'a self, _: &'a [u8; 32]) -> StoreFuture<'a, Option<StoredKey>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn key_used(&self, _: &str, _: Timestamp, _: Option<IpAddr>) {}

    fn session<'a>(&'a self, _: &'a [u8; 32]) -> StoreFuture<'a, Option<StoredSession>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn create_session<'a>(&'a self, _: &'a NewSession) -> StoreFuture<'a, ()> {
        Box::pin(std::future::ready(Err(StoreUnavailable::new("there is no store for sessions"))))
    }

    fn refresh_session<'a>(&'a self, _: &'a str, _: &'a SessionUpdate) -> StoreFuture<'a, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn end_session<'a>(&'a self, _: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}
