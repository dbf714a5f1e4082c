//! Keys fetched from their issuer: rotation, outages, and sets that are partly or wholly bad.

use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use velocity_access::{Authenticator, Context, KeySourceStatus, RemoteKeySettings, TokenRefusal};

use crate::key_server::{Answer, KeyServer};
use crate::signer::{Signer, authenticate, claims, issuer, refusal, strategy};

/// Fetches only when an unknown key asks for it, and then at once.
fn eager() -> RemoteKeySettings {
    RemoteKeySettings {
        refresh_every: Duration::from_hours(1),
        unknown_key_floor: Duration::ZERO,
        retry_floor: Duration::ZERO,
        ..RemoteKeySettings::default()
    }
}

/// Fetches once and then not again for as long as a test takes.
fn patient() -> RemoteKeySettings {
    RemoteKeySettings {
        unknown_key_floor: Duration::from_hours(1),
        retry_floor: Duration::from_hours(1),
        ..eager()
    }
}

fn start(url: &str, settings: RemoteKeySettings) -> Authenticator {
    let published = json!({ "jwks": null, "jwksUrl": url, "algorithms": ["ES256", "RS256"] });
    Authenticator::start(
        "platform/test",
        strategy(&[issuer(&[], published)]),
        Context { keys: settings, ..Context::default() },
    )
    .unwrap()
}

/// The state of the only source once the first attempt to fetch is over.
async fn first_attempt(authenticator: &Authenticator) -> KeySourceStatus {
    loop {
        let status = authenticator.key_sources().remove(0);
        if status.fetched_at.is_some() || status.error.is_some() {
            return status;
        }
        tokio::task::yield_now().await;
    }
}

fn ec(kid: &str) -> Signer {
    Signer::new(Algorithm::ES256, kid)
}

