//! One compact JWS (RFC 7515) with JWT claims (RFC 7519): reading it, verifying it, checking its times and audience.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use velocity_contract::auth_strategy::JwtAlgorithm;

use crate::claims::ClaimError;
use crate::error::TokenRefusal;
use crate::jwks::Key;
use crate::strategy::Issuer;

/// Kinds of JWT that are access tokens (RFC 9068); others, such as logout tokens, are signed by the same keys.
const ACCESS_TOKEN_TYPES: [&str; 2] = ["jwt", "at+jwt"];

/// A token that has been read, and says nothing yet that may be believed.
pub(crate) struct UnverifiedToken<'t> {
    /// Header and payload as they were signed.
    signed: &'t [u8],
    payload: Vec<u8>,
    signature: Vec<u8>,
    algorithm: JwtAlgorithm,
    kid: Option<String>,
}

/// The members of the header that matter. `jku`, `jwk`, `x5u` and `x5c` are never looked at: a token does not say
/// which keys to trust. A member that appears twice is an error.
#[derive(Deserialize)]
struct Header<'h> {
    #[serde(borrow)]
    alg: Cow<'h, str>,
    #[serde(borrow, default)]
    kid: Option<Cow<'h, str>>,
    #[serde(borrow, default)]
    typ: Option<Cow<'h, str>>,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
    #[serde(default, deserialize_with = "present")]
    b64: bool,
}

/// Only the issuer, to know whose keys to try.
#[derive(Deserialize)]
struct IssuerClaim<'c> {
    #[serde(borrow)]
    iss: Cow<'c, str>,
}

/// True for any value, `null` included.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl<'t> UnverifiedToken<'t> {
    /// Reads the three parts.
    pub(crate) fn read(token: &'t [u8]) -> Result<Self, TokenRefusal> {
        let mut parts = token.split(|byte| *byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenRefusal::Malformed);
        };
        let signed = &token[..header.len() + 1 + payload.len()];
        let header = decode(header)?;
        let header: Header<'_> = serde_json::from_slice(&header).map_err(|_| TokenRefusal::Malformed)?;
        if header.crit || header.b64 {
            return Err(TokenRefusal::CriticalExtension);
        }
        if header.typ.as_deref().is_some_and(|typ| !is_access_token(typ)) {
            return Err(TokenRefusal::WrongType);
        }
        let algorithm = parse_algorithm(&header.alg).ok_or(TokenRefusal::AlgorithmNotAllowed)?;
        Ok(Self {
            signed,
            payload: decode(payload)?,
            signature: decode(signature)?,
            algorithm,
            kid: header.kid.map(Cow::into_owned),
        })
    }

    /// The issuer that the token claims to be from. Good for choosing keys, for nothing else.
    pub(crate) fn claimed_issuer(&self) -> Result<Cow<'_, str>, TokenRefusal> {
        let claim: IssuerClaim<'_> =
            serde_json::from_slice(&self.payload).map_err(|error| match error.classify() {
                serde_json::error::Category::Data => TokenRefusal::UnknownIssuer,
                _ => TokenRefusal::Malformed,
            })?;
        Ok(claim.iss)
    }

    pub(crate) fn algorithm(&self) -> JwtAlgorithm {
        self.algorithm
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether `key` signed this.
    pub(crate) fn is_signed_by(&self, key: &Key) -> bool {
        key.verifies(self.algorithm, self.signed, &self.signature)
    }

    /// The claims. Only to be believed after [`is_signed_by`](Self::is_signed_by).
    pub(crate) fn claims(&self) -> Result<Map<String, Value>, TokenRefusal> {
        serde_json::from_slice(&self.payload).map_err(|_| TokenRefusal::Malformed)
    }
}

/// The issuer that a text claims to be from, if it has three parts like a token and readable claims. Its header may be
/// anything: a token of ours with a bad header is still recognised, and refused for it.
pub(crate) fn claimed_issuer(token: &[u8]) -> Option<String> {
    let mut parts = token.split(|byte| *byte == b'.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let payload = decode(payload).ok()?;
    let claim: IssuerClaim<'_> = serde_json::from_slice(&payload).ok()?;
    Some(claim.iss.into_owned())
}

fn decode(part: &[u8]) -> Result<Vec<u8>, TokenRefusal> {
    if part.is_empty() {
        return Err(TokenRefusal::Malformed);
    }
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenRefusal::Malformed)
}

fn is_access_token(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    let typ = typ.strip_prefix("application/").unwrap_or(&typ);
    ACCESS_TOKEN_TYPES.contains(&typ)
}

/// `none` and everything else that is not in the list is no algorithm. Names are case sensitive.
fn parse_algorithm(name: &str) -> Option<JwtAlgorithm> {
    JwtAlgorithm::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(name)).ok()
}

/// When verified claims expire, tolerance included, if they are meant for us and valid at `now`.
pub(crate) fn check_claims(
    claims: &Map<String, Value>,
    issuer: &Issuer,
    now: Timestamp,
) -> Result<Timestamp, TokenRefusal> {
    if claims.get("iss").and_then(Value::as_str) != Some(issuer.name.as_str()) {
        return Err(TokenRefusal::UnknownIssuer);
    }
    let now = now.as_second();
    let skew = issuer.clock_skew_seconds;
    let expires = numeric_date(claims, "exp")?.ok_or(TokenRefusal::NoExpiry)?;
    if now >= expires.saturating_add(skew) {
        return Err(TokenRefusal::Expired);
    }
    for begin in ["nbf", "iat"] {
        if numeric_date(claims, begin)?.is_some_and(|begin| now.saturating_add(skew) < begin) {
            return Err(TokenRefusal::NotYetValid);
        }
    }
    if !is_meant_for(claims.get("aud"), issuer) {
        return Err(TokenRefusal::WrongAudience);
    }
    Timestamp::from_second(expires).map_err(|_| ClaimError::Registered("exp").into())
}

fn is_meant_for(audience: Option<&Value>, issuer: &Issuer) -> bool {
    let is_ours = |value: &Value| value.as_str().is_some_and(|audience| issuer.audiences.contains(audience));
    match audience {
        Some(Value::Array(audiences)) => audiences.iter().any(is_ours),
        Some(audience) => is_ours(audience),
        None => false,
    }
}

/// Seconds since 1970, rounded down; fractions are allowed (RFC 7519, section 2).
fn numeric_date(claims: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, TokenRefusal> {
    /// The year 9999, the last that a timestamp can hold.
    const LAST: f64 = 253_402_207_200.0;
    let Some(value) = claims.get(name) else { return Ok(None) };
    if let Some(seconds) = value.as_i64() {
        return Ok(Some(seconds));
    }
    match value.as_f64() {
        #[expect(clippy::cast_possible_truncation, reason = "the range has just been checked")]
        Some(seconds) if (0.0..=LAST).contains(&seconds) => Ok(Some(seconds.floor() as i64)),
        _ => Err(ClaimError::Registered(name).into()),
    }
}
