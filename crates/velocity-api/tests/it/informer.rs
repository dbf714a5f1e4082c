//! From the Kubernetes API to what is served. The API server here is a script of lists and watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc};
use velocity_access::DevKey;
use velocity_api::informer::{Provisioned, ProvisionedSpecs, Targets};
use velocity_api::{CurrentCatalog, Found, Metrics, Readiness, StoredSpecs, Strategies, informer};
use velocity_schema::Schema;
use velocity_schema::spec::SchemaDefinitionSpec;
use velocity_store::platform::{ProvisionedSpec, record_provisioned};
use velocity_testkit::provision;

use crate::app::App;

type Specs = std::sync::Mutex<std::collections::HashMap<String, Value>>;

#[derive(Default)]
struct Stored(Specs);

impl ProvisionedSpecs for Stored {
    fn provisioned<'a>(
        &'a self,
        path: &'a str,
    ) -> BoxFuture<'a, Result<Option<Provisioned>, Box<dyn std::error::Error + Send + Sync>>> {
        let found = self.0.lock().unwrap().get(path).cloned();
        async move { Ok(found.map(|spec| Provisioned { spec_hash: hash(&spec), spec })) }.boxed()
    }
}

fn spec(object: &str, fields: &[&str]) -> Value {
    let fields: Vec<Value> = fields.iter().map(|name| json!({ "name": name, "type": "string" })).collect();
    json!({ "org": "acme", "app": "shop", "domain": "sales", "object": object, "version": "v1", "fields": fields })
}

fn hash(spec: &Value) -> String {
    SchemaDefinitionSpec::from_json(spec).unwrap().hash().as_str().to_owned()
}

