//! Keys that the platform issued, looked up by their digest.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::DefaultClock;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use jiff::Timestamp;
use moka::sync::Cache;
use tokio::sync::Semaphore;

use super::later;
use crate::api_key::{is_key, key_hash};
use crate::credential_store::{CredentialStore, StoredKey};
use crate::credentials::Credentials;
use crate::error::{AuthError, TokenRefusal};
use crate::identity::{ActorType, Credential, Identity, IdentityParts};
use crate::strategy::ApiKeySettings;

/// How long a key is believed without looking it up again. Revocations are checked every time all the same.
const KNOWN_SECONDS: u32 = 60;
/// How long an unknown key stays unknown: one that has just been made works at once, or a moment later where somebody
/// tried it before.
const UNKNOWN_SECONDS: u32 = 5;
/// Memory for keys, in bytes.
const KNOWN_BYTES: u64 = 16 * 1024 * 1024;
/// Most unknown keys that are remembered.
const UNKNOWN_ENTRIES: u64 = 16 * 1024;
/// Most look-ups at once: a flood of made-up keys takes this many connections at most, and the requests of known keys
/// need none.
const LOOKUPS: usize = 4;
/// How long a request waits for its look-up to begin.
const LOOKUP_WAIT: Duration = Duration::from_secs(2);
/// How many unknown keys one address may try at once, and per second after that. A look-up that finds a key counts too,
/// once a minute for each key.
const TRIES: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);
const TRIES_PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);
/// After how many tries the addresses that have gone quiet are forgotten.
const TRIES_BETWEEN_SWEEPS: u32 = 4096;

/// What one address is for the limit: an IPv6 host usually has a whole /64.
type Origin = u64;

/// Runs an apiKey strategy.
pub(super) struct ApiKeys {
    /// `namespace/name`.
    strategy: String,
    settings: ApiKeySettings,
    store: Arc<dyn CredentialStore>,
    known: Cache<[u8; 32], Known>,
    /// Until when a key is not looked up again, and how it is refused meanwhile.
    unknown: Cache<[u8; 32], Unknown>,
    lookups: Semaphore,
    tries: RateLimiter<Origin, DefaultKeyedStateStore<Origin>, DefaultClock>,
    tries_made: std::sync::atomic::AtomicU32,
}

#[derive(Clone)]
struct Known {
    identity: Arc<Identity>,
    until: Timestamp,
}

#[derive(Clone)]
struct Unknown {
    refusal: TokenRefusal,
    until: Timestamp,
}

impl ApiKeys {
    pub(super) fn new(name: &str, settings: ApiKeySettings, store: Arc<dyn CredentialStore>) -> Self {
        let known = Cache::builder()
            .max_capacity(KNOWN_BYTES)
            .weigher(|_, known: &Known| u32::try_from(known.identity.weight()).unwrap_or(u32::MAX))
            .time_to_live(Duration::from_secs(KNOWN_SECONDS.into()))
            .build();
        let unknown = Cache::builder()
            .max_capacity(UNKNOWN_ENTRIES)
            .time_to_live(Duration::from_secs(UNKNOWN_SECONDS.into()))
            .build();
        Self {
            strategy: name.to_owned(),
            settings,
            store,
            known,
            unknown,
            lookups: Semaphore::new(LOOKUPS),
            tries: RateLimiter::keyed(Quota::per_second(TRIES_PER_SECOND).allow_burst(TRIES)),
            tries_made: std::sync::atomic::AtomicU32::new(0),
        }
    }

