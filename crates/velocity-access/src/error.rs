//! Why a caller has no identity. The texts are constants: nothing of the credential is ever repeated.

use velocity_contract::Code;

use crate::claims::ClaimError;
use crate::identity::IdentityError;
use crate::oidc::CrossSite;

/// Why a request has no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No credential was sent: `AUTH_REQUIRED`.
    #[error("this needs a credential, such as `Authorization: Bearer <token>` or a key in its header")]
    Required,
    /// A credential was sent and is not taken: `AUTH_INVALID_TOKEN`.
    #[error(transparent)]
    InvalidToken(#[from] TokenRefusal),
    /// Keys or sessions cannot be looked up: `POSTGRES_UNAVAILABLE`.
    #[error("the credential cannot be checked at the moment, because the database does not answer")]
    StoreUnavailable,
    /// It cannot be checked whether the credential was revoked: `REVOCATION_UNAVAILABLE`.
    #[error("it cannot be checked at the moment whether the credential was revoked")]
    RevocationUnavailable,
    /// Too many unknown credentials from one address: `RATE_LIMITED`.
    #[error("too many unknown keys came from this address: wait a little")]
    TooManyAttempts,
}

impl AuthError {
    /// The code of the answer.
    pub fn code(&self) -> Code {
        match self {
            Self::Required => Code::AuthRequired,
            Self::InvalidToken(_) => Code::AuthInvalidToken,
            Self::StoreUnavailable => Code::PostgresUnavailable,
            Self::RevocationUnavailable => Code::RevocationUnavailable,
            Self::TooManyAttempts => Code::RateLimited,
        }
    }

    /// The value of the `WWW-Authenticate` header that goes with the 401 (RFC 6750, section 3).
    pub fn challenge(&self) -> &'static str {
        match self {
            Self::InvalidToken(_) => r#"Bearer error="invalid_token""#,
            _ => "Bearer",
        }
    }
}

/// Why a token is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// More than one Authorization header, so it is not certain which one counts.
    #[error("there is more than one Authorization header: send one")]
    Ambiguous,
    /// A header that carries a credential came twice.
    #[error("a header that carries a credential was sent twice: send it once")]
    AmbiguousHeader,
    /// Two cookies of one name.
    #[error("the session cookie was sent twice: sign out and in again")]
    AmbiguousCookie,
    /// None of the strategies that count here takes this kind of credential.
    #[error("this is not a credential that is accepted here")]
    NotRecognised,
    /// It has been revoked.
    #[error("the credential has been revoked")]
    Revoked,
    /// A key of ours where a token belongs.
    #[error(
        "this is a key, and keys go into a header of their own (`X-API-Key` unless the AuthStrategy names another), not into Authorization"
    )]
    KeyAsBearer,
    /// Not the text of a key.
    #[error("the key is malformed: a key is `vel_<environment>_` and 43 letters and digits")]
    KeyMalformed,
    /// No such key.
    #[error("the key is unknown")]
    KeyUnknown,
    /// Past its expiry, or replaced by another.
    #[error("the key has expired or was replaced by another")]
    KeyExpired,
    /// Keys are not taken from this address.
    #[error("keys are not accepted from this address")]
    AddressNotAllowed,
    /// No such session, or it has ended.
    #[error("the session has ended: sign in again")]
    SessionEnded,
    /// A request that changes something came with a cookie and without proof that a page of ours sent it.
    #[error(transparent)]
    CrossSite(#[from] CrossSite),
    /// The session is to be renewed, and its provider cannot be asked.
    #[error("the sign-in provider does not answer, so the session cannot be renewed: try again in a moment")]
    ProviderUnavailable,
    /// Another scheme than Bearer.
    #[error("the Authorization header is not `Bearer <token>`")]
    NotBearer,
    /// Longer than any token may be.
    #[error("the token is longer than 16 KiB")]
    TooLong,
    /// Not three base64url parts with a JSON header and JSON claims.
    #[error("the token is malformed")]
    Malformed,
    /// A kind of JWT that is not an access token (`typ`).
    #[error("this kind of token (its `typ`) is not an access token")]
    WrongType,
    /// An extension that we would have to understand (`crit`).
    #[error("the token demands an extension (`crit`) that is not supported")]
    CriticalExtension,
    /// Its `iss` names no issuer of the strategy.
    #[error("the token's issuer is not one that is accepted here")]
    UnknownIssuer,
    /// Its algorithm is not in the issuer's list.
    #[error("the token's algorithm is not one that its issuer may use here")]
    AlgorithmNotAllowed,
    /// No key of the issuer has its `kid` and fits its algorithm.
    #[error("the token's key is unknown, or does not fit its algorithm")]
    UnknownKey,
    /// The issuer's keys have never been fetched.
    #[error("the keys of the token's issuer cannot be fetched at the moment")]
    KeysUnavailable,
    /// Signed by someone else, or changed since.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// It has no `exp`.
    #[error("the token has no expiry (`exp`)")]
    NoExpiry,
    /// Past its `exp`.
    #[error("the token has expired")]
    Expired,
    /// Before its `nbf`, or issued in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Meant for someone else.
    #[error("the token is meant for another audience")]
    WrongAudience,
    /// Its claims do not give an identity.
    #[error(transparent)]
    Claims(#[from] ClaimError),
    /// Its claims give an identity that is over a limit.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}
