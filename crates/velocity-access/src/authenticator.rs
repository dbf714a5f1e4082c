//! One strategy at work: the header of a request in, an identity out.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::{SignedDuration, Timestamp};
use moka::sync::Cache;
use serde_json::Value;

use crate::bearer;
use crate::error::{AuthError, TokenRefusal};
use crate::identity::{ActorType, Identity, IdentityParts};
use crate::jwks::{Key, KeySet, KeySourceStatus, RemoteKeySettings, RemoteKeys};
use crate::strategy::{AuthStrategy, Issuer, KeySource};
use crate::token::{UnverifiedToken, check_claims};

/// How long a verified token is believed without verifying it again: bounds how long a withdrawn key lives on here.
const ACCEPTED_SECONDS: u32 = 60;
/// How long a wrong signature is remembered: long enough to make a flood of one forged token cheap, short enough for
/// an issuer that replaces a key under the same `kid`.
const REFUSED_SECONDS: u32 = 5;
/// Memory for verified tokens, in bytes. About 40,000 usual identities.
const ACCEPTED_BYTES: u64 = 32 * 1024 * 1024;
/// Most wrong signatures that are remembered.
const REFUSED_ENTRIES: u64 = 8 * 1024;

/// SHA-256 of a token: the token itself is kept nowhere.
type TokenDigest = [u8; 32];

/// Why a strategy cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The HTTP client for published keys cannot be set up, for example because no root certificates are found.
    #[error("the client that fetches the keys of `{issuer}` cannot be set up")]
    HttpClient {
        /// The issuer.
        issuer: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
}

/// Runs one [`AuthStrategy`]. Make a new one when the strategy changes: its caches go with it.
pub struct Authenticator {
    /// `namespace/name`.
    strategy: String,
    issuers: Vec<RunningIssuer>,
    accepted: Cache<TokenDigest, Accepted>,
    /// Until when a wrong signature is remembered.
    refused: Cache<TokenDigest, Timestamp>,
}

struct RunningIssuer {
    issuer: Issuer,
    keys: RunningKeys,
}

enum RunningKeys {
    Inline(KeySet),
    Remote(RemoteKeys),
}

#[derive(Clone)]
struct Accepted {
    identity: Arc<Identity>,
    until: Timestamp,
}

impl Authenticator {
    /// Starts `strategy`, known as `name` (`namespace/name`), and the fetching of published keys. Must be called within
    /// a Tokio runtime.
    pub fn start(
        name: &str,
        strategy: AuthStrategy,
        settings: RemoteKeySettings,
    ) -> Result<Self, StartError> {
        let issuers = strategy
            .issuers
            .into_iter()
            .map(|issuer| RunningIssuer::start(issuer, settings))
            .collect::<Result<_, _>>()?;
        let accepted = Cache::builder()
            .max_capacity(ACCEPTED_BYTES)
            .weigher(|_, accepted: &Accepted| u32::try_from(accepted.identity.weight()).unwrap_or(u32::MAX))
            .time_to_live(Duration::from_secs(ACCEPTED_SECONDS.into()))
            .build();
        let refused = Cache::builder()
            .max_capacity(REFUSED_ENTRIES)
            .time_to_live(Duration::from_secs(REFUSED_SECONDS.into()))
            .build();
        Ok(Self { strategy: name.to_owned(), issuers, accepted, refused })
    }

