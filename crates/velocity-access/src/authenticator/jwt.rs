//! Signed bearer tokens of several issuers.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::{SignedDuration, Timestamp};
use moka::sync::Cache;
use serde_json::Value;

use super::{StartError, later};
use crate::credentials::Credentials;
use crate::error::{AuthError, TokenRefusal};
use crate::identity::{ActorType, Credential, Identity, IdentityParts};
use crate::jwks::{Key, KeySet, KeySourceStatus, RemoteKeySettings, RemoteKeys};
use crate::strategy::{Issuer, KeySource};
use crate::token::{UnverifiedToken, check_claims, claimed_issuer};

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

/// Runs a jwt strategy.
pub(super) struct Jwt {
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

impl Jwt {
    /// Starts the issuers of the strategy `name`, and the fetching of their keys.
    pub(super) fn start(
        name: &str,
        issuers: Vec<Issuer>,
        settings: RemoteKeySettings,
    ) -> Result<Self, StartError> {
        let issuers = issuers
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

    /// The identity behind the bearer token. A token is recognised by its issuer: one that is malformed, or from
    /// another issuer, is not this strategy's.
    ///
    /// A token that was verified within the last minute costs a digest and a look-up. Otherwise its signature is
    /// verified, which waits for the network only when it names an unknown key of an issuer that publishes its keys.
    pub(super) async fn authenticate(
        &self,
        credentials: &Credentials<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<Identity>>, AuthError> {
        let token = match credentials.bearer() {
            Ok(token) => token,
            Err(AuthError::Required | AuthError::InvalidToken(TokenRefusal::NotBearer)) => return Ok(None),
            Err(refusal) => return Err(refusal),
        };
        let digest = token_digest(token);
        if let Some(accepted) = self.accepted.get(&digest).filter(|accepted| now < accepted.until) {
            return Ok(Some(accepted.identity));
        }
        if self.refused.get(&digest).is_some_and(|until| now < until) {
            return Err(TokenRefusal::BadSignature.into());
        }
        let Some(running) = self.issuer_of(token) else { return Ok(None) };
        // Boxed, so that the future of every request does not carry the state of the rare path.
        Ok(Some(Box::pin(self.verify(running, token, digest, now)).await?))
    }

    /// The issuer that the token claims to be from, whatever else is wrong with it.
    fn issuer_of(&self, token: &[u8]) -> Option<&RunningIssuer> {
        let claimed = claimed_issuer(token)?;
        self.issuers.iter().find(|running| running.issuer.name == claimed)
    }

    /// How fetching published keys goes, one entry for each issuer with a `jwksUrl`.
    pub(super) fn key_sources(&self) -> Vec<KeySourceStatus> {
        self.issuers
            .iter()
            .filter_map(|running| match &running.keys {
                RunningKeys::Remote(remote) => Some(remote.status()),
                RunningKeys::Inline(_) => None,
            })
            .collect()
    }

    async fn verify(
        &self,
        running: &RunningIssuer,
        token: &[u8],
        digest: TokenDigest,
        now: Timestamp,
    ) -> Result<Arc<Identity>, TokenRefusal> {
        let token = UnverifiedToken::read(token)?;
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
            credential: Credential::Token { id: token_id },
            scopes: None,
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

/// Why a jwt strategy does not recognise the credentials.
pub(super) fn why_not(credentials: &Credentials<'_>) -> AuthError {
    let token = match credentials.bearer() {
        Ok(token) => token,
        Err(refusal) => return refusal,
    };
    match UnverifiedToken::read(token).and_then(|token| token.claimed_issuer().map(|_| ())) {
        Ok(()) => TokenRefusal::UnknownIssuer.into(),
        Err(refusal) => refusal.into(),
    }
}

fn token_digest(token: &[u8]) -> TokenDigest {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, token).as_ref());
    out
}
