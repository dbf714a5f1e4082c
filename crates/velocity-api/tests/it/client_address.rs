//! Where a request comes from, as conditions and the allow lists of keys see it, with and without proxies.

use std::sync::Arc;

use serde_json::json;
use velocity_access::api_key::NewKey;
use velocity_access::{AuthStrategy, Authenticator, Context};
use velocity_api::Config;

use crate::app::{App, Client, Reply, dev};

const NEAR: &str = r#"
org: acme
app: shop
domain: DOMAIN
object: near
version: v1
fields:
  - { name: code, type: string, maxLength: 40 }
access:
  roles: { read: [reader] }
  abac:
    - { operations: [read], condition: "request.ip == '203.0.113.9'", message: only from the shop }
"#;

fn behind(proxies: &[&str]) -> Config {
    let trusted_proxies = proxies.iter().map(|network| network.parse().unwrap()).collect();
    Config { trusted_proxies, ..Config::default() }
}

async fn forwarded(client: &Client<'_>, tail: &str, entries: &str) -> Reply {
    client.clone().header("x-forwarded-for", entries).get(tail).await
}

#[tokio::test]
async fn without_a_trusted_proxy_the_header_means_nothing() {
    let app = App::with(NEAR, behind(&["10.0.0.0/8"])).await;
    let reader = app.as_roles(&["reader"]);
    for entries in ["203.0.113.9", "127.0.0.1, 203.0.113.9", "nonsense"] {
        forwarded(&reader, "", entries).await.is_problem(403, "ABAC_DENIED");
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_right_most_entry_that_is_none_counts() {
    let app = App::with(NEAR, behind(&["127.0.0.0/8", "10.0.0.0/8"])).await;
    let reader = app.as_roles(&["reader"]);
    for entries in ["203.0.113.9", "192.0.2.1, 203.0.113.9", "203.0.113.9, 10.1.1.1", "::ffff:203.0.113.9"] {
        forwarded(&reader, "", entries).await.is(200);
    }
    for entries in ["203.0.113.9, 192.0.2.1", "192.0.2.1", "203.0.113.9, nonsense", ""] {
        forwarded(&reader, "", entries).await.is_problem(403, "ABAC_DENIED");
    }
    reader.get("").await.is_problem(403, "ABAC_DENIED");
}

#[tokio::test]
async fn the_allow_list_of_keys_is_asked_with_the_address_of_the_client() {
    let app = App::with(NEAR, behind(&["127.0.0.0/8"])).await;
    let spec = json!({ "type": "apiKey", "apiKey": { "ipAllowlist": ["203.0.113.0/24"] } });
    let strategy = AuthStrategy::parse(&serde_json::from_value(spec).unwrap()).unwrap();
    let keys = Authenticator::start("platform/dev", strategy, Context::default()).unwrap();
    app.strategies.store([(dev(), Arc::new(keys))].into_iter().collect());
    let key = NewKey::mint("test").unwrap();
    let robot = app.anonymous().header("x-api-key", key.text());
    let detail = async |entries: &str| {
        let problem = forwarded(&robot, "", entries).await.is_problem(401, "AUTH_INVALID_TOKEN");
        problem["detail"].as_str().unwrap().to_owned()
    };
    // Inside of the list the key is looked up, and nobody has it.
    assert!(detail("203.0.113.77").await.contains("unknown"));
    for outside in ["192.0.2.1", "203.0.113.77, 192.0.2.1", "203.0.113.77, nonsense"] {
        let detail = detail(outside).await;
        assert!(detail.contains("address") && !detail.contains(key.text()), "{outside}: {detail}");
    }
}
