//! A key set that an issuer publishes: fetched in the background, kept when the issuer is down.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use reqwest::{Client, Url, redirect};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use velocity_contract::auth_strategy::JwtAlgorithm;

use crate::error::TokenRefusal;
use crate::jwks::{Key, KeySet};
use crate::strategy::is_loopback;

/// How published key sets are fetched.
#[derive(Debug, Clone, Copy)]
pub struct RemoteKeySettings {
    /// Longest time for one fetch, from connecting to the last byte.
    pub timeout: Duration,
    /// Biggest key set in bytes. Real ones are 1 to 20 KiB.
    pub max_bytes: usize,
    /// How often the set is fetched without anyone asking. Bounds how long a key lives on after its issuer withdrew it.
    pub refresh_every: Duration,
    /// Least time between a fetch and the next one that an unknown key asks for, so that forged tokens cannot make us
    /// flood the issuer.
    pub unknown_key_floor: Duration,
    /// The same after a fetch that failed: shorter, since until then nobody may get in.
    pub retry_floor: Duration,
}

impl Default for RemoteKeySettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            max_bytes: 256 * 1024,
            refresh_every: Duration::from_mins(5),
            unknown_key_floor: Duration::from_secs(30),
            retry_floor: Duration::from_secs(5),
        }
    }
}

/// How fetching one key set goes, for conditions and metrics.
#[derive(Debug, Clone, Default)]
pub struct KeySourceStatus {
    /// Where the keys come from.
    pub url: String,
    /// When they were last fetched.
    pub fetched_at: Option<Timestamp>,
    /// Why the newest attempt failed; `None` when it did not.
    pub error: Option<String>,
    /// Keys in use.
    pub keys: usize,
    /// Keys of the set that cannot be used.
    pub skipped: usize,
}

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the key set cannot be fetched")]
    Request(#[source] reqwest::Error),
    #[error("the key set was answered with status {0}")]
    Status(u16),
    #[error("the key set is bigger than {0} bytes")]
    TooBig(usize),
    #[error("the answer is not a JSON Web Key Set")]
    NotAKeySet(#[source] serde_json::Error),
    #[error("the key set has no key that can be used")]
    NoUsableKey,
}

/// What a fetch gives; other members are the issuer's business.
#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

struct Fetched {
    keys: KeySet,
    status: KeySourceStatus,
}

/// When the set may be fetched again because of an unknown key.
struct Gate {
    next_fetch: Instant,
}

struct Shared {
    url: Url,
    client: Client,
    settings: RemoteKeySettings,
    current: ArcSwap<Fetched>,
    gate: Arc<Mutex<Gate>>,
}

/// The keys of one URL, kept fresh by a task that ends with this value.
pub(crate) struct RemoteKeys {
    shared: Arc<Shared>,
    background: AbortHandle,
}

impl Drop for RemoteKeys {
    fn drop(&mut self) {
        self.background.abort();
    }
}

impl RemoteKeys {
    /// Begins to fetch. Must be called within a Tokio runtime.
    pub(crate) fn start(url: Url, settings: RemoteKeySettings) -> Result<Self, reqwest::Error> {
        let mut client = Client::builder()
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout)
            // A redirect could lead from https to a place that nobody configured.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("velocity/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&url) {
            client = client.no_proxy();
        }
        let status = KeySourceStatus { url: url.to_string(), ..KeySourceStatus::default() };
        let shared = Arc::new(Shared {
            client: client.build()?,
            settings,
            current: ArcSwap::from_pointee(Fetched { keys: KeySet::default(), status }),
            gate: Arc::new(Mutex::new(Gate { next_fetch: Instant::now() })),
            url,
        });
        let background = tokio::spawn(refresh_forever(Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, background })
    }

    /// Calls `use_key` with the key that a token names, fetching the set anew if it is not known and the last fetch is
    /// long enough ago.
    pub(crate) async fn with_key<T>(
        &self,
        kid: Option<&str>,
        algorithm: JwtAlgorithm,
        use_key: impl Fn(&Key) -> T,
    ) -> Result<T, TokenRefusal> {
        if let Some(found) = self.shared.current.load().keys.find(kid, algorithm) {
            return Ok(use_key(found));
        }
        Shared::refresh_if_due(&self.shared).await;
        let current = self.shared.current.load();
        match current.keys.find(kid, algorithm) {
            Some(found) => Ok(use_key(found)),
            None if current.status.fetched_at.is_none() => Err(TokenRefusal::KeysUnavailable),
            None => Err(TokenRefusal::UnknownKey),
        }
    }

    pub(crate) fn status(&self) -> KeySourceStatus {
        self.shared.current.load().status.clone()
    }
}

async fn refresh_forever(shared: Arc<Shared>) {
    // A request may have asked first.
    Shared::refresh_if_due(&shared).await;
    loop {
        tokio::time::sleep(shared.settings.refresh_every).await;
        let gate = Arc::clone(&shared.gate).lock_owned().await;
        shared.refresh(gate).await;
    }
}

impl Shared {
    /// Whoever waits here for a fetch under way finds its result instead of fetching again.
    async fn refresh_if_due(shared: &Arc<Self>) {
        let gate = Arc::clone(&shared.gate).lock_owned().await;
        if Instant::now() < gate.next_fetch {
            return;
        }
        // A task of its own, which takes the gate with it: callers that ask and go away would otherwise give it back
        // before the fetch has counted, and so get round the floor.
        let fetching = Arc::clone(shared);
        if let Err(error) = tokio::spawn(async move { fetching.refresh(gate).await }).await {
            tracing::error!(error = %error, jwks.url = %shared.url, "fetching a key set was cut off");
        }
    }

    /// Fetches; on failure the keys that are known stay.
    async fn refresh(&self, mut gate: OwnedMutexGuard<Gate>) {
        let outcome = self.fetch().await;
        let before = self.current.load_full();
        let floor = match outcome {
            Ok((keys, skipped)) => {
                if before.status.error.is_some() {
                    tracing::info!(jwks.url = %self.url, "the key set can be fetched again");
                }
                let status = KeySourceStatus {
                    url: self.url.to_string(),
                    fetched_at: Some(Timestamp::now()),
                    error: None,
                    keys: keys.len(),
                    skipped,
                };
                self.current.store(Arc::new(Fetched { keys, status }));
                self.settings.unknown_key_floor
            }
            Err(error) => {
                if before.status.error.is_none() {
                    let cause =
                        std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    tracing::warn!(error = %error, cause, jwks.url = %self.url, "keeping the keys that are known");
                }
                let status = KeySourceStatus { error: Some(error.to_string()), ..before.status.clone() };
                self.current.store(Arc::new(Fetched { keys: before.keys.clone(), status }));
                self.settings.retry_floor
            }
        };
        gate.next_fetch = Instant::now() + floor;
    }

    async fn fetch(&self) -> Result<(KeySet, usize), FetchError> {
        let mut response = self.client.get(self.url.clone()).send().await.map_err(FetchError::Request)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(FetchError::Request)? {
            if body.len() + chunk.len() > self.settings.max_bytes {
                return Err(FetchError::TooBig(self.settings.max_bytes));
            }
            body.extend_from_slice(&chunk);
        }
        let published: Published = serde_json::from_slice(&body).map_err(FetchError::NotAKeySet)?;
        let (keys, skipped) = KeySet::from_published(&published.keys);
        // An empty set is more likely a mistake of the issuer than the wish to lock everyone out.
        if keys.len() == 0 {
            return Err(FetchError::NoUsableKey);
        }
        Ok((keys, skipped))
    }
}
