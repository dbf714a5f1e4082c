//! Keys of the platform: what is taken, what is refused and why, and what a flood of made-up keys costs.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use velocity_access::api_key::NewKey;
use velocity_access::{
    ActorType, AuthError, AuthStrategy, Authenticator, Context, Credential, Credentials, Identity, StoredKey,
    TokenRefusal,
};

use crate::signer::now;
use crate::store::{KeyStore, stored};

struct World {
    store: Arc<KeyStore>,
    authenticator: Authenticator,
}

impl World {
    fn new(api_key: Value) -> Self {
        let store = Arc::new(KeyStore::new());
        let spec = serde_json::from_value(json!({ "type": "apiKey", "apiKey": api_key })).unwrap();
        let context = Context { store: Arc::clone(&store) as _, ..Context::default() };
        let strategy = AuthStrategy::parse(&spec).unwrap();
        Self { store, authenticator: Authenticator::start("platform/keys", strategy, context).unwrap() }
    }

    /// A new key of the platform, stored with these changes.
    fn key(&self, id: &str, change: impl FnOnce(&mut StoredKey)) -> String {
        let (key, mut row) = (NewKey::mint("live").unwrap(), stored(id));
        change(&mut row);
        self.store.add(key.hash(), row);
        key.text().to_owned()
    }

