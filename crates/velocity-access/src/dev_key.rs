//! The key of a development installation: it signs the tokens of `velocity auth token`.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use uuid::Uuid;
use velocity_contract::auth_strategy::{
    AudienceSpec, AuthStrategySpec, AuthStrategyType, ClaimMappingSpec, JwksSpec, JwtAlgorithm,
    JwtIssuerSpec, JwtSpec,
};

/// The issuer of development tokens.
pub const DEV_ISSUER: &str = "velocity-dev";
/// The audience of development tokens.
pub const DEV_AUDIENCE: &str = "velocity";

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// Why there is no key or no token.
#[derive(Debug, thiserror::Error)]
pub enum DevKeyError {
    /// The operating system gave no random bytes, or the key came out unusable.
    #[error("no key could be generated")]
    Generate,
    /// The text is not a PKCS#8 PEM file with an Ed25519 key.
    #[error("this is not an Ed25519 private key in PEM form: delete the file to have a new one made")]
    NotAKey,
    /// Text and lifetime give no date that a token can hold.
    #[error("a token cannot live that long")]
    Lifetime,
    /// The claims cannot be written.
    #[error("the claims of the token cannot be written")]
    Claims(#[source] serde_json::Error),
}

/// An Ed25519 key that signs development tokens: it verifies faster than ES256 (23 to 32 µs measured), and signing needs
/// no random bytes.
pub struct DevKey {
    pair: Ed25519KeyPair,
    pem: String,
    kid: String,
}

impl fmt::Debug for DevKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl DevKey {
    /// A new key.
    pub fn generate() -> Result<Self, DevKeyError> {
        // PKCS#8 version 1 is what openssl reads too.
        let document =
            Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(|_| DevKeyError::Generate)?;
        Self::from_der(document.as_ref()).map_err(|_| DevKeyError::Generate)
    }

    /// The key that [`to_pem`](Self::to_pem) wrote.
    pub fn from_pem(text: &str) -> Result<Self, DevKeyError> {
        let body = text.trim().strip_prefix(PEM_BEGIN).and_then(|rest| rest.strip_suffix(PEM_END));
        let body: String = body.ok_or(DevKeyError::NotAKey)?.split_ascii_whitespace().collect();
        Self::from_der(&STANDARD.decode(body).map_err(|_| DevKeyError::NotAKey)?)
    }

    fn from_der(der: &[u8]) -> Result<Self, DevKeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|_| DevKeyError::NotAKey)?;
        // An Ed25519 key in this form is 48 bytes: one line of 64 characters, the length of a PEM line.
        let pem = format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", STANDARD.encode(der));
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        // RFC 7638: the digest of the required members in alphabetical order.
        let thumbprint = digest(&SHA256, format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#).as_bytes());
        Ok(Self { pair, pem, kid: URL_SAFE_NO_PAD.encode(thumbprint) })
    }

    /// The private key as PEM (PKCS#8). Keep it in a file that only its owner can read.
    pub fn to_pem(&self) -> &str {
        &self.pem
    }

    /// The key's id: its RFC 7638 thumbprint.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public key as a JSON Web Key Set, for an AuthStrategy's `jwks`.
    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.jwk()] })
    }

    /// The AuthStrategy that takes the tokens of this key and no others.
    pub fn strategy(&self) -> AuthStrategySpec {
        let keys = self.jwk().as_object().cloned().into_iter().collect();
        AuthStrategySpec {
            kind: AuthStrategyType::Jwt,
            jwt: Some(JwtSpec {
                issuers: vec![JwtIssuerSpec {
                    issuer: DEV_ISSUER.to_owned(),
                    audience: AudienceSpec::One(DEV_AUDIENCE.to_owned()),
                    jwks_url: None,
                    jwks: Some(JwksSpec { keys }),
                    algorithms: vec![JwtAlgorithm::EdDSA],
                    clock_skew: "60s".to_owned(),
                    claim_mapping: ClaimMappingSpec::default(),
                }],
            }),
            oidc: None,
            api_key: None,
            composite: None,
            revocation: None,
        }
    }

    /// A token for `actor` with these roles and attributes, issued at `now` for `lifetime`.
    pub fn mint(
        &self,
        actor: &str,
        roles: &[String],
        attributes: &Map<String, Value>,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<String, DevKeyError> {
        let lifetime = SignedDuration::try_from(lifetime).map_err(|_| DevKeyError::Lifetime)?;
        let expires = now.checked_add(lifetime).map_err(|_| DevKeyError::Lifetime)?;
        let header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": self.kid });
        let claims = json!({
            "iss": DEV_ISSUER,
            "aud": DEV_AUDIENCE,
            "sub": actor,
            "roles": roles,
            "attributes": attributes,
            "jti": Uuid::now_v7().to_string(),
            "iat": now.as_second(),
            "exp": expires.as_second(),
        });
        let mut token = format!("{}.{}", encode(&header)?, encode(&claims)?);
        let signature = self.pair.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    fn jwk(&self) -> Value {
        json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "x": URL_SAFE_NO_PAD.encode(self.pair.public_key()),
            "kid": self.kid,
            "alg": "EdDSA",
            "use": "sig",
        })
    }
}

fn encode(part: &Value) -> Result<String, DevKeyError> {
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).map_err(DevKeyError::Claims)?))
}
