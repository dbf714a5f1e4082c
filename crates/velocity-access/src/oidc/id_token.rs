//! ID tokens: checked like any other token, and for belonging to this very sign-in (OpenID Connect Core 1.0, 3.1.3.7).

use aws_lc_rs::digest::{self, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value};
use velocity_contract::auth_strategy::JwtAlgorithm;

use super::error::SignInError;
use super::provider::Discovered;
use super::secret::are_equal;
use crate::claims::MappedClaims;
use crate::error::TokenRefusal;
use crate::token::{UnverifiedToken, check_claims};

/// What a token must agree with.
#[derive(Clone, Copy, Default)]
pub(super) struct Expected<'e> {
    /// The nonce of the sign-in in the browser.
    pub(super) nonce: Option<&'e str>,
    /// The access token that came with it.
    pub(super) access_token: Option<&'e str>,
    /// Who signed in first, when a session goes on.
    pub(super) subject: Option<&'e str>,
}

/// A token that is good.
pub(super) struct Verified {
    pub(super) subject: String,
    pub(super) claims: MappedClaims,
}

/// Verifies a token of this provider. Waits for the network only when it names an unknown key.
pub(super) async fn verify(
    provider: &Discovered,
    client_id: &str,
    token: &str,
    expected: Expected<'_>,
    now: Timestamp,
) -> Result<Verified, SignInError> {
    let read = UnverifiedToken::read(token.as_bytes()).map_err(SignInError::IdToken)?;
    if is_access_token(token) {
        return Err(SignInError::IdToken(TokenRefusal::Malformed));
    }
    let algorithm = read.algorithm();
    if !provider.issuer.algorithms.contains(&algorithm) {
        return Err(SignInError::IdToken(TokenRefusal::AlgorithmNotAllowed));
    }
    let good = provider.keys.with_key(read.kid(), algorithm, |key| read.is_signed_by(key)).await;
    if !good.map_err(SignInError::IdToken)? {
        return Err(SignInError::IdToken(TokenRefusal::BadSignature));
    }
    let claims = read.claims().map_err(SignInError::IdToken)?;
    check_claims(&claims, &provider.issuer, now).map_err(SignInError::IdToken)?;
    let subject = check_belonging(&claims, client_id, algorithm, &expected)?.to_owned();
    let claims = provider.issuer.claims.apply(&Value::Object(claims));
    Ok(Verified { subject, claims: claims.map_err(|error| SignInError::IdToken(error.into()))? })
}

/// The subject of a token that belongs here.
fn check_belonging<'c>(
    claims: &'c Map<String, Value>,
    client_id: &str,
    algorithm: JwtAlgorithm,
    expected: &Expected<'_>,
) -> Result<&'c str, SignInError> {
    let text = |name: &'static str| match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(SignInError::IdTokenMismatch(name)),
    };
    let several = matches!(claims.get("aud"), Some(Value::Array(audiences)) if audiences.len() > 1);
    match text("azp")? {
        Some(party) if party != client_id => return Err(SignInError::IdTokenMismatch("azp")),
        None if several => return Err(SignInError::IdTokenMismatch("azp")),
        _ => {}
    }
    if !claims.contains_key("iat") {
        return Err(SignInError::IdTokenMismatch("iat"));
    }
    if let Some(nonce) = expected.nonce
        && !text("nonce")?.is_some_and(|sent| are_equal(sent.as_bytes(), nonce.as_bytes()))
    {
        return Err(SignInError::IdTokenMismatch("nonce"));
    }
    if let (Some(hash), Some(access_token)) = (text("at_hash")?, expected.access_token)
        && hash != half_digest(algorithm, access_token)
    {
        return Err(SignInError::IdTokenMismatch("at_hash"));
    }
    let subject = text("sub")?.filter(|sub| !sub.is_empty()).ok_or(SignInError::IdTokenMismatch("sub"))?;
    match expected.subject {
        Some(before) if before != subject => Err(SignInError::IdTokenMismatch("sub")),
        _ => Ok(subject),
    }
}

/// The left half of the digest that belongs to the signature's algorithm. Ed25519 has SHA-512 inside.
fn half_digest(algorithm: JwtAlgorithm, text: &str) -> String {
    use JwtAlgorithm::{ES256, ES384, HS256, HS384, PS256, PS384, RS256, RS384};
    let kind = match algorithm {
        RS256 | PS256 | ES256 | HS256 => &digest::SHA256,
        RS384 | PS384 | ES384 | HS384 => &digest::SHA384,
        JwtAlgorithm::RS512 | JwtAlgorithm::PS512 | JwtAlgorithm::HS512 | JwtAlgorithm::EdDSA => {
            &digest::SHA512
        }
    };
    let whole = digest(kind, text.as_bytes());
    URL_SAFE_NO_PAD.encode(&whole.as_ref()[..whole.as_ref().len() / 2])
}