#[tokio::test]
async fn the_first_request_waits_for_the_keys() {
    let key = ec("k1");
    let server = KeyServer::start(Answer::keys(&[&key])).await;
    let authenticator = start(&server.url, patient());
    assert!(authenticate(&authenticator, &key.token()).await.is_ok());
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn a_rotated_key_is_taken_at_once_and_the_old_one_no_more() {
    let (old, new) = (ec("k1"), ec("k2"));
    let server = KeyServer::start(Answer::keys(&[&old])).await;
    let authenticator = start(&server.url, eager());
    assert!(authenticate(&authenticator, &old.token()).await.is_ok());
    server.set(Answer::keys(&[&old, &new]));
    assert!(authenticate(&authenticator, &new.token()).await.is_ok());
    assert!(authenticate(&authenticator, &old.token_with(json!({ "jti": "2" }))).await.is_ok());
    server.set(Answer::keys(&[&new]));
    assert_eq!(refusal(&authenticator, &ec("k3").token()).await, TokenRefusal::UnknownKey);
    assert_eq!(
        refusal(&authenticator, &old.token_with(json!({ "jti": "3" }))).await,
        TokenRefusal::UnknownKey
    );
    assert!(authenticate(&authenticator, &new.token_with(json!({ "jti": "4" }))).await.is_ok());
}

#[tokio::test]
async fn the_set_is_refreshed_in_the_background_without_anyone_asking() {
    let (old, new) = (ec("k1"), ec("k2"));
    let server = KeyServer::start(Answer::keys(&[&old])).await;
    let settings = RemoteKeySettings { refresh_every: Duration::from_millis(5), ..patient() };
    let authenticator = start(&server.url, settings);
    first_attempt(&authenticator).await;
    server.set(Answer::keys(&[&old, &new]));
    while authenticator.key_sources()[0].keys < 2 {
        tokio::task::yield_now().await;
    }
    assert!(authenticate(&authenticator, &new.token()).await.is_ok());
}

#[tokio::test]
async fn forged_key_ids_do_not_make_us_flood_the_issuer() {
    let key = ec("k1");
    let server = KeyServer::start(Answer::keys(&[&key])).await;
    let authenticator = start(&server.url, patient());
    first_attempt(&authenticator).await;
    let mallory = ec("k1");
    for index in 0..50 {
        let header = json!({ "alg": "ES256", "kid": format!("forged-{index}") });
        assert_eq!(
            refusal(&authenticator, &mallory.sign(&header, &claims())).await,
            TokenRefusal::UnknownKey
        );
    }
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn in_an_outage_known_keys_go_on_and_unknown_ones_are_refused() {
    let (known, new) = (ec("k1"), ec("k2"));
    let server = KeyServer::start(Answer::keys(&[&known])).await;
    let authenticator = start(&server.url, eager());
    assert!(authenticate(&authenticator, &known.token()).await.is_ok());
    for (index, outage) in [
        Answer::Status(500),
        Answer::Body("<html>down for maintenance</html>".to_owned()),
        Answer::Body(json!({ "keys": [] }).to_string()),
        Answer::Body(json!({ "error": "x" }).to_string()),
    ]
    .into_iter()
    .enumerate()
    {
        server.set(outage);
        assert_eq!(refusal(&authenticator, &new.token()).await, TokenRefusal::UnknownKey);
        let fresh = known.token_with(json!({ "jti": format!("during-{index}") }));
        assert!(authenticate(&authenticator, &fresh).await.is_ok());
        assert!(authenticator.key_sources()[0].error.is_some());
    }
    server.set(Answer::keys(&[&known, &new]));
    assert!(authenticate(&authenticator, &new.token()).await.is_ok());
    assert_eq!(authenticator.key_sources()[0].error, None);
}

#[tokio::test]
async fn keys_that_were_never_fetched_are_told_from_unknown_ones() {
    let key = ec("k1");
    let server = KeyServer::start(Answer::Status(503)).await;
    let authenticator = start(&server.url, eager());
    assert_eq!(refusal(&authenticator, &key.token()).await, TokenRefusal::KeysUnavailable);
    server.set(Answer::keys(&[&key]));
    assert!(authenticate(&authenticator, &key.token()).await.is_ok());
    drop(server);
    let nobody_listens = start("http://127.0.0.1:9/keys", eager());
    assert_eq!(refusal(&nobody_listens, &key.token()).await, TokenRefusal::KeysUnavailable);
}

#[tokio::test]
async fn a_redirect_an_endless_body_and_silence_are_failures() {
    let key = ec("k1");
    let elsewhere = KeyServer::start(Answer::keys(&[&key])).await;
    let settings = RemoteKeySettings { timeout: Duration::from_millis(200), ..patient() };
    for (answer, error) in [
        (Answer::Redirect(elsewhere.url.clone()), "302"),
        (Answer::Endless, "bigger than"),
        (Answer::Silence, "cannot be fetched"),
    ] {
        let server = KeyServer::start(answer).await;
        let settings = if error == "cannot be fetched" { settings } else { patient() };
        let authenticator = start(&server.url, settings);
        assert_eq!(refusal(&authenticator, &key.token()).await, TokenRefusal::KeysUnavailable);
        let status = first_attempt(&authenticator).await;
        assert!(status.error.as_deref().is_some_and(|text| text.contains(error)), "{status:?}");
    }
    assert_eq!(elsewhere.hits(), 0);
}

#[tokio::test]
async fn bad_keys_in_a_set_hurt_only_themselves() {
    let (good, mut private, mut wrong_alg) = (ec("good"), ec("private").jwk(), ec("alg").jwk());
    private["d"] = json!("AAAA");
    wrong_alg["alg"] = json!("RS256");
    let mut encryption = ec("enc").jwk();
    encryption["use"] = json!("enc");
    let mut off_curve = ec("off").jwk();
    off_curve["x"] = off_curve["y"].clone();
    let mut keys: Vec<Value> = vec![
        json!(7),
        json!({}),
        json!({ "kty": "EC" }),
        json!({ "kty": "RSA", "kid": "small", "n": "AQAB", "e": "AQAB" }),
        json!({ "kty": "OKP", "crv": "Ed448", "kid": "x", "x": "AAAA" }),
        json!({ "kty": "oct", "kid": "secret", "k": "A".repeat(64) }),
        private,
        wrong_alg,
        encryption,
        off_curve,
        good.jwk(),
    ];
    // The first of two keys with one name counts.
    keys.push(ec("good").jwk());
    let server = KeyServer::start(Answer::raw_keys(&keys)).await;
    let authenticator = start(&server.url, patient());
    assert!(authenticate(&authenticator, &good.token()).await.is_ok());
    let status = first_attempt(&authenticator).await;
    assert_eq!((status.keys, status.skipped), (1, 11));
}

#[tokio::test]
async fn requests_that_go_away_cannot_get_round_the_floor() {
    let (known, forged) = (ec("k1"), ec("k2").token());
    let server = KeyServer::start(Answer::keys(&[&known])).await;
    let authenticator = start(&server.url, eager());
    first_attempt(&authenticator).await;
    server.set(Answer::Silence);
    // The first request waits for an answer that does not come, then goes away.
    tokio::select! {
        biased;
        () = async { while server.hits() < 2 { tokio::task::yield_now().await } } => {}
        _ = authenticate(&authenticator, &forged) => panic!("nobody has answered yet"),
    }
    for _ in 0..20 {
        tokio::select! {
            biased;
            () = async { for _ in 0..50 { tokio::task::yield_now().await } } => {}
            _ = authenticate(&authenticator, &forged) => panic!("nobody has answered yet"),
        }
    }
    assert_eq!(server.hits(), 2);
    assert!(authenticate(&authenticator, &known.token()).await.is_ok());
}
