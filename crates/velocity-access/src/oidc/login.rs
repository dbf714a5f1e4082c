//! Sign-in in a browser: authorisation code with PKCE (OpenID Connect Core 1.0, section 3.1; RFC 7636).
//!
//! Everything that the second half must know of the first travels in a sealed cookie, so that any replica may finish, and
//! only the browser that began.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::{SignInError, known_word};
use super::id_token::Expected;
use super::return_path::ReturnPath;
use super::seal::Kind;
use super::secret::{Holder, are_equal, random_text};
use super::session::SignedIn;
use super::{Oidc, provider::Discovered};

/// How long a person may take to sign in, in seconds.
pub(super) const LOGIN_SECONDS: i64 = 600;

/// A sign-in that was begun.
#[derive(Debug)]
pub struct LoginBegun {
    /// Where the browser goes: the provider's page.
    pub location: String,
    /// What the browser must bring back, for [`LOGIN_SECONDS`].
    pub state: String,
}

/// What the provider sent the browser back with.
#[derive(Debug, Default)]
pub struct Callback<'q> {
    /// `code`.
    pub code: Option<&'q str>,
    /// `state`.
    pub state: Option<&'q str>,
    /// `error`.
    pub error: Option<&'q str>,
    /// `iss` (RFC 9207).
    pub issuer: Option<&'q str>,
}

/// What the cookie holds.
#[derive(Serialize, Deserialize)]
struct LoginState {
    state: String,
    nonce: String,
    verifier: String,
    return_to: String,
    /// Seconds since 1970.
    ends: i64,
}

impl Oidc {
    /// Begins a sign-in that ends at `return_to`.
    pub async fn begin_login(
        &self,
        return_to: &ReturnPath,
        now: Timestamp,
    ) -> Result<LoginBegun, SignInError> {
        let provider = self.provider.discovered().await?;
        let state = LoginState {
            state: random_text()?,
            nonce: random_text()?,
            verifier: random_text()?,
            return_to: return_to.as_str().to_owned(),
            ends: now.as_second().saturating_add(LOGIN_SECONDS),
        };
        let location = self.authorization_url(&provider, &state);
        let plain = serde_json::to_vec(&state).map_err(|_| SignInError::Fault)?;
        Ok(LoginBegun { location, state: self.sealer.seal_text(Kind::Login, &self.name, &plain)? })
    }

    fn authorization_url(&self, provider: &Discovered, state: &LoginState) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, state.verifier.as_bytes()));
        let scopes = self.strategy.scopes.join(" ");
        let mut url = provider.authorization.clone();
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.strategy.client_id)
            .append_pair("redirect_uri", self.strategy.redirect_uri.as_str())
            .append_pair("scope", &scopes)
            .append_pair("state", &state.state)
            .append_pair("nonce", &state.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        // OpenID Connect Core 1.0, section 11: without the consent page the request for a refresh token is ignored.
        if self.strategy.scopes.iter().any(|scope| scope == "offline_access") {
            query.append_pair("prompt", "consent");
        }
        drop(query);
        url.into()
    }

    /// Ends a sign-in that the browser with `sealed` began. The session is a new one, whatever the browser had before.
    pub async fn finish_login(
        &self,
        sealed: &str,
        answer: &Callback<'_>,
        now: Timestamp,
    ) -> Result<(SignedIn, ReturnPath), SignInError> {
        let state = self.opened(sealed, now)?;
        // Before anything that the answer says is believed, even that it failed.
        if !answer.state.is_some_and(|sent| are_equal(sent.as_bytes(), state.state.as_bytes())) {
            return Err(SignInError::OtherSignIn);
        }
        let provider = self.provider.discovered().await?;
        let named = answer.issuer.is_some() || provider.names_itself;
        if named && answer.issuer != Some(provider.issuer.name.as_str()) {
            return Err(SignInError::OtherSignIn);
        }
        if let Some(word) = answer.error {
            return Err(SignInError::Refused(known_word(word)));
        }
        let code = answer.code.ok_or(SignInError::Incomplete("code"))?;
        let _place = self.place().await?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.strategy.redirect_uri.as_str()),
            ("code_verifier", &state.verifier),
        ];
        let tokens = self.provider.tokens(&provider, &form).await;
        let tokens = tokens.map_err(|error| error.told("code", &self.strategy.issuer))?;
        let expected = Expected {
            nonce: Some(&state.nonce),
            access_token: tokens.access_token.as_deref(),
            subject: None,
        };
        let signed_in = self.sign_in(&provider, &tokens, expected, Holder::Browser, now).await?;
        let return_to = ReturnPath::parse(&state.return_to).unwrap_or_default();
        Ok((signed_in, return_to))
    }

    fn opened(&self, sealed: &str, now: Timestamp) -> Result<LoginState, SignInError> {
        let plain = self.sealer.open_text(Kind::Login, &self.name, sealed).ok_or(SignInError::NotBegun)?;
        let state: LoginState = serde_json::from_slice(&plain).map_err(|_| SignInError::NotBegun)?;
        if now.as_second() < state.ends { Ok(state) } else { Err(SignInError::NotBegun) }
    }
}
