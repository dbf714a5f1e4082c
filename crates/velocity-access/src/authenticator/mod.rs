//! One strategy at work: the credentials of a request in, an identity out.

mod api_key;
mod jwt;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use velocity_schema::schema::StrategyRef;

use crate::api_key::is_key;
use crate::credential_store::{CredentialStore, EmptyStore};
use crate::credentials::Credentials;
use crate::error::{AuthError, TokenRefusal};
use crate::identity::Identity;
use crate::jwks::{KeySourceStatus, RemoteKeySettings};
use crate::oidc::Oidc;
use crate::sealing_key::SealingKey;
use crate::strategy::{AuthStrategy, Kind};

use api_key::ApiKeys;
use jwt::Jwt;

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
    /// The Secret that `clientSecretRef` names is not there.
    #[error("the client secret that `clientSecretRef` names is missing")]
    ClientSecret,
    /// The installation's key for sealing does not work.
    #[error("the installation's key for sealing does not work")]
    SealingKey,
}

/// What strategies need from where they run.
#[derive(Clone)]
pub struct Context {
    /// How published keys are fetched.
    pub keys: RemoteKeySettings,
    /// Where keys and sessions are kept.
    pub store: Arc<dyn CredentialStore>,
    /// The installation's key for sealed cookies and refresh tokens.
    pub sealing_key: SealingKey,
    /// What the Secret of an oidc strategy's `clientSecretRef` holds.
    pub client_secret: Option<String>,
}

impl Default for Context {
    /// A place without keys and sessions: enough for jwt.
    fn default() -> Self {
        Self {
            keys: RemoteKeySettings::default(),
            store: Arc::new(EmptyStore),
            sealing_key: SealingKey::random(),
            client_secret: None,
        }
    }
}

/// Runs one [`AuthStrategy`]. Make a new one when the strategy changes: its caches go with it.
pub struct Authenticator {
    /// `namespace/name`.
    strategy: String,
    fail_open: bool,
    running: Running,
}

enum Running {
    Jwt(Jwt),
    ApiKey(ApiKeys),
    Oidc(Box<Oidc>),
    Composite(Vec<StrategyRef>),
}

impl Authenticator {
    /// Starts `strategy`, known as `name` (`namespace/name`), and the fetching of published keys. Must be called within
    /// a Tokio runtime.
    pub fn start(name: &str, strategy: AuthStrategy, context: Context) -> Result<Self, StartError> {
        let namespace = name.split_once('/').map_or("", |(namespace, _)| namespace);
        let running = match strategy.kind {
            Kind::Jwt(issuers) => Running::Jwt(Jwt::start(name, issuers, context.keys)?),
            Kind::ApiKey(settings) => Running::ApiKey(ApiKeys::new(name, settings, context.store)),
            Kind::Oidc(oidc) => Running::Oidc(Box::new(Oidc::start(name, *oidc, context)?)),
            Kind::Composite(members) => {
                Running::Composite(members.iter().map(|member| member.in_namespace(namespace)).collect())
            }
        };
        Ok(Self { strategy: name.to_owned(), fail_open: strategy.fail_open, running })
    }

    /// The identity behind a request's credentials at `now`, or `None` where this strategy does not recognise any of
    /// them as its own: then another may, and [`why_not`](Self::why_not) says what is wrong where there is no other. A
    /// credential that is recognised and not good is an error, and no other strategy is to be asked.
    ///
    /// A composite recognises nothing itself: whoever runs it asks its [`members`](Self::members).
    pub async fn authenticate(
        &self,
        credentials: &Credentials<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<Identity>>, AuthError> {
        match &self.running {
            Running::Jwt(jwt) => jwt.authenticate(credentials, now).await,
            Running::ApiKey(keys) => keys.authenticate(credentials, now).await,
            Running::Oidc(oidc) => oidc.authenticate(credentials, now).await,
            Running::Composite(_) => Ok(None),
        }
    }

    /// Why this strategy recognises none of these credentials.
    pub fn why_not(&self, credentials: &Credentials<'_>) -> AuthError {
        if credentials.bearer().is_ok_and(is_key) {
            return TokenRefusal::KeyAsBearer.into();
        }
        match &self.running {
            Running::Jwt(_) => jwt::why_not(credentials),
            Running::Oidc(_) => match credentials.bearer() {
                Ok(_) => TokenRefusal::NotRecognised.into(),
                Err(refusal) => refusal,
            },
            // Whatever is in the header of keys is taken for one, so there was nothing.
            Running::ApiKey(_) | Running::Composite(_) => AuthError::Required,
        }
    }

    /// The members of a composite, in order; `None` for any other strategy.
    pub fn members(&self) -> Option<&[StrategyRef]> {
        match &self.running {
            Running::Composite(members) => Some(members),
            Running::Jwt(_) | Running::ApiKey(_) | Running::Oidc(_) => None,
        }
    }

    /// The sign-in of an oidc strategy.
    pub fn oidc(&self) -> Option<&Oidc> {
        match &self.running {
            Running::Oidc(oidc) => Some(oidc),
            _ => None,
        }
    }

    /// Whether requests are let through when revocations cannot be checked.
    pub fn fail_open(&self) -> bool {
        self.fail_open
    }

    /// How fetching published keys goes, one entry for each issuer with a `jwksUrl`.
    pub fn key_sources(&self) -> Vec<KeySourceStatus> {
        match &self.running {
            Running::Jwt(jwt) => jwt.key_sources(),
            Running::ApiKey(_) | Running::Oidc(_) | Running::Composite(_) => Vec::new(),
        }
    }

    /// The strategy's `namespace/name`.
    pub fn strategy(&self) -> &str {
        &self.strategy
    }
}

fn later(now: Timestamp, seconds: u32) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(seconds.into())).unwrap_or(Timestamp::MAX)
}
