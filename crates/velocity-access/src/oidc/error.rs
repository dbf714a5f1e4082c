//! Why a sign-in does not end in a session. No code, token or text of the provider is ever repeated.

use velocity_contract::Code;

use crate::error::TokenRefusal;

/// Why a sign-in, a device login or a logout fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// The provider cannot be reached, or has a fault.
    #[error("the sign-in provider does not answer: try again in a moment")]
    ProviderUnavailable,
    /// The provider and the strategy do not fit together; the log says how.
    #[error("the sign-in provider does not fit the AuthStrategy: {0}")]
    ProviderUnfit(&'static str),
    /// The browser has no state of a sign-in: another browser began it, or it was too long ago.
    #[error(
        "this browser has not begun a sign-in, or it took longer than ten minutes: start again at /auth/login"
    )]
    NotBegun,
    /// The answer belongs to another sign-in than the browser's newest.
    #[error(
        "this answer belongs to another sign-in than the newest of this browser: start again at /auth/login"
    )]
    OtherSignIn,
    /// The provider said no. The word is one of RFC 6749 or OpenID Connect, or `other`.
    #[error("the sign-in was not completed: the provider says `{0}`")]
    Refused(&'static str),
    /// The provider's answer lacks what it must have.
    #[error("the provider's answer lacks `{0}`")]
    Incomplete(&'static str),
    /// The ID token is not good.
    #[error("the provider's ID token is not taken: {0}")]
    IdToken(#[source] TokenRefusal),
    /// A claim of the ID token is not what it must be.
    #[error("the provider's ID token is not taken: its `{0}` is not that of this sign-in")]
    IdTokenMismatch(&'static str),
    /// No device code of ours.
    #[error("the device code is not one that this server gave out: start again with `{{}}`")]
    UnknownDeviceCode,
    /// Nobody decided in time.
    #[error("the device login has expired: start again")]
    DeviceLoginExpired,
    /// As many sign-ins are under way as may.
    #[error("as many sign-ins are under way as may be at once: try again in a moment")]
    Busy,
    /// The session cannot be kept or looked up.
    #[error("the session cannot be kept at the moment, because the database does not answer")]
    StoreUnavailable,
    /// A request with a cookie that may come from elsewhere, or a credential that cannot be read.
    #[error(transparent)]
    Credential(#[from] TokenRefusal),
    /// The operating system gave no random bytes, or a key does not work.
    #[error("a fault of ours; the log has it")]
    Fault,
}

impl SignInError {
    /// The code of the answer.
    pub fn code(&self) -> Code {
        match self {
            Self::ProviderUnavailable
            | Self::ProviderUnfit(_)
            | Self::NotBegun
            | Self::OtherSignIn
            | Self::Refused(_)
            | Self::Incomplete(_)
            | Self::IdToken(_)
            | Self::IdTokenMismatch(_)
            | Self::DeviceLoginExpired
            | Self::Credential(_) => Code::AuthInvalidToken,
            Self::UnknownDeviceCode => Code::MalformedRequest,
            Self::Busy => Code::RateLimited,
            Self::StoreUnavailable => Code::PostgresUnavailable,
            Self::Fault => Code::InternalError,
        }
    }

    /// Whether the same may work in a moment.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::ProviderUnavailable | Self::Busy | Self::StoreUnavailable)
    }
}

/// The words of RFC 6749 (4.1.2.1, 5.2), RFC 8628 (3.5) and OpenID Connect Core (3.1.2.6) that may be repeated.
const KNOWN: [&str; 21] = [
    "access_denied",
    "account_selection_required",
    "authorization_pending",
    "consent_required",
    "expired_token",
    "interaction_required",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_request_object",
    "invalid_request_uri",
    "invalid_scope",
    "login_required",
    "registration_not_supported",
    "request_not_supported",
    "server_error",
    "slow_down",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
];

/// The provider's word if it is a known one, else `other`: what a provider or whoever forged its answer wrote is not shown.
pub(super) fn known_word(word: &str) -> &'static str {
    KNOWN.into_iter().find(|known| *known == word).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_words_of_the_standards_are_repeated() {
        assert_eq!(known_word("access_denied"), "access_denied");
        for word in ["", "Access_denied", "<script>", "access_denied\n", "code=4711"] {
            assert_eq!(known_word(word), "other");
        }
    }
}
