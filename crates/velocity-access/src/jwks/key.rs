//! One JSON Web Key (RFC 7517): parsed once into what verifies signatures.

use aws_lc_rs::hmac;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{self, EcdsaVerificationAlgorithm, ParsedPublicKey, RsaParameters};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use velocity_contract::auth_strategy::JwtAlgorithm;

/// RSA key sizes that are taken, in bits: below is broken, above is a way to burn our CPU.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Each algorithm for RSA keys with its verifier.
const RSA_ALGORITHMS: [(JwtAlgorithm, &RsaParameters); 6] = [
    (JwtAlgorithm::RS256, &signature::RSA_PKCS1_2048_8192_SHA256),
    (JwtAlgorithm::RS384, &signature::RSA_PKCS1_2048_8192_SHA384),
    (JwtAlgorithm::RS512, &signature::RSA_PKCS1_2048_8192_SHA512),
    (JwtAlgorithm::PS256, &signature::RSA_PSS_2048_8192_SHA256),
    (JwtAlgorithm::PS384, &signature::RSA_PSS_2048_8192_SHA384),
    (JwtAlgorithm::PS512, &signature::RSA_PSS_2048_8192_SHA512),
];

/// Each algorithm for secrets: its verifier, and the least bytes of a secret (RFC 7518, section 3.2).
const HMAC_ALGORITHMS: [(JwtAlgorithm, hmac::Algorithm, usize); 3] = [
    (JwtAlgorithm::HS256, hmac::HMAC_SHA256, 32),
    (JwtAlgorithm::HS384, hmac::HMAC_SHA384, 48),
    (JwtAlgorithm::HS512, hmac::HMAC_SHA512, 64),
];

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyProblem {
    #[error("is missing or not a text")]
    Missing(&'static str),
    #[error("is not base64url without padding")]
    NotBase64(&'static str),
    #[error("is not supported: use RSA, EC (P-256, P-384), OKP (Ed25519) or oct")]
    UnsupportedType(&'static str),
    #[error(
        "is a private key: publish only its public members, and replace the key, since it has been shown"
    )]
    Private(&'static str),
    #[error("does not fit the type of the key")]
    AlgorithmMismatch,
    #[error("says that the key is not for signatures")]
    NotForSignatures(&'static str),
    #[error("must be an RSA key of 2048 to 8192 bits")]
    RsaSize,
    #[error("is a secret that is too short: HS256 needs 32 bytes, HS384 48, HS512 64")]
    ShortSecret,
    #[error("is not a valid public key of its type")]
    Invalid,
}

impl KeyProblem {
    /// The member it is about, as the end of a path: `.alg`, or nothing for the key as a whole.
    pub(crate) fn member(&self) -> String {
        let member = match self {
            Self::Missing(m)
            | Self::NotBase64(m)
            | Self::UnsupportedType(m)
            | Self::Private(m)
            | Self::NotForSignatures(m) => m,
            Self::AlgorithmMismatch => "alg",
            Self::RsaSize => "n",
            Self::ShortSecret => "k",
            Self::Invalid => return String::new(),
        };
        format!(".{member}")
    }
}

/// A key that can verify signatures, by exactly the algorithms that fit its type and its own `alg`.
#[derive(Clone)]
pub(crate) struct Key {
    kid: Option<String>,
    verifiers: Vec<(JwtAlgorithm, Verifier)>,
}

#[derive(Clone)]
enum Verifier {
    Public(Box<ParsedPublicKey>),
    Secret(Box<hmac::Key>),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithms", &self.algorithms())
            .finish_non_exhaustive()
    }
}

impl Key {
    /// Reads one member of a key set.
    pub(crate) fn parse(jwk: &Map<String, Value>) -> Result<Self, KeyProblem> {
        check_use(jwk)?;
        let verifiers = match text(jwk, "kty")? {
            "RSA" => rsa_verifiers(jwk)?,
            "EC" => ec_verifier(jwk)?,
            "OKP" => ed25519_verifier(jwk)?,
            "oct" => hmac_verifiers(jwk)?,
            _ => return Err(KeyProblem::UnsupportedType("kty")),
        };
        let verifiers = restrict_to_alg(jwk, verifiers)?;
        let kid = match jwk.get("kid") {
            None => None,
            Some(Value::String(kid)) if !kid.is_empty() && kid.len() <= 512 => Some(kid.clone()),
            Some(_) => return Err(KeyProblem::Missing("kid")),
        };
        Ok(Self { kid, verifiers })
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether this key may verify that algorithm.
    pub(crate) fn fits(&self, algorithm: JwtAlgorithm) -> bool {
        self.verifiers.iter().any(|(own, _)| *own == algorithm)
    }

    /// Whether whoever knows this key can sign.
    pub(crate) fn is_secret(&self) -> bool {
        self.verifiers.iter().any(|(_, verifier)| matches!(verifier, Verifier::Secret(_)))
    }

    /// Whether `signature` is this key's over `message`.
    pub(crate) fn verifies(&self, algorithm: JwtAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        let verifier = self.verifiers.iter().find(|(own, _)| *own == algorithm).map(|(_, verifier)| verifier);
        match verifier {
            Some(Verifier::Public(key)) => key.verify_sig(message, signature).is_ok(),
            Some(Verifier::Secret(key)) => hmac::verify(key, message, signature).is_ok(),
            None => false,
        }
    }

    fn algorithms(&self) -> Vec<&'static str> {
        self.verifiers.iter().map(|(algorithm, _)| algorithm.name()).collect()
    }
}

/// `use` and `key_ops`, where present, must allow verifying; a private member must not be there at all.
fn check_use(jwk: &Map<String, Value>) -> Result<(), KeyProblem> {
    if jwk.contains_key("d") {
        return Err(KeyProblem::Private("d"));
    }
    if jwk.get("use").is_some_and(|value| value != "sig") {
        return Err(KeyProblem::NotForSignatures("use"));
    }
    let verifies = |ops: &Value| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify"));
    if jwk.get("key_ops").is_some_and(|ops| !verifies(ops)) {
        return Err(KeyProblem::NotForSignatures("key_ops"));
    }
    Ok(())
}

/// A key that names its algorithm is for that one only.
fn restrict_to_alg(
    jwk: &Map<String, Value>,
    mut verifiers: Vec<(JwtAlgorithm, Verifier)>,
) -> Result<Vec<(JwtAlgorithm, Verifier)>, KeyProblem> {
    if let Some(alg) = jwk.get("alg") {
        verifiers.retain(|(algorithm, _)| alg == algorithm.name());
        if verifiers.is_empty() {
            return Err(KeyProblem::AlgorithmMismatch);
        }
    }
    Ok(verifiers)
}

fn rsa_verifiers(jwk: &Map<String, Value>) -> Result<Vec<(JwtAlgorithm, Verifier)>, KeyProblem> {
    let n = without_leading_zeros(bytes(jwk, "n")?);
    let e = without_leading_zeros(bytes(jwk, "e")?);
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err(KeyProblem::RsaSize);
    }
    // Odd and at least 3, or the key signs nothing; in practice 65537. Long exponents only cost time.
    let usable = e.last().is_some_and(|last| last % 2 == 1) && e != [1] && e.len() <= 4;
    if !usable {
        return Err(KeyProblem::Invalid);
    }
    let components = PublicKeyComponents { n, e };
    RSA_ALGORITHMS
        .into_iter()
        .map(|(algorithm, parameters)| {
            let key = components.to_parsed_public_key(parameters).map_err(|_| KeyProblem::Invalid)?;
            Ok((algorithm, Verifier::Public(Box::new(key))))
        })
        .collect()
}

fn ec_verifier(jwk: &Map<String, Value>) -> Result<Vec<(JwtAlgorithm, Verifier)>, KeyProblem> {
    let (algorithm, verification, coordinate): (_, &'static EcdsaVerificationAlgorithm, _) =
        match text(jwk, "crv")? {
            "P-256" => (JwtAlgorithm::ES256, &signature::ECDSA_P256_SHA256_FIXED, 32),
            "P-384" => (JwtAlgorithm::ES384, &signature::ECDSA_P384_SHA384_FIXED, 48),
            _ => return Err(KeyProblem::UnsupportedType("crv")),
        };
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != coordinate || y.len() != coordinate {
        return Err(KeyProblem::Invalid);
    }
    // SEC 1, section 2.3.3: 0x04 marks an uncompressed point.
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    let key = ParsedPublicKey::new(verification, point).map_err(|_| KeyProblem::Invalid)?;
    Ok(vec![(algorithm, Verifier::Public(Box::new(key)))])
}

fn ed25519_verifier(jwk: &Map<String, Value>) -> Result<Vec<(JwtAlgorithm, Verifier)>, KeyProblem> {
    if text(jwk, "crv")? != "Ed25519" {
        return Err(KeyProblem::UnsupportedType("crv"));
    }
    let key = ParsedPublicKey::new(&signature::ED25519, bytes(jwk, "x")?).map_err(|_| KeyProblem::Invalid)?;
    Ok(vec![(JwtAlgorithm::EdDSA, Verifier::Public(Box::new(key)))])
}

fn hmac_verifiers(jwk: &Map<String, Value>) -> Result<Vec<(JwtAlgorithm, Verifier)>, KeyProblem> {
    let secret = bytes(jwk, "k")?;
    let verifiers: Vec<_> = HMAC_ALGORITHMS
        .into_iter()
        .filter(|(_, _, least)| secret.len() >= *least)
        .map(|(algorithm, digest, _)| {
            (algorithm, Verifier::Secret(Box::new(hmac::Key::new(digest, &secret))))
        })
        .collect();
    if verifiers.is_empty() {
        return Err(KeyProblem::ShortSecret);
    }
    Ok(verifiers)
}

fn text<'j>(jwk: &'j Map<String, Value>, member: &'static str) -> Result<&'j str, KeyProblem> {
    jwk.get(member).and_then(Value::as_str).ok_or(KeyProblem::Missing(member))
}

fn bytes(jwk: &Map<String, Value>, member: &'static str) -> Result<Vec<u8>, KeyProblem> {
    URL_SAFE_NO_PAD.decode(text(jwk, member)?).map_err(|_| KeyProblem::NotBase64(member))
}

/// Some issuers put a sign byte before the number.
fn without_leading_zeros(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}
