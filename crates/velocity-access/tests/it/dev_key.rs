//! The development key, read back by ourselves and by an independent implementation.

use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value, json};
use velocity_access::{AuthStrategy, Authenticator, Context, DEV_AUDIENCE, DEV_ISSUER, DevKey, TokenRefusal};

use crate::signer::{authenticate, now, refusal};

fn mint(key: &DevKey, at: Timestamp) -> String {
    let attributes = Map::from_iter([("region".to_owned(), json!("west"))]);
    key.mint("ravi", &["procurement-writer".to_owned()], &attributes, at, Duration::from_hours(1)).unwrap()
}

fn trusting(key: &DevKey) -> Authenticator {
    let strategy = AuthStrategy::parse(&key.strategy()).unwrap();
    Authenticator::start("platform/dev", strategy, Context::default()).unwrap()
}

#[tokio::test]
async fn its_own_strategy_takes_its_tokens_and_those_of_no_other_key() {
    let (key, other) = (DevKey::generate().unwrap(), DevKey::generate().unwrap());
    let identity = authenticate(&trusting(&key), &mint(&key, now())).await.unwrap();
    assert_eq!(identity.actor(), "ravi");
    assert!(identity.roles().contains("procurement-writer"));
    assert_eq!(identity.attributes()["region"], "west");
    assert_eq!(identity.expires_at(), now() + Duration::from_hours(1));
    assert!(identity.token_id().is_some());
    assert_eq!(refusal(&trusting(&key), &mint(&other, now())).await, TokenRefusal::UnknownKey);
}

#[tokio::test]
async fn a_key_survives_being_written_and_read() {
    let key = DevKey::generate().unwrap();
    let again = DevKey::from_pem(key.to_pem()).unwrap();
    assert_eq!((again.kid(), again.jwks()), (key.kid(), key.jwks()));
    assert!(authenticate(&trusting(&key), &mint(&again, now())).await.is_ok());
    assert!(jsonwebtoken::EncodingKey::from_ed_pem(key.to_pem().as_bytes()).is_ok());
}

#[test]
fn an_independent_implementation_verifies_its_tokens_with_its_published_keys() {
    let key = DevKey::generate().unwrap();
    let keys: JwkSet = serde_json::from_value(key.jwks()).unwrap();
    let jwk = keys.find(key.kid()).unwrap();
    assert_eq!(jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap(), key.kid());
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[DEV_AUDIENCE]);
    validation.set_issuer(&[DEV_ISSUER]);
    validation.set_required_spec_claims(&["exp", "sub", "iss", "aud"]);
    let token = mint(&key, Timestamp::now());
    let decoded =
        jsonwebtoken::decode::<Value>(&token, &DecodingKey::from_jwk(jwk).unwrap(), &validation).unwrap();
    assert_eq!(decoded.claims["roles"], json!(["procurement-writer"]));
}

#[test]
fn no_two_tokens_have_the_same_id() {
    let key = DevKey::generate().unwrap();
    assert_ne!(mint(&key, now()), mint(&key, now()));
}

#[test]
fn what_is_no_private_key_is_refused_and_a_key_never_shows_itself() {
    let key = DevKey::generate().unwrap();
    let cut = key.to_pem().replace("PRIVATE", "PUBLIC");
    for text in ["", "x", &key.jwks().to_string(), &cut, &key.to_pem()[..80]] {
        assert!(DevKey::from_pem(text).is_err(), "{text}");
    }
    let body = key.to_pem().lines().nth(1).unwrap().to_owned();
    assert!(!format!("{key:?}").contains(&body));
    assert!(!key.jwks().to_string().contains("\"d\""));
}

#[test]
fn a_token_that_would_outlive_all_calendars_is_refused() {
    let key = DevKey::generate().unwrap();
    assert!(key.mint("a", &[], &Map::new(), now(), Duration::MAX).is_err());
}
