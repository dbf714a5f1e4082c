//! Sessions: begun by a sign-in, shown by a cookie or a bearer token, ended by a logout.

use std::sync::Arc;

use jiff::Timestamp;
use reqwest::Url;
use uuid::Uuid;

use super::csrf;
use super::error::SignInError;
use super::id_token::{Expected, verify};
use super::provider::Discovered;
use super::refresh::may_be_due;
use super::seal::Kind;
use super::secret::{Holder, is_browser_secret, is_program_secret, random_text, session_secret};
use super::tokens::{Kept, Tokens};
use super::{Oidc, SESSION_COOKIE, TURN};
use crate::api_key::key_hash;
use crate::credential_store::{NewSession, StoredSession};
use crate::credentials::Credentials;
use crate::error::{AuthError, TokenRefusal};
use crate::identity::{ActorType, Credential, Identity, IdentityParts};

/// A session that has just begun. Debug output hides its secret.
pub struct SignedIn {
    /// What shows the session from now on: the cookie's value, or the bearer token. Stored nowhere.
    pub secret: String,
    /// Who signed in.
    pub actor: String,
    /// When the session ends.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIn").field("actor", &self.actor).finish_non_exhaustive()
    }
}

/// What a logout found.
#[derive(Debug, PartialEq, Eq)]
pub enum LoggedOut {
    /// The session has ended. Where the browser ends the one at the provider too, if it can.
    Ended {
        /// The provider's page.
        provider: Option<String>,
    },
    /// There was no session.
    NoSession,
    /// The session belongs to another strategy, `namespace/name`.
    Elsewhere(String),
}

/// A session that was looked up.
#[derive(Clone)]
pub(super) struct Known {
    session: Arc<StoredSession>,
    identity: Arc<Identity>,
}

/// The secret of a session, as a request shows it.
pub(super) struct Shown {
    pub(super) hash: [u8; 32],
    by: Holder,
}

impl Oidc {
    /// A new session for whoever the tokens are of.
    pub(super) async fn sign_in(
        &self,
        provider: &Discovered,
        tokens: &Tokens,
        expected: Expected<'_>,
        holder: Holder,
        now: Timestamp,
    ) -> Result<SignedIn, SignInError> {
        let id_token = tokens.id_token.as_deref().ok_or(SignInError::Incomplete("id_token"))?;
        let verified = verify(provider, &self.strategy.client_id, id_token, expected, now).await?;
        let (id, csrf, secret) = (Uuid::now_v7().to_string(), random_text()?, session_secret(holder)?);
        // Whole seconds, so that it is the same here, in the store and in the cookie.
        let ttl = i64::try_from(self.strategy.session_ttl.as_secs()).unwrap_or_default();
        let expires_at =
            Timestamp::from_second(now.as_second().saturating_add(ttl)).unwrap_or(Timestamp::MAX);
        let identity = Identity::new(IdentityParts {
            actor: verified.claims.actor,
            actor_type: ActorType::User,
            roles: verified.claims.roles,
            attributes: verified.claims.attributes,
            strategy: self.name.clone(),
            credential: Credential::Session { id: id.clone(), csrf: csrf.clone() },
            scopes: None,
            expires_at,
        });
        let identity = identity.map_err(|error| SignInError::IdToken(error.into()))?;
        let kept = Kept::of(tokens, verified.subject, now.as_second());
        let session = NewSession {
            hash: key_hash(secret.as_bytes()),
            strategy: self.name.clone(),
            actor: identity.actor().to_owned(),
            roles: identity.roles().clone(),
            attributes: identity.attributes().clone(),
            csrf,
            expires_at,
            refresh_at: refresh_at(&kept, now),
            refresh_token: Some(self.seal_kept(&id, &kept)?),
            id,
        };
        self.store.create_session(&session).await.map_err(|error| {
            tracing::warn!(%error, "a session could not be kept");
            SignInError::StoreUnavailable
        })?;
        Ok(SignedIn { secret, actor: session.actor, expires_at })
    }

