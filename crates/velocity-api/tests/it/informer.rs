//! From the Kubernetes API to what is served. The API server here is a script of lists and watches.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use velocity_api::informer::{Provisioned, ProvisionedSpecs, Targets};
use velocity_api::{CurrentCatalog, Found, Metrics, Readiness, Strategies, informer};
use velocity_schema::spec::SchemaDefinitionSpec;

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

/// A Kubernetes API that lists `listed` and then streams what is sent.
struct Cluster {
    client: kube::Client,
    events: mpsc::UnboundedSender<Value>,
}

fn cluster(listed: Vec<Value>) -> Cluster {
    let (events, stream) = mpsc::unbounded_channel::<Value>();
    let stream = Arc::new(tokio::sync::Mutex::new(stream));
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (listed, stream) = (listed.clone(), Arc::clone(&stream));
        async move {
            let (path, query) =
                (request.uri().path().to_owned(), request.uri().query().unwrap_or("").to_owned());
            let is_schemas = path.ends_with("schemadefinitions");
            let body = if query.contains("watch=true") {
                let lines = futures::stream::unfold(stream, move |stream| async move {
                    if !is_schemas {
                        std::future::pending::<()>().await;
                    }
                    let event = stream.lock().await.recv().await?;
                    Some((Ok::<_, std::io::Error>(format!("{event}\n")), stream))
                });
                axum::body::Body::from_stream(lines)
            } else {
                let items = if is_schemas { listed } else { Vec::new() };
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
    readiness: Readiness,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn run(client: kube::Client, stored: Arc<Stored>) -> Running {
    let (catalog, readiness) = (CurrentCatalog::default(), Readiness::default());
    let targets = Targets {
        catalog: catalog.clone(),
        strategies: Strategies::default(),
        readiness: readiness.clone(),
        metrics: Metrics::new(Vec::new()),
        records: None,
    };
    Running { catalog, readiness, task: tokio::spawn(informer::run(client, stored, targets)) }
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

#[tokio::test]
async fn while_the_kubernetes_api_is_away_everything_goes_on_as_it_was() {
    let order = spec("order", &["a"]);
    let cluster = cluster(vec![object("order", 1, &order, Some(&hash(&order)))]);
    let running = run(cluster.client, Arc::default());
    until("ready", || running.readiness.missing().is_empty()).await;
    drop(cluster.events);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(served(&running.catalog, "order"), Some(hash(&order)));
    assert!(running.readiness.missing().is_empty());
}
