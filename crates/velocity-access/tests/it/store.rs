//! A store of keys in memory that counts, refuses and stops on demand.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use jiff::Timestamp;
use serde_json::Map;
use tokio::sync::Semaphore;
use velocity_access::{
    CredentialStore, NewSession, SessionUpdate, StoreFuture, StoreUnavailable, StoredKey, StoredSession,
};

pub(crate) struct KeyStore {
    pub(crate) keys: Mutex<HashMap<[u8; 32], StoredKey>>,
    pub(crate) used: Mutex<Vec<(String, Option<IpAddr>)>>,
    pub(crate) lookups: AtomicUsize,
    pub(crate) at_once: AtomicUsize,
    pub(crate) most_at_once: AtomicUsize,
    pub(crate) is_down: AtomicBool,
    /// Each look-up takes a permit for good.
    pub(crate) answers: Semaphore,
}

impl KeyStore {
    pub(crate) fn new() -> Self {
        Self {
            keys: Mutex::default(),
            used: Mutex::default(),
            lookups: AtomicUsize::new(0),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
            is_down: AtomicBool::new(false),
            answers: Semaphore::new(Semaphore::MAX_PERMITS),
        }
    }

    pub(crate) fn add(&self, hash: [u8; 32], key: StoredKey) {
        self.keys.lock().unwrap().insert(hash, key);
    }

    pub(crate) fn lookups(&self) -> usize {
        self.lookups.load(Ordering::SeqCst)
    }
}

pub(crate) fn stored(id: &str) -> StoredKey {
    StoredKey {
        id: id.to_owned(),
        actor: "robot".to_owned(),
        roles: BTreeSet::from(["reader".to_owned()]),
        attributes: Map::new(),
        scopes: Vec::new(),
        expires_at: None,
        ends_at: None,
    }
}

impl CredentialStore for KeyStore {
    fn api_key<'a>(&'a self, hash: &'a [u8; 32]) -> StoreFuture<'a, Option<StoredKey>> {
        Box::pin(async move {
            self.lookups.fetch_add(1, Ordering::SeqCst);
            let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_at_once.fetch_max(now, Ordering::SeqCst);
            self.answers.acquire().await.unwrap().forget();
            tokio::task::yield_now().await;
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            if self.is_down.load(Ordering::SeqCst) {
                return Err(StoreUnavailable::new("down"));
            }
            Ok(self.keys.lock().unwrap().get(hash).cloned())
        })
    }

    fn key_used(&self, id: &str, _: Timestamp, ip: Option<IpAddr>) {
        self.used.lock().unwrap().push((id.to_owned(), ip));
    }

    fn session<'a>(&'a self, _: &'a [u8; 32]) -> StoreFuture<'a, Option<StoredSession>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn create_session<'a>(&'a self, _: &'a NewSession) -> StoreFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn refresh_session<'a>(&'a self, _: &'a str, _: &'a SessionUpdate) -> StoreFuture<'a, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn end_session<'a>(&'a self, _: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}