    /// The identity behind the session of a request at `now`, or `None` where it shows none of this strategy.
    ///
    /// A bearer token comes before the cookie: a page that sends one means it. A session whose provider is to be asked
    /// again waits for that.
    pub(crate) async fn authenticate(
        &self,
        credentials: &Credentials<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<Identity>>, AuthError> {
        let Some(shown) = shown(credentials)? else { return Ok(None) };
        let Known { session, identity } = match self.known.get(&shown.hash) {
            Some(known) => known,
            None => match Box::pin(self.look_up_in_turn(&shown.hash)).await? {
                Some(known) => known,
                None => return Ok(None),
            },
        };
        if now >= session.expires_at {
            return Err(TokenRefusal::SessionEnded.into());
        }
        self.check_page(&shown, credentials, &session)?;
        match session.refresh_at {
            // Boxed, so that the future of every request does not carry the state of the rare path.
            Some(at) if may_be_due(at, now) => {
                let session = StoredSession::clone(&session);
                let renewed = Box::pin(self.renewed(shown.hash, session, now)).await?;
                Ok(Some(Arc::new(self.identity(renewed)?)))
            }
            _ => Ok(Some(identity)),
        }
    }

    /// The strategy, `namespace/name`, of the session that a request shows.
    pub async fn strategy_of_session(
        &self,
        credentials: &Credentials<'_>,
    ) -> Result<Option<String>, AuthError> {
        let Some(shown) = shown(credentials)? else { return Ok(None) };
        Ok(self.look_up(&shown.hash).await?.map(|session| session.strategy))
    }

    /// Ends the session that a request shows.
    pub async fn log_out(&self, credentials: &Credentials<'_>) -> Result<LoggedOut, SignInError> {
        let Some(shown) = shown(credentials).map_err(of_credentials)? else {
            return Ok(LoggedOut::NoSession);
        };
        let Some(session) = self.look_up(&shown.hash).await.map_err(of_credentials)? else {
            return Ok(LoggedOut::NoSession);
        };
        if session.strategy != self.name {
            return Ok(LoggedOut::Elsewhere(session.strategy));
        }
        self.check_page(&shown, credentials, &session)?;
        self.end(&session.id).await.map_err(of_credentials)?;
        self.known.invalidate(&shown.hash);
        Ok(LoggedOut::Ended { provider: self.provider_logout().await })
    }

    /// Ends the session whose cookie a browser brought along to a new sign-in, if it is one of this strategy: nobody
    /// could end it later.
    pub async fn end_replaced(&self, secret: &[u8]) {
        if !is_browser_secret(secret) {
            return;
        }
        let hash = key_hash(secret);
        if let Ok(Some(session)) = self.look_up(&hash).await
            && session.strategy == self.name
        {
            // What cannot be ended now ends by its expiry; the sign-in is not held up for it.
            let _ = self.end(&session.id).await;
            self.known.invalidate(&hash);
        }
    }

    /// The provider's logout page (OpenID Connect RP-Initiated Logout 1.0). Without `id_token_hint`, which would spare a
    /// click there: it would hand the ID token out, and some other service may take that for a credential.
    async fn provider_logout(&self) -> Option<String> {
        let provider = self.provider.discovered().await.ok()?;
        let mut url: Url = provider.end_session.clone()?;
        url.query_pairs_mut().append_pair("client_id", &self.strategy.client_id);
        Some(url.into())
    }

    /// With a cookie, the request must come from a page of ours.
    fn check_page(
        &self,
        shown: &Shown,
        credentials: &Credentials<'_>,
        session: &StoredSession,
    ) -> Result<(), TokenRefusal> {
        match shown.by {
            Holder::Program => Ok(()),
            Holder::Browser => csrf::check(credentials, &session.csrf, &self.strategy.origin()),
        }
    }

    /// A session that is not known here, looked up when it is its turn. `None`: it is another strategy's.
    async fn look_up_in_turn(&self, hash: &[u8; 32]) -> Result<Option<Known>, AuthError> {
        let turn = tokio::time::timeout(TURN, self.lookups.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(AuthError::StoreUnavailable) };
        let session = self.look_up(hash).await?.ok_or(TokenRefusal::SessionEnded)?;
        if session.strategy != self.name {
            return Ok(None);
        }
        let identity = Arc::new(self.identity(session.clone())?);
        let known = Known { session: Arc::new(session), identity };
        self.known.insert(*hash, known.clone());
        Ok(Some(known))
    }

    pub(super) async fn look_up(&self, hash: &[u8; 32]) -> Result<Option<StoredSession>, AuthError> {
        self.store.session(hash).await.map_err(|error| {
            tracing::warn!(%error, "a session could not be looked up");
            AuthError::StoreUnavailable
        })
    }

    pub(super) async fn end(&self, id: &str) -> Result<(), AuthError> {
        self.store.end_session(id).await.map_err(|error| {
            tracing::warn!(%error, "a session could not be ended");
            AuthError::StoreUnavailable
        })
    }

    pub(super) fn identity(&self, session: StoredSession) -> Result<Identity, TokenRefusal> {
        Ok(Identity::new(IdentityParts {
            actor: session.actor,
            actor_type: ActorType::User,
            roles: session.roles,
            attributes: session.attributes,
            strategy: self.name.clone(),
            credential: Credential::Session { id: session.id, csrf: session.csrf },
            scopes: None,
            expires_at: session.expires_at,
        })?)
    }

    /// Seals what is kept of the provider's tokens. It opens for the session `id` of this strategy only.
    pub(super) fn seal_kept(&self, id: &str, kept: &Kept) -> Result<Vec<u8>, SignInError> {
        let plain = serde_json::to_vec(kept).map_err(|_| SignInError::Fault)?;
        self.sealer.seal(Kind::Tokens, &self.context_of(id), &plain)
    }

    pub(super) fn kept(&self, session: &StoredSession) -> Option<Kept> {
        let sealed = session.refresh_token.as_deref()?;
        let plain = self.sealer.open(Kind::Tokens, &self.context_of(&session.id), sealed)?;
        serde_json::from_slice(&plain).ok()
    }

    fn context_of(&self, id: &str) -> String {
        format!("{} {id}", self.name)
    }
}

/// When the provider is to be asked again: a little before the access token ends, so that nobody has to wait for the
/// first request after it. Never, where there is nothing to ask with.
pub(super) fn refresh_at(kept: &Kept, now: Timestamp) -> Option<Timestamp> {
    kept.refresh.as_ref()?;
    let lifetime = kept.ends.saturating_sub(now.as_second());
    let early = (lifetime / 5).min(60);
    Timestamp::from_second(kept.ends.saturating_sub(early)).ok()
}

/// The secret that a request shows: the bearer token if there is an Authorization header, else the cookie.
fn shown(credentials: &Credentials<'_>) -> Result<Option<Shown>, AuthError> {
    match credentials.bearer() {
        Ok(token) => match is_program_secret(token) {
            None => Ok(None),
            Some(true) => Ok(Some(Shown { hash: key_hash(token), by: Holder::Program })),
            Some(false) => Err(TokenRefusal::SessionEnded.into()),
        },
        Err(AuthError::Required) => match credentials.cookie(SESSION_COOKIE)? {
            None => Ok(None),
            Some(secret) if is_browser_secret(secret) => {
                Ok(Some(Shown { hash: key_hash(secret), by: Holder::Browser }))
            }
            Some(_) => Err(TokenRefusal::SessionEnded.into()),
        },
        // Another scheme, or two headers: whoever else takes it may.
        Err(_) => Ok(None),
    }
}

fn of_credentials(error: AuthError) -> SignInError {
    match error {
        AuthError::InvalidToken(refusal) => SignInError::Credential(refusal),
        _ => SignInError::StoreUnavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_provider_is_asked_a_little_before_the_access_token_ends() {
        let now = Timestamp::from_second(1_000).unwrap();
        let kept = |refresh: Option<&str>, ends| Kept {
            refresh: refresh.map(str::to_owned),
            subject: "s".to_owned(),
            ends,
        };
        let at = |lifetime: i64| {
            refresh_at(&kept(Some("r"), 1_000 + lifetime), now).map(|t| t.as_second() - 1_000)
        };
        assert_eq!((at(3600), at(300), at(10), at(1)), (Some(3540), Some(240), Some(8), Some(1)));
        assert_eq!(refresh_at(&kept(None, 2_000), now), None);
    }
}
