//! Composites of real strategies: who decides, and when nobody does.

use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Map, Value, json};
use velocity_access::api_key::NewKey;
use velocity_access::{
    AuthStrategy, Context, CredentialStore, DevKey, NewSession, RevocationChange, RevocationKind,
    RevocationSource, SessionUpdate, StoreFuture, StoreUnavailable, StoredKey, StoredSession,
};

use super::*;

/// Keys that are all of one actor.
struct Keys(Vec<[u8; 32]>);

impl CredentialStore for Keys {
    fn api_key<'a>(&'a self, hash: &'a [u8; 32]) -> StoreFuture<'a, Option<StoredKey>> {
        let key = self.0.contains(hash).then(|| StoredKey {
            id: "k1".to_owned(),
            actor: "robot".to_owned(),
            roles: std::collections::BTreeSet::new(),
            attributes: Map::new(),
            scopes: Vec::new(),
            expires_at: None,
            ends_at: None,
        });
        Box::pin(std::future::ready(Ok(key)))
    }

    fn key_used(&self, _: &str, _: Timestamp, _: Option<std::net::IpAddr>) {}

    fn session<'a>(&'a self, _: &'a [u8; 32]) -> StoreFuture<'a, Option<StoredSession>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn create_session<'a>(&'a self, _: &'a NewSession) -> StoreFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn refresh_session<'a>(&'a self, _: &'a str, _: &'a SessionUpdate) -> StoreFuture<'a, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn end_session<'a>(&'a self, _: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Two issuers of one name, keys, and composites of them.
struct World {
    first: DevKey,
    second: DevKey,
    key: NewKey,
    strategies: Strategies,
}

fn name(text: &str) -> StrategyRef {
    let (namespace, name) = text.split_once('/').unwrap();
    StrategyRef { namespace: namespace.to_owned(), name: name.to_owned() }
}

fn composite(members: &[&str]) -> Value {
    let members: Vec<Value> = members
        .iter()
        .map(|member| match member.split_once('/') {
            Some((namespace, name)) => json!({ "name": name, "namespace": namespace }),
            None => json!({ "name": member }),
        })
        .collect();
    json!({ "type": "composite", "composite": { "strategies": members } })
}

impl World {
    fn new(composites: &[(&str, &[&str])]) -> Self {
        Self::with_revocations(composites, Arc::new(NoRevocations), false)
    }

    fn with_revocations(
        composites: &[(&str, &[&str])],
        source: Arc<dyn RevocationSource>,
        fail_open: bool,
    ) -> Self {
        let (first, second) = (DevKey::generate().unwrap(), DevKey::generate().unwrap());
        let key = NewKey::mint("test").unwrap();
        let context = Context { store: Arc::new(Keys(vec![key.hash()])), ..Context::default() };
        let mut specs = vec![
            ("platform/first".to_owned(), serde_json::to_value(first.strategy()).unwrap()),
            ("platform/second".to_owned(), serde_json::to_value(second.strategy()).unwrap()),
            ("platform/keys".to_owned(), json!({ "type": "apiKey", "apiKey": {} })),
        ];
        for (_, spec) in &mut specs {
            spec["revocation"] = json!({ "failOpen": fail_open });
        }
        specs.extend(composites.iter().map(|(name, members)| ((*name).to_owned(), composite(members))));
        let mut running = RunningStrategies::new();
        for (text, spec) in specs {
            let strategy = AuthStrategy::parse(&serde_json::from_value(spec).unwrap()).unwrap();
            let started = Authenticator::start(&text, strategy, context.clone()).unwrap();
            running.insert(name(&text), Arc::new(started));
        }
        let strategies = Strategies::new(Revocations::new(source));
        strategies.store(running);
        Self { first, second, key, strategies }
    }

    fn token(of: &DevKey) -> String {
        let hour = std::time::Duration::from_hours(1);
        format!("Bearer {}", of.mint("ravi", &[], &Map::new(), Timestamp::now(), hour).unwrap())
    }

    /// Which strategy proved the caller, or the code of the refusal.
    async fn ask(&self, strategy: &str, headers: &[(&'static str, &str)]) -> Result<String, &'static str> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let credentials = Credentials { headers: &map, method: &Method::GET, ip: None };
        let outcome = self.strategies.authenticate(Some(&name(strategy)), &credentials).await;
        outcome.map(|identity| identity.strategy().to_owned()).map_err(|error| error.code().as_str())
    }
}

const REQUIRED: Result<String, &str> = Err("AUTH_REQUIRED");
const INVALID: Result<String, &str> = Err("AUTH_INVALID_TOKEN");

#[expect(clippy::unnecessary_wraps, reason = "reads as what is expected of an answer")]
fn proven_by(strategy: &str) -> Result<String, &'static str> {
    Ok(strategy.to_owned())
}

#[tokio::test]
async fn the_first_member_that_recognises_a_credential_decides() {
    let both: &[&str] = &["first", "keys"];
    let world = World::new(&[("platform/both", both), ("platform/other", &["keys", "first"])]);
    let (token, key) = (World::token(&world.first), world.key.text());
    for strategy in ["platform/both", "platform/other"] {
        assert_eq!(world.ask(strategy, &[("authorization", &token)]).await, proven_by("platform/first"));
        assert_eq!(world.ask(strategy, &[("x-api-key", key)]).await, proven_by("platform/keys"));
        assert_eq!(world.ask(strategy, &[]).await, REQUIRED);
        assert_eq!(world.ask(strategy, &[("authorization", "Basic dTpw")]).await, INVALID);
    }
    // With two credentials the order of the members decides.
    let two = [("authorization", &*token), ("x-api-key", key)];
    assert_eq!(world.ask("platform/both", &two).await, proven_by("platform/first"));
    assert_eq!(world.ask("platform/other", &two).await, proven_by("platform/keys"));
}

#[tokio::test]
async fn a_credential_that_is_recognised_and_not_good_never_falls_through() {
    let world = World::new(&[("platform/both", &["first", "second", "keys"])]);
    // Both strategies know the issuer by the same name; the first one is asked, and its keys did not sign this.
    let second = World::token(&world.second);
    assert_eq!(
        world.ask("platform/second", &[("authorization", &second)]).await,
        proven_by("platform/second")
    );
    assert_eq!(world.ask("platform/both", &[("authorization", &second)]).await, INVALID);
    let with_key = [("authorization", &*second), ("x-api-key", world.key.text())];
    assert_eq!(world.ask("platform/both", &with_key).await, INVALID);
    let made_up = NewKey::mint("test").unwrap();
    let world = World::new(&[("platform/keys-first", &["keys", "first"])]);
    let token = World::token(&world.first);
    for key in [made_up.text(), "nonsense"] {
        let both = [("x-api-key", key), ("authorization", &*token)];
        assert_eq!(world.ask("platform/keys-first", &both).await, INVALID, "{key}");
    }
}

#[tokio::test]
async fn a_header_that_comes_twice_is_refused_whatever_else_is_there() {
    let world = World::new(&[("platform/both", &["keys", "first"])]);
    let (token, key) = (World::token(&world.first), world.key.text());
    for twice in
        [[("authorization", &*token), ("authorization", &*token)], [("x-api-key", key), ("x-api-key", key)]]
    {
        assert_eq!(world.ask("platform/both", &twice).await, INVALID);
    }
    let three = [("authorization", &*token), ("authorization", "Bearer x"), ("x-api-key", key)];
    assert_eq!(world.ask("platform/both", &three).await, INVALID);
}

#[tokio::test]
async fn a_composite_without_one_of_its_members_lets_nobody_in() {
    let world = World::new(&[
        ("platform/missing", &["first", "gone"]),
        ("platform/nested", &["first", "inner"]),
        ("platform/inner", &["keys"]),
        ("platform/itself", &["first", "itself"]),
        ("platform/a", &["b"]),
        ("platform/b", &["a"]),
        ("tenant/own", &["first"]),
        ("tenant/named", &["platform/first"]),
    ]);
    let token = World::token(&world.first);
    for broken in ["missing", "nested", "itself", "a", "b", "gone"] {
        let strategy = format!("platform/{broken}");
        assert_eq!(world.ask(&strategy, &[("authorization", &token)]).await, INVALID, "{broken}");
    }
    // A member without a namespace is in that of the composite.
    assert_eq!(world.ask("tenant/own", &[("authorization", &token)]).await, INVALID);
    assert_eq!(world.ask("tenant/named", &[("authorization", &token)]).await, proven_by("platform/first"));
}

/// Revokes one key, or is down.
struct OneKey {
    is_down: AtomicBool,
}

impl RevocationSource for OneKey {
    fn since(&self, change: i64) -> StoreFuture<'_, Vec<RevocationChange>> {
        let one = RevocationChange {
            change: 1,
            kind: RevocationKind::Key,
            value: "k1".to_owned(),
            lifted: false,
            expires_at: None,
        };
        let answer = if self.is_down.load(Ordering::SeqCst) {
            Err(StoreUnavailable::new("down"))
        } else {
            Ok(if change == 0 { vec![one] } else { Vec::new() })
        };
        Box::pin(std::future::ready(answer))
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_revoked_is_refused_and_no_other_member_is_asked() {
    let source = Arc::new(OneKey { is_down: AtomicBool::new(false) });
    let world =
        World::with_revocations(&[("platform/both", &["keys", "first"])], Arc::clone(&source) as _, false);
    let (token, key) = (World::token(&world.first), world.key.text());
    assert_eq!(world.ask("platform/both", &[("authorization", &token)]).await, proven_by("platform/first"));
    let both = [("x-api-key", key), ("authorization", &*token)];
    assert_eq!(world.ask("platform/both", &both).await, INVALID);
    source.is_down.store(true, Ordering::SeqCst);
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    let outage = world.ask("platform/both", &[("authorization", &token)]).await;
    assert_eq!(outage, Err("REVOCATION_UNAVAILABLE"));
}

#[tokio::test(start_paused = true)]
async fn the_strategy_that_takes_the_credential_says_what_an_outage_of_revocations_means() {
    let source = Arc::new(OneKey { is_down: AtomicBool::new(true) });
    let world = World::with_revocations(&[("platform/both", &["keys", "first"])], source, true);
    let token = World::token(&world.first);
    assert_eq!(world.ask("platform/both", &[("authorization", &token)]).await, proven_by("platform/first"));
}

#[tokio::test]
async fn administrators_come_from_the_default_strategy_its_members_and_its_namespace() {
    let world = World::new(&[("platform/default", &["first", "elsewhere/member"])]);
    let counts = |strategy: &str, default: Option<&str>| {
        world.strategies.admin_counts(strategy, default.map(name).as_ref())
    };
    for strategy in ["platform/default", "platform/first", "platform/anything", "elsewhere/member"] {
        assert!(counts(strategy, Some("platform/default")), "{strategy}");
    }
    for strategy in ["elsewhere/other", "tenant/first", "", "platform", "/first", "tenant/platform/first"] {
        assert!(!counts(strategy, Some("platform/default")), "{strategy}");
    }
    assert!(!counts("platform/first", None));
    // A default that does not run has no members.
    assert!(!counts("elsewhere/member", Some("platform/gone")));
}
