//! Every algorithm that a strategy can name.

use jsonwebtoken::Algorithm;
use serde_json::json;
use velocity_access::TokenRefusal;

use crate::signer::{Signer, authenticate, claims, issuer, refusal, start, trusting};

const ALL: [Algorithm; 12] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
];

#[tokio::test]
async fn every_algorithm_verifies_what_an_independent_implementation_signed() {
    for algorithm in ALL {
        let key = Signer::new(algorithm, "k");
        let identity = authenticate(&trusting(&key), &key.token()).await.unwrap();
        assert_eq!(identity.actor(), "ravi", "{algorithm:?}");
    }
}

#[tokio::test]
async fn no_algorithm_takes_a_signature_over_other_claims() {
    for algorithm in ALL {
        let key = Signer::new(algorithm, "k");
        let (token, other) = (key.token(), key.token_with(json!({ "sub": "mallory" })));
        let (_, signature) = token.rsplit_once('.').unwrap();
        let (message, _) = other.rsplit_once('.').unwrap();
        let forged = format!("{message}.{signature}");
        assert_eq!(refusal(&trusting(&key), &forged).await, TokenRefusal::BadSignature, "{algorithm:?}");
    }
}

#[tokio::test]
async fn an_algorithm_outside_of_the_list_is_refused_even_with_a_good_signature() {
    let key = Signer::new(Algorithm::RS256, "k");
    let mut jwk = key.jwk();
    jwk.as_object_mut().unwrap().remove("alg");
    let authenticator =
        start(&[issuer(&[&key], json!({ "jwks": { "keys": [jwk] }, "algorithms": ["PS256", "ES256"] }))]);
    assert_eq!(refusal(&authenticator, &key.token()).await, TokenRefusal::AlgorithmNotAllowed);
    let pss = key.with_algorithm(Algorithm::PS256);
    assert!(authenticate(&authenticator, &pss.token()).await.is_ok());
}

#[tokio::test]
async fn a_key_that_names_its_algorithm_verifies_no_other() {
    let rs256 = Signer::new(Algorithm::RS256, "k");
    let authenticator = start(&[issuer(&[&rs256], json!({ "algorithms": ["RS256", "PS256"] }))]);
    let ps256 = rs256.with_algorithm(Algorithm::PS256);
    assert_eq!(refusal(&authenticator, &ps256.token()).await, TokenRefusal::UnknownKey);
}

#[tokio::test]
async fn without_a_kid_the_only_key_that_fits_is_used_and_several_are_ambiguous() {
    let (rsa, ec) = (Signer::new(Algorithm::RS256, "r"), Signer::new(Algorithm::ES256, "e"));
    let nameless = |key: &Signer| key.sign(&json!({ "alg": key.name() }), &claims());
    let both = start(&[issuer(&[&rsa, &ec], json!({}))]);
    assert!(authenticate(&both, &nameless(&rsa)).await.is_ok());
    assert!(authenticate(&both, &nameless(&ec)).await.is_ok());
    let other = Signer::other_rsa("r2");
    let two = start(&[issuer(&[&rsa, &other], json!({ "algorithms": ["RS256"] }))]);
    assert_eq!(refusal(&two, &nameless(&rsa)).await, TokenRefusal::UnknownKey);
    assert!(authenticate(&two, &rsa.token()).await.is_ok());
}
