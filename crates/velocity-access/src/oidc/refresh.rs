//! Asking the provider again: whether whoever signed in is still welcome, and with which roles.
//!
//! Refresh tokens are often good for one use, and a second use of one ends everything, so exactly one replica may use it.
//! It first *claims* the refresh in the store (compare-and-set on the session's generation, with a time a little ahead as
//! the next one), then asks, then stores what came. Requests on the same replica wait for it; those on others go on with
//! the last answer as long as its access token lasts, and wait after that.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Oidc;
use super::calls::CallError;
use super::error::SignInError;
use super::id_token::{Expected, verify};
use super::session::refresh_at;
use super::tokens::{Kept, Tokens};
use crate::credential_store::{SessionUpdate, StoredSession};
use crate::error::{AuthError, TokenRefusal};
use crate::identity::Identity;

/// How long a replica may take that has claimed a refresh. Also how long nobody tries again after one failed.
const CLAIM_SECONDS: i64 = 10;
/// The same.
pub(super) const CLAIM: Duration = Duration::from_secs(10);
/// How long a request waits for the refresh of another replica.
const WAIT: Duration = Duration::from_secs(3);
/// How often it looks meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a refresh gave.
struct Renewal {
    update: SessionUpdate,
    /// Whether the new roles are known; else the tokens are kept and the request is refused.
    complete: bool,
}

/// Whether a session that is to be refreshed at `at` needs a closer look: it is due, or somebody claimed it.
pub(super) fn may_be_due(at: Timestamp, now: Timestamp) -> bool {
    at.as_second().saturating_sub(CLAIM_SECONDS) <= now.as_second()
}

impl Oidc {
    /// The session as it is after the refresh that may be due at `now`.
    pub(super) async fn renewed(
        &self,
        hash: [u8; 32],
        session: StoredSession,
        now: Timestamp,
    ) -> Result<StoredSession, AuthError> {
        // What is known here may be older than the store.
        self.known.invalidate(&hash);
        let Some(kept) = self.kept(&session) else { return Err(TokenRefusal::SessionEnded.into()) };
        let is_due = |session: &StoredSession| session.refresh_at.is_some_and(|at| at <= now);
        if !is_due(&session) {
            return if now.as_second() < kept.ends { Ok(session) } else { self.await_other(hash, now).await };
        }
        // Who waited here finds the result of who was faster.
        let lock = self.refreshing.get_with(session.id.clone(), || Arc::new(Mutex::new(())));
        let guard = lock.lock_owned().await;
        let session = self.look_up(&hash).await?.ok_or(TokenRefusal::SessionEnded)?;
        if !is_due(&session) {
            drop(guard);
            let ends = self.kept(&session).map_or(0, |kept| kept.ends);
            return if now.as_second() < ends { Ok(session) } else { self.await_other(hash, now).await };
        }
        // A task of its own: once the provider has taken the old token, the new one must reach the store even when the
        // caller has gone.
        let oidc = self.clone();
        let refreshing = tokio::spawn(async move {
            let _guard = guard;
            oidc.refresh(hash, session, now).await
        });
        refreshing.await.unwrap_or(Err(AuthError::StoreUnavailable))
    }

    async fn refresh(
        &self,
        hash: [u8; 32],
        session: StoredSession,
        now: Timestamp,
    ) -> Result<StoredSession, AuthError> {
        let Some(kept) = self.kept(&session) else { return Err(TokenRefusal::SessionEnded.into()) };
        let claim = SessionUpdate {
            generation: session.generation,
            roles: session.roles.clone(),
            attributes: session.attributes.clone(),
            expires_at: session.expires_at,
            refresh_at: now.saturating_add(SignedDuration::from_secs(CLAIM_SECONDS)).ok(),
            refresh_token: session.refresh_token.clone(),
        };
        if !self.change(&session.id, &claim).await? {
            return if now.as_second() < kept.ends { Ok(session) } else { self.await_other(hash, now).await };
        }
        let claimed = StoredSession { generation: session.generation + 1, ..session };
        match self.ask(&claimed, &kept, now).await {
            Ok(renewal) => self.store_renewal(claimed, renewal).await,
            Err(AuthError::InvalidToken(TokenRefusal::ProviderUnavailable))
                if now.as_second() < kept.ends =>
            {
                Ok(claimed)
            }
            Err(error) => {
                if error == TokenRefusal::SessionEnded.into() {
                    self.end(&claimed.id).await?;
                } else {
                    self.failed.insert(claimed.id, ());
                }
                Err(error)
            }
        }
    }

    /// The session as it is once the store has what came.
    async fn store_renewal(
        &self,
        session: StoredSession,
        renewal: Renewal,
    ) -> Result<StoredSession, AuthError> {
        let Renewal { update, complete } = renewal;
        if !self.change(&session.id, &update).await? {
            return Err(TokenRefusal::SessionEnded.into());
        }
        if !complete {
            return Err(TokenRefusal::ProviderUnavailable.into());
        }
        Ok(StoredSession {
            roles: update.roles,
            attributes: update.attributes,
            refresh_at: update.refresh_at,
            refresh_token: update.refresh_token,
            generation: update.generation + 1,
            ..session
        })
    }