fn object(name: &str, version: u32, spec: &Value, provisioned: Option<&str>) -> Value {
    json!({
        "apiVersion": "velocity.sh/v1", "kind": "SchemaDefinition",
        "metadata": { "name": name, "namespace": "acme-shop-sales", "uid": name, "generation": version,
            "resourceVersion": version.to_string(), "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": spec, "status": { "specHash": provisioned },
    })
}

fn strategy(key: &DevKey) -> Value {
    json!({
        "apiVersion": "velocity.sh/v1", "kind": "AuthStrategy",
        "metadata": { "name": "dev", "namespace": "platform", "uid": "s", "resourceVersion": "1" },
        "spec": key.strategy(),
    })
}

/// A Kubernetes API that lists `listed` and then streams what is sent, objects of any of our kinds.
pub(crate) struct Cluster {
    pub(crate) client: kube::Client,
    pub(crate) events: mpsc::UnboundedSender<Value>,
}

/// How many kinds there are.
const KINDS: usize = 4;

/// Which of the kinds an object is, or a path is about. What says nothing is a SchemaDefinition.
fn kind_of(text: &str) -> usize {
    ["AuthStrategy authstrategies", "RoleBinding rolebindings", "Secret secrets"]
        .iter()
        .position(|names| names.split(' ').any(|name| name == text))
        .map_or(0, |position| position + 1)
}

pub(crate) fn cluster(listed: Vec<Value>) -> Cluster {
    let (events, mut sent) = mpsc::unbounded_channel::<Value>();
    let streams: [broadcast::Sender<Value>; KINDS] = std::array::from_fn(|_| broadcast::Sender::new(16));
    let to = streams.clone();
    let kind = |object: &Value| kind_of(object["kind"].as_str().unwrap_or_default());
    tokio::spawn(async move {
        while let Some(event) = sent.recv().await {
            // Until somebody watches.
            while to[kind(&event["object"])].send(event.clone()).is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let asked = kind_of(request.uri().path().rsplit('/').next().unwrap());
        let stream = streams[asked].subscribe();
        let items: Vec<Value> = listed.iter().filter(|object| kind(object) == asked).cloned().collect();
        let is_watch = request.uri().query().unwrap_or("").contains("watch=true");
        async move {
            let body = if is_watch {
                let lines = futures::stream::unfold(stream, |mut stream| async move {
                    let event = stream.recv().await.ok()?;
                    Some((Ok::<_, std::io::Error>(format!("{event}\n")), stream))
                });
                axum::body::Body::from_stream(lines)
            } else {
                let list = json!({ "apiVersion": "velocity.sh/v1", "kind": "List", "metadata": { "resourceVersion": "1" }, "items": items });
                axum::body::Body::from(list.to_string())
            };
            Ok::<_, std::convert::Infallible>(http::Response::new(body))
        }
    });
    Cluster { client: kube::Client::new(service, "default"), events }
}

struct Running {
    catalog: CurrentCatalog,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn run(client: kube::Client, stored: Arc<Stored>) -> Running {
    let (catalog, readiness, metrics) =
        (CurrentCatalog::default(), Readiness::default(), Metrics::new(Vec::new()));
    let targets =
        Targets::new(catalog.clone(), Strategies::default(), readiness.clone(), Arc::clone(&metrics));
    Running { catalog, metrics, readiness, task: tokio::spawn(informer::run(client, stored, targets)) }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn served(catalog: &CurrentCatalog, object: &str) -> Option<String> {
    match catalog.load().find(&format!("acme/shop/sales/{object}/v1")) {
        Found::Served(schema) => Some(schema.hash().as_str().to_owned()),
        Found::NotReady(_) | Found::Nothing => None,
    }
}

#[tokio::test]
async fn a_list_with_a_broken_object_is_served_without_it_and_changes_arrive() {
    let (order, item) = (spec("order", &["a"]), spec("item", &["a"]));
    let broken = json!({ "metadata": { "name": "broken", "namespace": "acme-shop-sales" }, "spec": { "fields": 7 }, "status": [] });
    let cluster = cluster(vec![broken, object("order", 1, &order, Some(&hash(&order)))]);
    let running = run(cluster.client, Arc::default());
    until("ready", || running.readiness.missing().is_empty()).await;
    assert_eq!(served(&running.catalog, "order"), Some(hash(&order)));
    let added = json!({ "type": "ADDED", "object": object("item", 2, &item, Some(&hash(&item))) });
    cluster.events.send(added).unwrap();
    until("the new schema", || served(&running.catalog, "item").is_some()).await;
    cluster.events.send(json!({ "type": "DELETED", "object": object("order", 3, &order, None) })).unwrap();
    until("the deletion", || served(&running.catalog, "order").is_none()).await;
}

#[tokio::test]
async fn after_a_restart_what_is_provisioned_is_served_from_the_store_also_if_it_comes_late() {
    let (old, new) = (spec("order", &["a"]), spec("order", &["a", "b"]));
    let cluster = cluster(vec![object("order", 2, &new, Some(&hash(&old)))]);
    let stored = Arc::<Stored>::default();
    let running = run(cluster.client, Arc::clone(&stored));
    until("the first list", || {
        matches!(running.catalog.load().find("acme/shop/sales/order/v1"), Found::NotReady(_))
    })
    .await;
    stored.0.lock().unwrap().insert("acme/shop/sales/order/v1".into(), old.clone());
    until("the stored spec", || served(&running.catalog, "order") == Some(hash(&old))).await;
}

/// The operator died between its commit and the status.
#[tokio::test]
async fn a_status_older_than_the_store_is_not_waited_for() {
    let (old, new) = (spec("order", &["a"]), spec("order", &["a", "b"]));
    let stored = Arc::<Stored>::default();
    stored.0.lock().unwrap().insert("acme/shop/sales/order/v1".into(), new.clone());
    // The object's spec is one that nobody has provisioned, its status the one of long ago.
    let newest = spec("order", &["a", "b", "c"]);
    let cluster = cluster(vec![object("order", 3, &newest, Some(&hash(&old)))]);
    let running = run(cluster.client, stored);
    until("what the store has", || served(&running.catalog, "order") == Some(hash(&new))).await;
    // Told once more, and still older.
    let again = json!({ "type": "MODIFIED", "object": object("order", 4, &newest, Some(&hash(&old))) });
    cluster.events.send(again).unwrap();
    let caught_up =
        json!({ "type": "MODIFIED", "object": object("order", 5, &newest, Some(&hash(&newest))) });
    cluster.events.send(caught_up).unwrap();
    let item = spec("item", &["a"]);
    let added = json!({ "type": "ADDED", "object": object("item", 6, &item, Some(&hash(&item))) });
    cluster.events.send(added).unwrap();
    until("the events behind them", || served(&running.catalog, "item").is_some()).await;
    assert_eq!(served(&running.catalog, "order"), Some(hash(&new)), "the store still says so");
    assert!(!running.metrics.text().contains(r#"errors_total{kind="SchemaDefinition"}"#));
}

/// A Kubernetes API that answers the first list and fails ever after.
fn failing_after_the_list(listed: Vec<Value>) -> kube::Client {
    let listed_once: Arc<[AtomicBool; KINDS]> = Arc::new(std::array::from_fn(|_| AtomicBool::new(false)));
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let asked = kind_of(request.uri().path().rsplit('/').next().unwrap());
        let again = listed_once[asked].swap(true, Ordering::Relaxed);
        let items = if asked == 0 { listed.clone() } else { Vec::new() };
        async move {
            if again {
                return Err(std::io::Error::other("nobody there"));
            }
            let list = json!({ "apiVersion": "velocity.sh/v1", "kind": "List", "metadata": { "resourceVersion": "1" }, "items": items });
            Ok(http::Response::new(axum::body::Body::from(list.to_string())))
        }
    });
    kube::Client::new(service, "default")
}

#[tokio::test]
async fn while_the_kubernetes_api_is_away_everything_goes_on_as_it_was() {
    let order = spec("order", &["a"]);
    let client = failing_after_the_list(vec![object("order", 1, &order, Some(&hash(&order)))]);
    let running = run(client, Arc::default());
    until("ready", || running.readiness.missing().is_empty()).await;
    until("the failures are counted", || {
        let text = running.metrics.text();
        text.contains(r#"velocity_informer_errors_total{kind="SchemaDefinition"}"#)
    })
    .await;
    assert_eq!(served(&running.catalog, "order"), Some(hash(&order)));
    assert!(running.readiness.missing().is_empty());
}

#[tokio::test]
async fn a_blocked_schema_a_strategy_and_a_token_are_all_it_takes_to_serve() {
    let app = App::new().await;
    let key = DevKey::generate().unwrap();
    let (stored, path) = (spec("order", &["a"]), "acme/shop/sales/order/v1");
    provision(&app.database, &Schema::parse(&SchemaDefinitionSpec::from_json(&stored).unwrap()).unwrap())
        .await;
    let provisioned = ProvisionedSpec {
        path: path.to_owned(),
        namespace: "acme-shop-sales".to_owned(),
        spec: stored.clone(),
        spec_hash: hash(&stored),
    };
    record_provisioned(&app.database.owner().await, &provisioned).await.unwrap();
    let blocked = object("order", 2, &spec("order", &["b"]), Some(&hash(&stored)));
    let cluster = cluster(vec![blocked, strategy(&key)]);
    let targets =
        Targets::new(app.catalog.clone(), app.strategies.clone(), app.readiness.clone(), app.metrics.clone());
    let specs = Arc::new(StoredSpecs::new(app.database.api_url()).unwrap());
    let running = tokio::spawn(informer::run(cluster.client, specs, targets));
    until("the stored spec", || served(&app.catalog, "order") == Some(hash(&stored))).await;
    until("ready", || app.readiness.missing().is_empty()).await;
    app.anonymous().get("//readyz").await.is(200);
    let mint = |key: &DevKey| {
        let roles = ["platform-admin".to_owned()];
        key.mint("ravi", &roles, &serde_json::Map::new(), jiff::Timestamp::now(), Duration::from_mins(5))
            .unwrap()
    };
    let client = app.anonymous().bearer(&mint(&key));
    let created = client
        .send(reqwest::Method::POST, &format!("//api/{path}"), Some(json!({ "a": "x" }).to_string()))
        .await;
    assert_eq!(created.is(201).data()["a"], "x");
    // A new key in the strategy: the old one's tokens are worth nothing any more.
    let other = DevKey::generate().unwrap();
    cluster.events.send(json!({ "type": "MODIFIED", "object": strategy(&other) })).unwrap();
    let listing = format!("//api/{path}");
    let refused = async {
        while client.get(&listing).await.status != 401 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), refused).await.is_ok(), "the old key still works");
    app.anonymous().bearer(&mint(&other)).get(&listing).await.is(200);
    running.abort();
}

fn binding(name: &str, actor: &str, roles: &Value) -> Value {
    json!({
        "apiVersion": "velocity.sh/v1", "kind": "RoleBinding",
        "metadata": { "name": name, "namespace": "acme-shop-sales", "uid": name, "resourceVersion": "1" },
        "spec": { "actor": actor, "roles": roles },
    })
}

#[tokio::test]
async fn a_bad_binding_hurts_only_itself_and_changes_count_at_once() {
    let bad = json!({ "kind": "RoleBinding", "metadata": { "name": "bad", "namespace": "acme-shop-sales" }, "spec": 7 });
    let admin = binding("admin", "eve", &json!(["platform-admin"]));
    let cluster = cluster(vec![bad, admin, binding("good", "ravi", &json!(["writer"]))]);
    let running = run(cluster.client, Arc::default());
    until("ready", || running.readiness.missing().is_empty()).await;
    assert_eq!(running.catalog.bindings().len(), 1);
    let broken = r#"velocity_informer_broken_objects{kind="RoleBinding"} 2"#;
    assert!(running.metrics.text().contains(broken), "{}", running.metrics.text());

    let second = binding("second", "rosa", &json!(["reader"]));
    cluster.events.send(json!({ "type": "ADDED", "object": second })).unwrap();
    until("the second", || running.catalog.bindings().len() == 2).await;
    // What is no longer valid gives nothing, whatever it gave before.
    let spoilt = binding("good", "ravi", &json!(["writer", "platform-admin"]));
    cluster.events.send(json!({ "type": "MODIFIED", "object": spoilt })).unwrap();
    until("the first to be gone", || running.catalog.bindings().len() == 1).await;
    cluster.events.send(json!({ "type": "DELETED", "object": second })).unwrap();
    until("both to be gone", || running.catalog.bindings().is_empty()).await;
}

/// A Kubernetes API on which bindings cannot be listed.
fn without_bindings() -> kube::Client {
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| async move {
        if request.uri().path().ends_with("rolebindings") {
            return Err(std::io::Error::other("nobody there"));
        }
        if request.uri().query().unwrap_or("").contains("watch=true") {
            std::future::pending::<()>().await;
        }
        let list = json!({ "apiVersion": "velocity.sh/v1", "kind": "List", "metadata": { "resourceVersion": "1" }, "items": [] });
        Ok(http::Response::new(axum::body::Body::from(list.to_string())))
    });
    kube::Client::new(service, "default")
}

#[tokio::test]
async fn until_the_bindings_have_been_listed_the_api_is_not_ready() {
    let running = run(without_bindings(), Arc::default());
    until("the failure is counted", || {
        running.metrics.text().contains(r#"velocity_informer_errors_total{kind="RoleBinding"}"#)
    })
    .await;
    until("the rest", || running.readiness.missing() == ["bindings"]).await;
}

fn sign_in() -> Value {
    json!({
        "apiVersion": "velocity.sh/v1", "kind": "AuthStrategy",
        "metadata": { "name": "sign-in", "namespace": "platform", "uid": "o", "resourceVersion": "1" },
        "spec": { "type": "oidc", "oidc": {
            "discoveryUrl": "http://127.0.0.1:9/.well-known/openid-configuration", "clientId": "velocity",
            "clientSecretRef": { "name": "provider", "key": "secret" },
            "redirectUri": "http://127.0.0.1:9/auth/callback" } },
    })
}

fn secret(name: &str, data: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Secret", "data": data,
        "metadata": { "name": name, "namespace": "platform", "uid": name, "resourceVersion": "1" } })
}

#[tokio::test]
async fn a_strategy_runs_while_its_secret_is_there_and_no_other_secret_is_asked_for() {
    let cluster = cluster(vec![sign_in(), secret("other", &json!({ "secret": "b3RoZXI=" }))]);
    let asked = Arc::<std::sync::Mutex<Vec<String>>>::default();
    let (inner, seen) = (cluster.client.clone(), Arc::clone(&asked));
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        if request.uri().path().contains("/secrets") {
            seen.lock().unwrap().push(request.uri().to_string());
        }
        let inner = inner.clone();
        async move { inner.send(request).await }
    });
    let (strategies, readiness) = (Strategies::default(), Readiness::default());
    let targets = Targets::new(
        CurrentCatalog::default(),
        strategies.clone(),
        readiness.clone(),
        Metrics::new(Vec::new()),
    );
    let client = kube::Client::new(service, "default");
    let task = tokio::spawn(informer::run(client, Arc::<Stored>::default(), targets));
    // A Secret that is missing holds nobody up but its strategy.
    until("ready", || readiness.missing().is_empty()).await;
    assert!(strategies.is_empty());

    let there = secret("provider", &json!({ "secret": "Y29ycmVjdA==" }));
    cluster.events.send(json!({ "type": "ADDED", "object": there })).unwrap();
    until("the strategy to run", || strategies.len() == 1).await;
    let emptied = secret("provider", &json!({ "other": "Y29ycmVjdA==" }));
    cluster.events.send(json!({ "type": "MODIFIED", "object": emptied })).unwrap();
    until("the strategy to stop", || strategies.is_empty()).await;
    cluster.events.send(json!({ "type": "MODIFIED", "object": there })).unwrap();
    until("the strategy to run again", || strategies.len() == 1).await;
    cluster.events.send(json!({ "type": "DELETED", "object": there })).unwrap();
    until("the strategy to stop again", || strategies.is_empty()).await;

    for uri in asked.lock().unwrap().iter() {
        assert!(uri.starts_with("/api/v1/namespaces/platform/secrets?"), "{uri}");
        assert!(uri.contains("fieldSelector=metadata.name%3Dprovider"), "{uri}");
    }
    task.abort();
}