    /// The identity behind the key in this strategy's header. Whatever stands there is taken for a key.
    pub(super) async fn authenticate(
        &self,
        credentials: &Credentials<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<Identity>>, AuthError> {
        let Some(text) = credentials.one(&self.settings.header)? else { return Ok(None) };
        // Before the key is looked at, so that the answer says nothing about it.
        if !self.settings.allows(credentials.ip) {
            return Err(TokenRefusal::AddressNotAllowed.into());
        }
        if !is_key(text) {
            return Err(TokenRefusal::KeyMalformed.into());
        }
        let hash = key_hash(text);
        let identity = match self.remembered(&hash, now) {
            Some(identity) => identity?,
            None => Box::pin(self.look_up(&hash, credentials.ip, now)).await?,
        };
        if let Credential::Key { id } = identity.credential() {
            self.store.key_used(id, now, credentials.ip);
        }
        Ok(Some(identity))
    }

    fn remembered(&self, hash: &[u8; 32], now: Timestamp) -> Option<Result<Arc<Identity>, AuthError>> {
        if let Some(known) = self.known.get(hash) {
            // One that has expired since is looked up, to be refused for what the store says.
            return (now < known.until).then_some(Ok(known.identity));
        }
        let unknown = self.unknown.get(hash).filter(|unknown| now < unknown.until)?;
        Some(Err(unknown.refusal.into()))
    }

    async fn look_up(
        &self,
        hash: &[u8; 32],
        ip: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Arc<Identity>, AuthError> {
        self.count_try(ip)?;
        let place = tokio::time::timeout(LOOKUP_WAIT, self.lookups.acquire()).await;
        let Ok(Ok(_place)) = place else { return Err(AuthError::StoreUnavailable) };
        // Somebody who waited in front may have brought the answer.
        if let Some(answer) = self.remembered(hash, now) {
            return answer;
        }
        let stored = self.store.api_key(hash).await.map_err(|error| {
            tracing::warn!(%error, "a key could not be looked up");
            AuthError::StoreUnavailable
        })?;
        match self.identity(stored, now) {
            Ok((identity, ends)) => {
                let until = later(now, KNOWN_SECONDS).min(ends);
                self.known.insert(*hash, Known { identity: Arc::clone(&identity), until });
                Ok(identity)
            }
            Err(refusal) => {
                let unknown = Unknown { refusal: refusal.clone(), until: later(now, UNKNOWN_SECONDS) };
                self.unknown.insert(*hash, unknown);
                Err(refusal.into())
            }
        }
    }

    /// The identity of a key at `now`, and when the key ends.
    fn identity(
        &self,
        stored: Option<StoredKey>,
        now: Timestamp,
    ) -> Result<(Arc<Identity>, Timestamp), TokenRefusal> {
        let key = stored.ok_or(TokenRefusal::KeyUnknown)?;
        let ends = [key.expires_at, key.ends_at].into_iter().flatten().min().unwrap_or(Timestamp::MAX);
        if now >= ends {
            return Err(TokenRefusal::KeyExpired);
        }
        let identity = Identity::new(IdentityParts {
            actor: key.actor,
            actor_type: ActorType::ApiKey,
            roles: key.roles,
            attributes: key.attributes,
            strategy: self.strategy.clone(),
            credential: Credential::Key { id: key.id },
            scopes: (!key.scopes.is_empty()).then_some(key.scopes),
            expires_at: ends,
        })?;
        Ok((Arc::new(identity), ends))
    }

    fn count_try(&self, ip: Option<IpAddr>) -> Result<(), AuthError> {
        use std::sync::atomic::Ordering;
        if self.tries_made.fetch_add(1, Ordering::Relaxed) % TRIES_BETWEEN_SWEEPS == TRIES_BETWEEN_SWEEPS - 1
        {
            self.tries.retain_recent();
        }
        self.tries.check_key(&origin(ip)).map_err(|_| AuthError::TooManyAttempts)
    }
}

/// The address as the limit counts it: IPv4 as it is, IPv6 by its /64. No address is one origin too.
fn origin(ip: Option<IpAddr>) -> Origin {
    match ip.map(|ip| ip.to_canonical()) {
        None => 0,
        Some(IpAddr::V4(ip)) => u64::from(u32::from(ip)),
        Some(IpAddr::V6(ip)) => u64::try_from(u128::from(ip) >> 64).unwrap_or(u64::MAX),
    }
}