    /// Asks the provider. [`TokenRefusal::SessionEnded`]: it wants no more of this session.
    async fn ask(&self, session: &StoredSession, kept: &Kept, now: Timestamp) -> Result<Renewal, AuthError> {
        let unavailable = |_: SignInError| AuthError::from(TokenRefusal::ProviderUnavailable);
        let provider = self.provider.discovered().await.map_err(unavailable)?;
        let old = kept.refresh.as_deref().ok_or(TokenRefusal::SessionEnded)?;
        let form = [("grant_type", "refresh_token"), ("refresh_token", old)];
        let tokens = match self.provider.tokens(&provider, &form).await {
            Ok(tokens) => tokens,
            Err(error @ CallError::Refused("invalid_grant")) => {
                error.told("refresh", &self.strategy.issuer);
                return Err(TokenRefusal::SessionEnded.into());
            }
            // Anything else, such as a client secret that was changed, is not this session's fault.
            Err(error) => return Err(unavailable(error.told("refresh", &self.strategy.issuer))),
        };
        let Some(id_token) = tokens.id_token.as_deref() else {
            // Allowed (OpenID Connect Core 1.0, section 12.2): the provider says yes, and nothing new of the roles.
            return self.renewal(session, kept, &tokens, None, now);
        };
        let expected = Expected {
            access_token: tokens.access_token.as_deref(),
            subject: Some(&kept.subject),
            nonce: None,
        };
        match verify(&provider, &self.strategy.client_id, id_token, expected, now).await {
            Ok(verified) => {
                let claims = verified.claims;
                let shown = StoredSession {
                    actor: claims.actor,
                    roles: claims.roles,
                    attributes: claims.attributes,
                    ..session.clone()
                };
                match self.identity(shown) {
                    Ok(identity) if identity.actor() == session.actor => {
                        self.renewal(session, kept, &tokens, Some(&identity), now)
                    }
                    _ => Err(TokenRefusal::SessionEnded.into()),
                }
            }
            Err(SignInError::IdToken(TokenRefusal::KeysUnavailable | TokenRefusal::UnknownKey)) => {
                self.postponed(session, kept, &tokens, now)
            }
            Err(error) => {
                tracing::warn!(oidc.issuer = self.strategy.issuer, %error, "a refresh gave an ID token that is not taken");
                Err(TokenRefusal::SessionEnded.into())
            }
        }
    }

    /// What the session becomes.
    fn renewal(
        &self,
        session: &StoredSession,
        kept: &Kept,
        tokens: &Tokens,
        identity: Option<&Identity>,
        now: Timestamp,
    ) -> Result<Renewal, AuthError> {
        let new = Kept::of(tokens, kept.subject.clone(), now.as_second());
        let new = Kept {
            // Where the provider gives no new one, the old one goes on.
            refresh: new.refresh.or_else(|| kept.refresh.clone()),
            ..new
        };
        let update = SessionUpdate {
            generation: session.generation,
            roles: identity.map_or_else(|| session.roles.clone(), |identity| identity.roles().clone()),
            attributes: identity
                .map_or_else(|| session.attributes.clone(), |identity| identity.attributes().clone()),
            expires_at: session.expires_at,
            refresh_at: refresh_at(&new, now),
            refresh_token: Some(self.seal_kept(&session.id, &new).map_err(|_| AuthError::StoreUnavailable)?),
        };
        Ok(Renewal { update, complete: true })
    }

    /// The provider's keys cannot be fetched, so the ID token says nothing yet. The new refresh token is kept, and asked
    /// with in a moment.
    fn postponed(
        &self,
        session: &StoredSession,
        kept: &Kept,
        tokens: &Tokens,
        now: Timestamp,
    ) -> Result<Renewal, AuthError> {
        let mut renewal = self.renewal(session, kept, tokens, None, now)?;
        let refresh = tokens.refresh_token.clone().or_else(|| kept.refresh.clone());
        let new = Kept { refresh, ..kept.clone() };
        renewal.update.refresh_token =
            Some(self.seal_kept(&session.id, &new).map_err(|_| AuthError::StoreUnavailable)?);
        renewal.update.refresh_at = now.saturating_add(SignedDuration::from_secs(CLAIM_SECONDS)).ok();
        renewal.complete = false;
        Ok(renewal)
    }

    /// Waits for the replica that has claimed the refresh, for a while.
    async fn await_other(&self, hash: [u8; 32], now: Timestamp) -> Result<StoredSession, AuthError> {
        let until = Instant::now() + WAIT;
        loop {
            let session = self.look_up(&hash).await?.ok_or(TokenRefusal::SessionEnded)?;
            let kept = self.kept(&session).ok_or(TokenRefusal::SessionEnded)?;
            if now.as_second() < kept.ends {
                return Ok(session);
            }
            if Instant::now() >= until || self.failed.contains_key(&session.id) {
                return Err(TokenRefusal::ProviderUnavailable.into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn change(&self, id: &str, update: &SessionUpdate) -> Result<bool, AuthError> {
        self.store.refresh_session(id, update).await.map_err(|error| {
            tracing::warn!(%error, "a session could not be refreshed");
            AuthError::StoreUnavailable
        })
    }
}