    async fn send(&self, headers: &[(&'static str, &str)], ip: Option<&str>, at: Timestamp) -> Outcome {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let ip = ip.map(|ip| ip.parse::<IpAddr>().unwrap());
        let credentials = Credentials { headers: &map, method: &Method::GET, ip };
        self.authenticator.authenticate(&credentials, at).await
    }

    async fn ask(&self, key: &str) -> Outcome {
        self.ask_at(key, now()).await
    }

    async fn ask_at(&self, key: &str, at: Timestamp) -> Outcome {
        self.send(&[("x-api-key", key)], Some("192.0.2.1"), at).await
    }
}

type Outcome = Result<Option<Arc<Identity>>, AuthError>;

fn made_up() -> String {
    NewKey::mint("live").unwrap().text().to_owned()
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

fn refused<T>(refusal: TokenRefusal) -> Result<T, AuthError> {
    Err(refusal.into())
}

#[tokio::test]
async fn a_key_gives_the_identity_that_it_was_made_for() {
    let world = World::new(json!({}));
    let key = world.key("k1", |row| {
        row.attributes.insert("region".to_owned(), json!("west"));
        row.scopes = vec!["acme/*/*/order/v1:read:id,amount".parse().unwrap()];
    });
    let identity = world.ask(&key).await.unwrap().unwrap();
    assert_eq!((identity.actor(), identity.actor_type()), ("robot", ActorType::ApiKey));
    assert_eq!(identity.strategy(), "platform/keys");
    assert_eq!(identity.attributes()["region"], "west");
    assert_eq!(identity.credential(), &Credential::Key { id: "k1".to_owned() });
    assert_eq!(identity.scopes().unwrap().len(), 1);
    assert_eq!(*world.store.used.lock().unwrap(), [("k1".to_owned(), Some("192.0.2.1".parse().unwrap()))]);
}

#[tokio::test]
async fn a_key_without_scopes_is_not_narrowed() {
    let world = World::new(json!({}));
    let identity = world.ask(&world.key("k1", |_| {})).await.unwrap().unwrap();
    assert_eq!(identity.scopes(), None);
}

#[tokio::test]
async fn keys_come_in_their_header_once_and_nowhere_else() {
    let world = World::new(json!({ "headerName": "X-Service-Key" }));
    let key = world.key("k1", |_| {});
    assert!(world.send(&[("x-service-key", &key)], None, now()).await.unwrap().is_some());
    let bearer = format!("Bearer {key}");
    for elsewhere in
        [&[][..], &[("x-api-key", &*key)], &[("authorization", &*bearer)], &[("x-service-key", " ")]]
    {
        assert_eq!(world.send(elsewhere, None, now()).await, Ok(None), "{elsewhere:?}");
    }
    let twice = [("x-service-key", &*key), ("x-service-key", &*key)];
    assert_eq!(world.send(&twice, None, now()).await, refused(TokenRefusal::AmbiguousHeader));
}

#[tokio::test]
async fn a_key_that_is_sent_as_a_token_is_told_where_it_goes() {
    let world = World::new(json!({}));
    let key = world.key("k1", |_| {});
    let headers = HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {key}").parse().unwrap())]);
    let credentials = Credentials { headers: &headers, method: &Method::GET, ip: None };
    let signer = crate::signer::Signer::new(jsonwebtoken::Algorithm::EdDSA, "k");
    for authenticator in [&world.authenticator, &crate::signer::trusting(&signer)] {
        assert_eq!(authenticator.authenticate(&credentials, now()).await, Ok(None));
        assert_eq!(authenticator.why_not(&credentials), TokenRefusal::KeyAsBearer.into());
    }
    assert_eq!(world.store.lookups(), 0);
}

#[tokio::test]
async fn what_cannot_be_a_key_is_refused_without_asking_anyone() {
    let world = World::new(json!({}));
    let key = world.key("k1", |_| {});
    for text in [
        &key[1..],
        &key[..key.len() - 1],
        &format!("{key}a"),
        "vel_live_",
        "x",
        "vels_live",
        &"a".repeat(9000),
    ] {
        assert_eq!(world.ask(text).await, refused(TokenRefusal::KeyMalformed), "{text}");
    }
    assert_eq!(world.store.lookups(), 0);
}

#[tokio::test]
async fn a_key_that_was_looked_up_is_believed_for_a_minute() {
    let world = World::new(json!({}));
    let key = world.key("k1", |_| {});
    for second in [0, 30, 59] {
        assert!(world.ask_at(&key, after(second)).await.unwrap().is_some());
    }
    assert_eq!(world.store.lookups(), 1);
    world.store.keys.lock().unwrap().clear();
    assert_eq!(world.ask_at(&key, after(60)).await, refused(TokenRefusal::KeyUnknown));
    assert_eq!(world.store.lookups(), 2);
    assert_eq!(world.store.used.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn an_unknown_key_is_not_looked_up_again_for_five_seconds() {
    let world = World::new(json!({}));
    let (key, row) = (NewKey::mint("live").unwrap(), stored("k1"));
    for second in [0, 1, 4] {
        assert_eq!(world.ask_at(key.text(), after(second)).await, refused(TokenRefusal::KeyUnknown));
    }
    assert_eq!(world.store.lookups(), 1);
    world.store.add(key.hash(), row);
    assert!(world.ask_at(key.text(), after(5)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_key_ends_to_the_second_be_it_by_expiry_or_because_another_took_its_place() {
    let world = World::new(json!({}));
    for (id, expires, ends) in [("a", Some(10), None), ("b", None, Some(10)), ("c", Some(99), Some(10))] {
        let key = world.key(id, |row| {
            row.expires_at = expires.map(after);
            row.ends_at = ends.map(after);
        });
        assert_eq!(world.ask_at(&key, after(9)).await.unwrap().unwrap().expires_at(), after(10));
        assert_eq!(world.ask_at(&key, after(10)).await, refused(TokenRefusal::KeyExpired), "{id}");
    }
}

#[tokio::test]
async fn the_allow_list_comes_first_so_that_a_refusal_says_nothing_about_the_key() {
    let world = World::new(json!({ "ipAllowlist": ["10.0.0.0/8", "2001:db8::/32"] }));
    let key = world.key("k1", |_| {});
    for inside in ["10.1.2.3", "2001:db8::7", "::ffff:10.1.2.3"] {
        assert!(world.send(&[("x-api-key", &key)], Some(inside), now()).await.unwrap().is_some(), "{inside}");
    }
    let lookups = world.store.lookups();
    for outside in [Some("192.0.2.1"), Some("2001:db9::1"), Some("::ffff:11.0.0.1"), None] {
        for text in [&key, &made_up(), "nonsense"] {
            let outcome = world.send(&[("x-api-key", text)], outside, now()).await;
            assert_eq!(outcome, refused(TokenRefusal::AddressNotAllowed), "{outside:?}");
        }
    }
    assert_eq!(world.store.lookups(), lookups);
}

#[tokio::test]
async fn an_outage_stops_keys_that_are_not_known_and_no_others() {
    let world = World::new(json!({}));
    let (known, other) = (world.key("k1", |_| {}), world.key("k2", |_| {}));
    assert!(world.ask(&known).await.is_ok());
    world.store.is_down.store(true, Ordering::SeqCst);
    assert!(world.ask(&known).await.unwrap().is_some());
    assert_eq!(world.ask(&other).await, Err(AuthError::StoreUnavailable));
    assert_eq!(AuthError::StoreUnavailable.code().status(), 503);
    // An outage is not remembered as an answer.
    world.store.is_down.store(false, Ordering::SeqCst);
    assert!(world.ask(&other).await.unwrap().is_some());
}

#[tokio::test]
async fn a_flood_from_one_address_is_cut_off_while_known_keys_and_other_addresses_go_on() {
    let world = World::new(json!({}));
    let known = world.key("k1", |_| {});
    assert!(world.ask(&known).await.is_ok());
    let mut cut_off = 0;
    for _ in 0..1000 {
        match world.ask(&made_up()).await {
            Err(AuthError::TooManyAttempts) => cut_off += 1,
            outcome => assert_eq!(outcome, refused(TokenRefusal::KeyUnknown)),
        }
    }
    // A hundred at once and twenty a second are let through, however slow the machine is.
    assert!(cut_off > 0);
    assert_eq!(world.store.lookups(), 1 + 1000 - cut_off);
    assert!(world.ask(&known).await.unwrap().is_some());
    let elsewhere = world.send(&[("x-api-key", &made_up())], Some("198.51.100.1"), now()).await;
    assert_eq!(elsewhere, refused(TokenRefusal::KeyUnknown));
    assert_eq!(AuthError::TooManyAttempts.code().status(), 429);
}

#[tokio::test]
async fn a_flood_from_a_whole_ipv6_network_is_one_origin() {
    let world = World::new(json!({}));
    let mut cut_off = false;
    for host in 0..2000 {
        let ip = format!("2001:db8:1:2::{host:x}");
        let outcome = world.send(&[("x-api-key", &made_up())], Some(&ip), now()).await;
        cut_off |= outcome == Err(AuthError::TooManyAttempts);
    }
    assert!(cut_off);
}

#[tokio::test]
async fn a_flood_from_everywhere_takes_four_connections_at_most() {
    let world = Arc::new(World::new(json!({})));
    let flood: Vec<_> = (0..200)
        .map(|host| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let ip = format!("198.51.100.{host}");
                world.send(&[("x-api-key", &made_up())], Some(&ip), now()).await
            })
        })
        .collect();
    for outcome in flood {
        assert_eq!(outcome.await.unwrap(), refused(TokenRefusal::KeyUnknown));
    }
    assert_eq!(world.store.lookups(), 200);
    assert!(world.store.most_at_once.load(Ordering::SeqCst) <= 4);
}

#[tokio::test(start_paused = true)]
async fn a_request_does_not_wait_for_a_look_up_for_ever() {
    let mut world = World::new(json!({}));
    let store = Arc::new(KeyStore { answers: Semaphore::new(0), ..KeyStore::new() });
    let strategy = serde_json::from_value(json!({ "type": "apiKey", "apiKey": {} })).unwrap();
    let context = Context { store: Arc::clone(&store) as _, ..Context::default() };
    world.authenticator =
        Authenticator::start("platform/keys", AuthStrategy::parse(&strategy).unwrap(), context).unwrap();
    let world = Arc::new(world);
    let hanging: Vec<_> = (0..4)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.ask(&made_up()).await })
        })
        .collect();
    while store.lookups() < 4 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.ask(&made_up()).await, Err(AuthError::StoreUnavailable));
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_stored_key_beyond_the_limits_of_an_identity_lets_nobody_in() {
    let world = World::new(json!({}));
    let key = world.key("k1", |row| row.actor = String::new());
    assert!(matches!(world.ask(&key).await, Err(AuthError::InvalidToken(TokenRefusal::Identity(_)))));
}
