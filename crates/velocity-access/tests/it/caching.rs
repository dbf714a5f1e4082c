//! A token that was verified before must not outlive what it says.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::Algorithm;
use serde_json::json;
use velocity_access::{AuthError, Authenticator, Identity, TokenRefusal};

use crate::signer::{NOW, Signer, authorize, now, trusting};

async fn at(authenticator: &Authenticator, token: &str, time: Timestamp) -> Result<Arc<Identity>, AuthError> {
    let header = format!("Bearer {token}");
    authorize(authenticator, &[header.as_bytes()], time).await
}

#[tokio::test]
async fn a_second_look_at_a_token_gives_the_very_same_identity() {
    let key = Signer::new(Algorithm::ES256, "k");
    let (authenticator, token) = (trusting(&key), key.token());
    let first = at(&authenticator, &token, now()).await.unwrap();
    let second = at(&authenticator, &token, now()).await.unwrap();
    assert!(Arc::ptr_eq(&first, &second));
}

#[tokio::test]
async fn after_a_minute_a_token_is_verified_again() {
    let key = Signer::new(Algorithm::ES256, "k");
    let (authenticator, token) = (trusting(&key), key.token());
    let first = at(&authenticator, &token, now()).await.unwrap();
    let just_before = at(&authenticator, &token, now() + SignedDuration::from_secs(59)).await.unwrap();
    assert!(Arc::ptr_eq(&first, &just_before));
    let later = at(&authenticator, &token, now() + SignedDuration::from_secs(60)).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &later));
}

#[tokio::test]
async fn a_remembered_token_expires_to_the_second() {
    let key = Signer::new(Algorithm::ES256, "k");
    let (authenticator, token) = (trusting(&key), key.token_with(json!({ "exp": NOW + 10 })));
    // Clock skew is 30 s in these tests.
    for seconds in [0, 10, 39] {
        assert!(at(&authenticator, &token, now() + SignedDuration::from_secs(seconds)).await.is_ok());
    }
    let expired = at(&authenticator, &token, now() + SignedDuration::from_secs(40)).await;
    assert_eq!(expired, Err(TokenRefusal::Expired.into()));
}

#[tokio::test]
async fn a_token_that_differs_in_one_byte_is_not_taken_for_one_that_was_verified() {
    let key = Signer::new(Algorithm::ES256, "k");
    let (authenticator, token) = (trusting(&key), key.token());
    assert!(at(&authenticator, &token, now()).await.is_ok());
    for index in (0..token.len()).step_by(7) {
        let mut bytes = token.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(at(&authenticator, &changed, now()).await.is_err(), "byte {index}");
    }
}

#[tokio::test]
async fn what_one_strategy_verified_another_does_not_believe() {
    let (a, b) = (Signer::new(Algorithm::ES256, "k"), Signer::new(Algorithm::ES256, "k"));
    let (trusts_a, trusts_b) = (trusting(&a), trusting(&b));
    let token = a.token();
    assert!(at(&trusts_a, &token, now()).await.is_ok());
    assert_eq!(at(&trusts_b, &token, now()).await, Err(TokenRefusal::BadSignature.into()));
    assert_eq!(at(&trusts_b, &token, now()).await, Err(TokenRefusal::BadSignature.into()));
    assert!(at(&trusts_a, &token, now()).await.is_ok());
}

#[tokio::test]
async fn a_token_that_is_not_valid_yet_becomes_valid() {
    let key = Signer::new(Algorithm::ES256, "k");
    let (authenticator, token) = (trusting(&key), key.token_with(json!({ "nbf": NOW + 40 })));
    assert_eq!(at(&authenticator, &token, now()).await, Err(TokenRefusal::NotYetValid.into()));
    assert!(at(&authenticator, &token, now() + SignedDuration::from_secs(10)).await.is_ok());
}
