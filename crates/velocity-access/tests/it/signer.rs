//! Keys and tokens made with `jsonwebtoken`, so that a mistake of ours cannot hide in both halves of a test.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method};
use jiff::Timestamp;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use velocity_access::{AuthError, AuthStrategy, Authenticator, Context, Credentials, Identity, TokenRefusal};

/// The time at which the tests happen.
pub(crate) const NOW: i64 = 2_000_000_000;
pub(crate) const ISSUER: &str = "https://id.acme.com";
pub(crate) const AUDIENCE: &str = "velocity";

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// A private key, and how its tokens name it.
pub(crate) struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
    pub(crate) kid: String,
}

/// RSA keys take long to make in a debug build, so all tests share two.
static RSA_KEYS: LazyLock<[EncodingKey; 2]> = LazyLock::new(|| {
    [(), ()].map(|()| {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        EncodingKey::from_rsa_pem(pem(der.as_ref()).as_bytes()).unwrap()
    })
});

fn pem(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

impl Signer {
    pub(crate) fn new(algorithm: Algorithm, kid: &str) -> Self {
        let key = match algorithm {
            Algorithm::ES256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
                EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref())
            }
            Algorithm::ES384 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
                EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref())
            }
            Algorithm::EdDSA => {
                EncodingKey::from_ed_der(Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap().as_ref())
            }
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => EncodingKey::from_secret(&[7; 64]),
            _ => RSA_KEYS[0].clone(),
        };
        Self { algorithm, key, kid: kid.to_owned() }
    }

    /// The other RSA key.
    pub(crate) fn other_rsa(kid: &str) -> Self {
        Self { algorithm: Algorithm::RS256, key: RSA_KEYS[1].clone(), kid: kid.to_owned() }
    }

    /// The same key under another algorithm.
    pub(crate) fn with_algorithm(&self, algorithm: Algorithm) -> Self {
        Self { algorithm, key: self.key.clone(), kid: self.kid.clone() }
    }

    pub(crate) fn jwk(&self) -> Value {
        let mut jwk =
            serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()).unwrap();
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk
    }

    pub(crate) fn name(&self) -> String {
        format!("{:?}", self.algorithm)
    }

    pub(crate) fn header(&self) -> Value {
        json!({ "alg": self.name(), "typ": "JWT", "kid": self.kid })
    }

    /// A token with usual header and claims.
    pub(crate) fn token(&self) -> String {
        self.sign(&self.header(), &claims())
    }

    pub(crate) fn token_with(&self, changes: Value) -> String {
        self.sign(&self.header(), &merged(claims(), changes))
    }

    /// Any header over any claims; the signature is good.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    pub(crate) fn sign_text(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

/// Claims that are taken.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "ravi", "exp": NOW + 600, "iat": NOW - 10, "jti": "t-1",
        "roles": ["reader", "writer"], "attributes": { "region": "west" }
    })
}

/// `null` in `changes` takes a member away.
pub(crate) fn merged(mut base: Value, changes: Value) -> Value {
    let object = base.as_object_mut().unwrap();
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.remove(key);
        } else {
            object.insert(key.clone(), value.clone());
        }
    }
    base
}

/// An issuer with these inline keys, and `changes` to its entry.
pub(crate) fn issuer(keys: &[&Signer], changes: Value) -> Value {
    let algorithms: Vec<_> = keys.iter().map(|key| key.name()).collect();
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    let entry = json!({
        "issuer": ISSUER, "audience": AUDIENCE, "jwks": { "keys": keys }, "algorithms": algorithms, "clockSkew": "30s"
    });
    merged(entry, changes)
}

pub(crate) fn strategy(issuers: &[Value]) -> AuthStrategy {
    let spec = serde_json::from_value(json!({ "type": "jwt", "jwt": { "issuers": issuers } })).unwrap();
    AuthStrategy::parse(&spec).unwrap()
}

pub(crate) fn start(issuers: &[Value]) -> Authenticator {
    Authenticator::start("platform/test", strategy(issuers), Context::default()).unwrap()
}

/// An authenticator that takes the tokens of one key.
pub(crate) fn trusting(key: &Signer) -> Authenticator {
    start(&[issuer(&[key], json!({}))])
}

pub(crate) async fn authenticate(
    authenticator: &Authenticator,
    token: &str,
) -> Result<Arc<Identity>, AuthError> {
    let header = format!("Bearer {token}");
    authorize(authenticator, &[header.as_bytes()], now()).await
}

/// What the strategy makes of these `Authorization` headers, where no other is asked.
pub(crate) async fn authorize(
    authenticator: &Authenticator,
    values: &[&[u8]],
    now: Timestamp,
) -> Result<Arc<Identity>, AuthError> {
    let mut headers = HeaderMap::new();
    for value in values {
        // What no header can hold does not reach us.
        let Ok(value) = HeaderValue::from_bytes(value) else { return Err(TokenRefusal::Malformed.into()) };
        headers.append(AUTHORIZATION, value);
    }
    let credentials = Credentials { headers: &headers, method: &Method::GET, ip: None };
    match authenticator.authenticate(&credentials, now).await? {
        Some(identity) => Ok(identity),
        None => Err(authenticator.why_not(&credentials)),
    }
}

/// Why a token is refused.
pub(crate) async fn refusal(authenticator: &Authenticator, token: &str) -> TokenRefusal {
    match authenticate(authenticator, token).await {
        Err(AuthError::InvalidToken(refusal)) => refusal,
        other => panic!("expected a refused token, got {other:?}"),
    }
}
