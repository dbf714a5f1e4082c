//! Sign-in with OpenID Connect: authorisation code with PKCE for browsers, the device flow for programs, and the sessions
//! that both begin.
//!
//! The provider's answers are turned into a session of ours, kept in the store under the SHA-256 of its secret. A browser
//! has the secret in a cookie, a program as a bearer token; nothing that the provider issues ever leaves the server.
//! What the rules are and why: `docs/decisions/0012-sign-in.md`.

mod calls;
mod csrf;
mod device;
mod error;
mod id_token;
mod login;
mod provider;
mod refresh;
mod return_path;
mod seal;
mod secret;
mod session;
mod spec;
mod tokens;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

pub use csrf::CrossSite;
pub use error::SignInError;
pub use login::{Callback, LoginBegun};
pub use return_path::{NotLocal, ReturnPath};
pub use seal::named_strategy;
pub use session::{LoggedOut, SignedIn};
pub(crate) use spec::OidcStrategy;

use crate::authenticator::{Context, StartError};
use crate::credential_store::CredentialStore;
use provider::Provider;
use seal::Sealer;
use session::Known;

/// The cookie of a session. `__Host-`: the browser takes it over TLS only (or from this machine), for this host alone.
pub const SESSION_COOKIE: &str = "__Host-velocity_session";
/// The cookie of a sign-in under way.
pub const LOGIN_COOKIE: &str = "__Host-velocity_login";
/// How long a sign-in may take, in seconds.
pub const LOGIN_SECONDS: i64 = login::LOGIN_SECONDS;

/// How long a session is believed without looking it up again. What ends one also revokes it, and revocations are checked
/// every time; what this puts off is news of roles that another replica has heard.
const KNOWN_SECONDS: u64 = 5;
/// Most sessions that are remembered.
const KNOWN: u64 = 10_000;
/// Most look-ups at once: a flood of made-up cookies takes this many connections at most, and known sessions need none.
const LOOKUPS: usize = 4;
/// Most sign-ins that talk with the provider at once.
const SIGN_INS: usize = 16;
/// How long one waits for its turn.
const TURN: Duration = Duration::from_secs(2);

/// Runs one oidc strategy. Cheap to clone.
#[derive(Clone)]
pub struct Oidc(Arc<Inner>);

/// What [`Oidc`] shares.
pub struct Inner {
    /// `namespace/name`.
    name: String,
    strategy: Arc<OidcStrategy>,
    provider: Arc<Provider>,
    store: Arc<dyn CredentialStore>,
    sealer: Sealer,
    /// Sessions that were looked up a moment ago, by the SHA-256 of their secret.
    known: Cache<[u8; 32], Known>,
    lookups: Semaphore,
    /// The sessions that are being refreshed here, by id.
    refreshing: Cache<String, Arc<Mutex<()>>>,
    /// The sessions whose refresh has failed here a moment ago: nobody waits for a replica that will not come.
    failed: Cache<String, ()>,
    places: Arc<Semaphore>,
}

impl Deref for Oidc {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Oidc {
    /// Starts the strategy known as `name` (`namespace/name`). Must be called within a Tokio runtime: the provider is
    /// looked up at once, so that what does not fit is in the log before anyone signs in.
    pub(crate) fn start(name: &str, strategy: OidcStrategy, context: Context) -> Result<Self, StartError> {
        let secret = match (strategy.has_secret, context.client_secret) {
            (true, None) => return Err(StartError::ClientSecret),
            (true, secret) => secret,
            (false, _) => None,
        };
        let strategy = Arc::new(strategy);
        let provider = Arc::new(Provider::new(Arc::clone(&strategy), secret, context.keys)?);
        let sealer = Sealer::new(&context.sealing_key).map_err(|_| StartError::SealingKey)?;
        let early = Arc::clone(&provider);
        tokio::spawn(async move { early.discovered().await.is_ok() });
        // Twice the longest that a refresh may take.
        let refreshing = Cache::builder().time_to_idle(Duration::from_mins(1)).build();
        let known =
            Cache::builder().max_capacity(KNOWN).time_to_live(Duration::from_secs(KNOWN_SECONDS)).build();
        Ok(Self(Arc::new(Inner {
            name: name.to_owned(),
            strategy,
            provider,
            store: context.store,
            sealer,
            known,
            lookups: Semaphore::new(LOOKUPS),
            refreshing,
            failed: Cache::builder().max_capacity(KNOWN).time_to_live(refresh::CLAIM).build(),
            places: Arc::new(Semaphore::new(SIGN_INS)),
        })))
    }

    /// The strategy's `namespace/name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A place among the sign-ins that talk with the provider: anyone may start one, and the provider is not ours to
    /// flood.
    async fn place(&self) -> Result<OwnedSemaphorePermit, SignInError> {
        let turn = tokio::time::timeout(TURN, Arc::clone(&self.places).acquire_owned()).await;
        turn.map_err(|_| SignInError::Busy)?.map_err(|_| SignInError::Fault)
    }
}