/// Access tokens are signed by the same keys and say so in their `typ` (RFC 9068).
fn is_access_token(token: &str) -> bool {
    let header = token.split('.').next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
    let header = header.and_then(|header| serde_json::from_slice::<Map<String, Value>>(&header).ok());
    header
        .and_then(|header| header.get("typ").and_then(Value::as_str).map(str::to_ascii_lowercase))
        .is_some_and(|typ| typ.ends_with("at+jwt"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(claims: &Value, expected: Expected<'_>) -> Result<String, SignInError> {
        let claims = claims.as_object().unwrap();
        check_belonging(claims, "velocity", JwtAlgorithm::RS256, &expected).map(str::to_owned)
    }

    fn mismatch(name: &'static str) -> Result<String, SignInError> {
        Err(SignInError::IdTokenMismatch(name))
    }

    #[test]
    fn a_token_for_several_must_say_that_we_asked_for_it() {
        let claims = |aud: Value, azp: Value| {
            let mut claims = json!({ "sub": "ravi", "iat": 1, "aud": aud, "azp": azp });
            if claims["azp"].is_null() {
                claims.as_object_mut().unwrap().remove("azp");
            }
            check(&claims, Expected::default())
        };
        assert_eq!(claims(json!("velocity"), json!(null)), Ok("ravi".to_owned()));
        assert_eq!(claims(json!(["velocity"]), json!(null)), Ok("ravi".to_owned()));
        assert_eq!(claims(json!(["velocity", "other"]), json!("velocity")), Ok("ravi".to_owned()));
        assert_eq!(claims(json!(["velocity", "other"]), json!(null)), mismatch("azp"));
        assert_eq!(claims(json!(["velocity", "other"]), json!("other")), mismatch("azp"));
        assert_eq!(claims(json!("velocity"), json!("other")), mismatch("azp"));
        assert_eq!(claims(json!("velocity"), json!(7)), mismatch("azp"));
    }

    #[test]
    fn the_nonce_must_be_there_and_be_ours() {
        let ours = || Expected { nonce: Some("n1"), ..Expected::default() };
        assert!(check(&json!({ "sub": "a", "iat": 1, "nonce": "n1" }), ours()).is_ok());
        for nonce in [json!("n2"), json!(""), json!(null), json!(["n1"])] {
            assert_eq!(check(&json!({ "sub": "a", "iat": 1, "nonce": nonce }), ours()), mismatch("nonce"));
        }
        assert_eq!(check(&json!({ "sub": "a", "iat": 1 }), ours()), mismatch("nonce"));
    }

    #[test]
    fn the_subject_must_be_there_and_stay_the_same() {
        let expected = |subject| Expected { subject, ..Expected::default() };
        let claims = json!({ "sub": "a", "iat": 1 });
        assert_eq!(check(&claims, expected(Some("a"))), Ok("a".to_owned()));
        assert_eq!(check(&claims, expected(Some("b"))), mismatch("sub"));
        assert_eq!(check(&json!({ "iat": 1 }), expected(None)), mismatch("sub"));
        assert_eq!(check(&json!({ "sub": "", "iat": 1 }), expected(None)), mismatch("sub"));
        assert_eq!(check(&json!({ "sub": "a" }), expected(None)), mismatch("iat"));
    }

    #[test]
    fn the_hash_of_the_access_token_is_checked_where_it_is_given() {
        // OpenID Connect Core 1.0, appendix A.3 has this pair.
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        let expected = |access_token| Expected { access_token, ..Expected::default() };
        let claims = json!({ "sub": "a", "iat": 1, "at_hash": "77QmUPtjPfzWtF2AnpK9RQ" });
        assert!(check(&claims, expected(Some(token))).is_ok());
        assert_eq!(check(&claims, expected(Some("another"))), mismatch("at_hash"));
    }

    #[test]
    fn an_access_token_is_no_id_token() {
        let token = |header: &str| format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header));
        assert!(is_access_token(&token(r#"{"alg":"RS256","typ":"at+jwt"}"#)));
        assert!(is_access_token(&token(r#"{"alg":"RS256","typ":"application/AT+JWT"}"#)));
        assert!(!is_access_token(&token(r#"{"alg":"RS256","typ":"JWT"}"#)));
        assert!(!is_access_token(&token(r#"{"alg":"RS256"}"#)));
    }
}
