//! Keys and sessions in Postgres, read over a few connections of their own: signing in never waits for a request's lane.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use velocity_access::{
    CredentialStore, NewSession, SessionUpdate, StoreFuture, StoreUnavailable, StoredKey, StoredSession,
};
use velocity_store::owner::{OwnerConnection, OwnerPool};
use velocity_store::platform::{
    AccessError, FoundApiKey, FoundSession, KeyUse, SessionRefresh, StoredSessionRow, create_session,
    end_session, find_api_key, find_session, note_key_uses, refresh_session,
};

use crate::database::OpenError;

/// Keys are remembered for a minute, so look-ups are rare.
const CONNECTIONS: usize = 4;
/// How long one look-up may take, the wait for a connection included.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often uses of keys are written down.
const USES_INTERVAL: Duration = Duration::from_secs(5);

/// The store. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DatabaseCredentials(Arc<Inner>);

struct Inner {
    pool: OwnerPool,
    /// The last use of each key since uses were written down last.
    uses: Mutex<HashMap<String, (Timestamp, Option<IpAddr>)>>,
}

impl fmt::Debug for DatabaseCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseCredentials")
    }
}

impl DatabaseCredentials {
    /// Keys and sessions at `url`, under the API's login. Must be called within a Tokio runtime, in which uses of keys are
    /// written down now and then.
    pub(crate) fn start(url: &str) -> Result<Self, OpenError> {
        let inner = Arc::new(Inner { pool: OwnerPool::new(url, CONNECTIONS)?, uses: Mutex::default() });
        tokio::spawn(write_uses(Arc::downgrade(&inner)));
        Ok(Self(inner))
    }

    /// Writes down the uses of keys that are not yet.
    pub(crate) async fn flush(&self) {
        self.0.flush().await;
    }
}

/// As long as somebody has the store.
async fn write_uses(store: Weak<Inner>) {
    let mut timer = tokio::time::interval(USES_INTERVAL);
    loop {
        timer.tick().await;
        match store.upgrade() {
            Some(store) => store.flush().await,
            None => return,
        }
    }
}

impl Inner {
    fn uses(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Timestamp, Option<IpAddr>)>> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn used(&self, id: &str, at: Timestamp, ip: Option<IpAddr>) {
        let mut uses = self.uses();
        match uses.get_mut(id) {
            Some(known) if known.0 >= at => {}
            Some(known) => *known = (at, ip),
            None => drop(uses.insert(id.to_owned(), (at, ip))),
        }
    }

    async fn flush(&self) {
        let uses: Vec<KeyUse> = std::mem::take(&mut *self.uses())
            .into_iter()
            .map(|(id, (at, ip))| KeyUse { id, at, ip: ip.map(|ip| ip.to_canonical()) })
            .collect();
        if uses.is_empty() {
            return;
        }
        let written = self.ask(async |connection| note_key_uses(connection.client(), &uses).await).await;
        if let Err(error) = written {
            tracing::warn!(%error, keys = uses.len(), "when keys were used last could not be written down; trying again");
            for KeyUse { id, at, ip } in uses {
                self.used(&id, at, ip);
            }
        }
    }

    /// Asks on a connection, which is closed where the answer does not come in time.
    async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&mut OwnerConnection) -> Result<T, AccessError>,
    ) -> Result<T, StoreUnavailable> {
        let connection = tokio::time::timeout(PATIENCE, self.pool.connection()).await;
        let mut connection = connection
            .map_err(|_| StoreUnavailable::new("no connection in time"))?
            .map_err(|error| unavailable(&error))?;
        let Ok(answer) = tokio::time::timeout(PATIENCE, question(&mut connection)).await else {
            connection.abandon();
            return Err(StoreUnavailable::new("no answer in time"));
        };
        answer.map_err(|error| unavailable(&error))
    }
}

pub(crate) fn unavailable(error: &dyn std::error::Error) -> StoreUnavailable {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    StoreUnavailable::new(text)
}

impl CredentialStore for DatabaseCredentials {
    fn api_key<'a>(&'a self, hash: &'a [u8; 32]) -> StoreFuture<'a, Option<StoredKey>> {
        async move {
            let found = self.0.ask(async |connection| find_api_key(connection.client(), hash).await).await?;
            found.map(stored_key).transpose()
        }
        .boxed()
    }

    fn key_used(&self, id: &str, at: Timestamp, ip: Option<IpAddr>) {
        self.0.used(id, at, ip);
    }

    fn session<'a>(&'a self, hash: &'a [u8; 32]) -> StoreFuture<'a, Option<StoredSession>> {
        async move {
            let found = self.0.ask(async |connection| find_session(connection.client(), hash).await).await?;
            Ok(found.map(stored_session))
        }
        .boxed()
    }

    fn create_session<'a>(&'a self, session: &'a NewSession) -> StoreFuture<'a, ()> {
        let row = StoredSessionRow {
            id: session.id.clone(),
            hash: session.hash,
            strategy: session.strategy.clone(),
            actor: session.actor.clone(),
            roles: session.roles.iter().cloned().collect(),
            attributes: session.attributes.clone(),
            csrf: session.csrf.clone(),
            expires_at: session.expires_at,
            refresh_at: session.refresh_at,
            refresh_token: session.refresh_token.clone(),
        };
        async move { self.0.ask(async |connection| create_session(connection.client(), &row).await).await }
            .boxed()
    }

    fn refresh_session<'a>(&'a self, id: &'a str, update: &'a SessionUpdate) -> StoreFuture<'a, bool> {
        let refresh = SessionRefresh {
            generation: update.generation,
            roles: update.roles.iter().cloned().collect(),
            attributes: update.attributes.clone(),
            expires_at: update.expires_at,
            refresh_at: update.refresh_at,
            refresh_token: update.refresh_token.clone(),
        };
        async move {
            self.0.ask(async |connection| refresh_session(connection.client(), id, &refresh).await).await
        }
        .boxed()
    }

    fn end_session<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), StoreUnavailable>> {
        async move { self.0.ask(async |connection| end_session(connection.client(), id).await).await }.boxed()
    }
}

/// A key whose scopes cannot be read is no key: without them it would be one for everything.
fn stored_key(found: FoundApiKey) -> Result<StoredKey, StoreUnavailable> {
    let scopes = serde_json::from_value(found.scopes).map_err(|error| {
        StoreUnavailable::new(format_args!("the scopes of key {} cannot be read: {error}", found.id))
    })?;
    Ok(StoredKey {
        id: found.id,
        actor: found.actor,
        roles: found.roles.into_iter().collect(),
        attributes: found.attributes,
        scopes,
        expires_at: found.expires_at,
        ends_at: found.ends_at,
    })
}

fn stored_session(found: FoundSession) -> StoredSession {
    StoredSession {
        id: found.id,
        strategy: found.strategy,
        actor: found.actor,
        roles: found.roles.into_iter().collect(),
        attributes: found.attributes,
        csrf: found.csrf,
        expires_at: found.expires_at,
        refresh_at: found.refresh_at,
        refresh_token: found.refresh_token,
        generation: found.generation,
    }
}