    /// The identity behind the `Authorization` headers of a request at `now`. `authorization` must give *all* of them,
    /// so that a second one is refused rather than overlooked.
    ///
    /// A token that was verified within the last minute costs a digest and a look-up. Otherwise its signature is
    /// verified, which waits for the network only when it names an unknown key of an issuer that publishes its keys.
    pub async fn authenticate<'h>(
        &self,
        authorization: impl IntoIterator<Item = &'h [u8]>,
        now: Timestamp,
    ) -> Result<Arc<Identity>, AuthError> {
        let token = bearer::token(authorization)?;
        let digest = token_digest(token);
        if let Some(accepted) = self.accepted.get(&digest).filter(|accepted| now < accepted.until) {
            return Ok(accepted.identity);
        }
        if self.refused.get(&digest).is_some_and(|until| now < until) {
            return Err(TokenRefusal::BadSignature.into());
        }
        // Boxed, so that the future of every request does not carry the state of the rare path.
        Ok(Box::pin(self.verify(token, digest, now)).await?)
    }

    /// How fetching published keys goes, one entry for each issuer with a `jwksUrl`.
    pub fn key_sources(&self) -> Vec<KeySourceStatus> {
        self.issuers
            .iter()
            .filter_map(|running| match &running.keys {
                RunningKeys::Remote(remote) => Some(remote.status()),
                RunningKeys::Inline(_) => None,
            })
            .collect()
    }

    /// The strategy's `namespace/name`.
    pub fn strategy(&self) -> &str {
        &self.strategy
    }

    async fn verify(
        &self,
        token: &[u8],
        digest: TokenDigest,
        now: Timestamp,
    ) -> Result<Arc<Identity>, TokenRefusal> {
        let token = UnverifiedToken::read(token)?;
        let claimed = token.claimed_issuer()?;
        let running =
            self.issuers.iter().find(|r| r.issuer.name == claimed).ok_or(TokenRefusal::UnknownIssuer)?;
        if !running.issuer.algorithms.contains(&token.algorithm()) {
            return Err(TokenRefusal::AlgorithmNotAllowed);
        }
        if !running.is_signature_good(&token).await? {
            self.refused.insert(digest, later(now, REFUSED_SECONDS));
            return Err(TokenRefusal::BadSignature);
        }
        let identity = Arc::new(self.identity(&running.issuer, &token, now)?);
        let with_skew = identity
            .expires_at()
            .saturating_add(SignedDuration::from_secs(running.issuer.clock_skew_seconds));
        let until = later(now, ACCEPTED_SECONDS).min(with_skew.unwrap_or(Timestamp::MAX));
        self.accepted.insert(digest, Accepted { identity: Arc::clone(&identity), until });
        Ok(identity)
    }

    /// The identity of a token whose signature is good.
    fn identity(
        &self,
        issuer: &Issuer,
        token: &UnverifiedToken<'_>,
        now: Timestamp,
    ) -> Result<Identity, TokenRefusal> {
        let claims = token.claims()?;
        let expires_at = check_claims(&claims, issuer, now)?;
        let token_id = match claims.get("jti") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err(crate::claims::ClaimError::Registered("jti").into()),
        };
        let mapped = issuer.claims.apply(&Value::Object(claims))?;
        Ok(Identity::new(IdentityParts {
            actor: mapped.actor,
            actor_type: ActorType::User,
            roles: mapped.roles,
            attributes: mapped.attributes,
            strategy: self.strategy.clone(),
            token_id,
            expires_at,
        })?)
    }
}

impl RunningIssuer {
    fn start(issuer: Issuer, settings: RemoteKeySettings) -> Result<Self, StartError> {
        let keys = match &issuer.keys {
            KeySource::Inline(keys) => RunningKeys::Inline(keys.clone()),
            KeySource::Url(url) => {
                let remote = RemoteKeys::start(url.clone(), settings)
                    .map_err(|source| StartError::HttpClient { issuer: issuer.name.clone(), source })?;
                RunningKeys::Remote(remote)
            }
        };
        Ok(Self { issuer, keys })
    }

    /// Whether the key that the token names, of this issuer and no other, signed it.
    async fn is_signature_good(&self, token: &UnverifiedToken<'_>) -> Result<bool, TokenRefusal> {
        let is_signed_by = |key: &Key| token.is_signed_by(key);
        match &self.keys {
            RunningKeys::Inline(keys) => {
                keys.find(token.kid(), token.algorithm()).map(is_signed_by).ok_or(TokenRefusal::UnknownKey)
            }
            RunningKeys::Remote(remote) => {
                remote.with_key(token.kid(), token.algorithm(), is_signed_by).await
            }
        }
    }
}

fn token_digest(token: &[u8]) -> TokenDigest {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, token).as_ref());
    out
}

fn later(now: Timestamp, seconds: u32) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(seconds.into())).unwrap_or(Timestamp::MAX)
}
