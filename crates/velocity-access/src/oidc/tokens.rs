//! The token endpoint: a code, a refresh token or a device code in, tokens out.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::calls::CallError;
use super::provider::{Discovered, Provider};

/// How long an access token is taken to last where the provider does not say.
const DEFAULT_LIFETIME_SECONDS: i64 = 600;
/// Longest life that is believed; the session's own end comes first anyway.
const MAX_LIFETIME_SECONDS: i64 = 30 * 24 * 3600;

/// An answer of the token endpoint (RFC 6749, section 5.1).
#[derive(Deserialize)]
pub(super) struct Tokens {
    #[serde(default)]
    pub(super) access_token: Option<String>,
    #[serde(default)]
    pub(super) id_token: Option<String>,
    #[serde(default)]
    pub(super) refresh_token: Option<String>,
    /// Seconds; some providers write them as text.
    #[serde(default)]
    expires_in: Option<Value>,
}

impl Tokens {
    /// How long the access token lasts, in seconds.
    pub(super) fn lifetime_seconds(&self) -> i64 {
        let seconds = match &self.expires_in {
            Some(Value::Number(number)) => number.as_i64(),
            Some(Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        seconds.unwrap_or(DEFAULT_LIFETIME_SECONDS).clamp(1, MAX_LIFETIME_SECONDS)
    }
}

/// What is kept of the provider's tokens with a session, sealed.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The token that gives new ones.
    pub(super) refresh: Option<String>,
    /// Who signed in, as the provider names them.
    pub(super) subject: String,
    /// When the access token ends, in seconds since 1970: until then the last answer counts.
    pub(super) ends: i64,
}

impl Kept {
    /// What to keep of an answer at `now`, in seconds since 1970.
    pub(super) fn of(tokens: &Tokens, subject: String, now: i64) -> Self {
        Self {
            refresh: tokens.refresh_token.clone(),
            subject,
            ends: now.saturating_add(tokens.lifetime_seconds()),
        }
    }
}

impl Provider {
    /// Asks the token endpoint.
    pub(super) async fn tokens(
        &self,
        provider: &Discovered,
        form: &[(&str, &str)],
    ) -> Result<Tokens, CallError> {
        self.caller.post(&provider.token, form, &provider.proof).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lifetimes_are_numbers_or_texts_and_never_absurd() {
        let lifetime = |answer: Value| serde_json::from_value::<Tokens>(answer).unwrap().lifetime_seconds();
        assert_eq!(lifetime(json!({ "expires_in": 300 })), 300);
        assert_eq!(lifetime(json!({ "expires_in": "300" })), 300);
        for unsaid in [json!({}), json!({ "expires_in": null }), json!({ "expires_in": "soon" })] {
            assert_eq!(lifetime(unsaid), 600);
        }
        assert_eq!(lifetime(json!({ "expires_in": -5 })), 1);
        assert_eq!(lifetime(json!({ "expires_in": 9_000_000_000_i64 })), 30 * 24 * 3600);
    }
}
