//! Sign-in with OpenID Connect: authorisation code with PKCE for browsers, the device flow for programs, and the sessions
//! that both begin.
//!
//! The provider's answers are turned into a session of ours, kept in the store under the SHA-256 of its secret. A browser
//! has the secret in a cookie, a program as a bearer token; nothing that the provider issues ever leaves the server.

mod spec;

pub(crate) use spec::OidcStrategy;

/// Runs an oidc strategy.
pub struct Oidc {
    strategy: OidcStrategy,
}

impl Oidc {
    pub(crate) fn start(
        _name: &str,
        strategy: OidcStrategy,
        context: crate::Context,
    ) -> Result<Self, crate::StartError> {
        if strategy.has_secret && context.client_secret.is_none() {
            return Err(crate::StartError::ClientSecret);
        }
        Ok(Self { strategy })
    }

    pub(crate) async fn authenticate(
        &self,
        _credentials: &crate::Credentials<'_>,
        _now: jiff::Timestamp,
    ) -> Result<Option<std::sync::Arc<crate::Identity>>, crate::AuthError> {
        let _ = &self.strategy;
        Ok(None)
    }
}
