//! An API whose schema changes in the database, while its Kubernetes API goes on telling the first spec.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use velocity_api::informer::{Provisioned, ProvisionedSpecs, Targets};
use velocity_api::{Config, StoredSpecs, Strategies, informer};
use velocity_schema::Schema;
use velocity_schema::spec::SchemaDefinitionSpec;
use velocity_sql::ddl::{Approval, Decision, plan};
use velocity_store::ddl::{self, Change};
use velocity_store::platform::ProvisionedSpec;
use velocity_testkit::TestDatabase;

use crate::app::App;
use crate::informer::cluster;

/// The specs of the store, with a count of how often it was asked.
pub(super) struct Counted {
    specs: StoredSpecs,
    pub(super) loads: AtomicUsize,
}

impl ProvisionedSpecs for Counted {
    fn provisioned<'a>(
        &'a self,
        path: &'a str,
    ) -> BoxFuture<'a, Result<Option<Provisioned>, Box<dyn std::error::Error + Send + Sync>>> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        self.specs.provisioned(path).boxed()
    }
}

pub(super) struct World {
    pub(super) app: App,
    pub(super) specs: Arc<Counted>,
    /// The spec that is provisioned.
    pub(super) spec: Value,
    first_hash: String,
    events: mpsc::UnboundedSender<Value>,
    informer: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.informer.abort();
    }
}

/// A spec of these fields, every operation open to `all`.
pub(super) fn spec(fields: &Value) -> Value {
    let roles: serde_json::Map<String, Value> =
        ["create", "read", "update", "delete", "restore", "history", "export"]
            .map(|operation| (operation.to_owned(), json!(["all"])))
            .into_iter()
            .collect();
    json!({ "org": "acme", "app": "shop", "domain": "DOMAIN", "object": "order", "version": "v1",
        "fields": fields, "access": { "roles": roles } })
}

pub(super) fn parsed(spec: &Value) -> Schema {
    Schema::parse(&SchemaDefinitionSpec::from_json(spec).unwrap()).unwrap()
}

impl World {
    pub(super) async fn new(spec: Value, config: Config) -> Self {
        let app = App::with(&spec.to_string(), config).await;
        let domain = app.schema.path().domain.to_string();
        let spec: Value = serde_json::from_str(&spec.to_string().replace("DOMAIN", &domain)).unwrap();
        let first_hash = app.schema.hash().as_str().to_owned();
        let cluster = cluster(vec![object(&spec, &first_hash)]);
        let specs = Arc::new(Counted {
            specs: StoredSpecs::new(app.database.api_url()).unwrap(),
            loads: AtomicUsize::new(0),
        });
        let targets = Targets::new(
            app.catalog.clone(),
            Strategies::default(),
            app.readiness.clone(),
            app.metrics.clone(),
        );
        let before = app.catalog.load_full();
        let informer = tokio::spawn(informer::run(cluster.client, Arc::<Counted>::clone(&specs), targets));
        // Until the informer has put its own catalog in place.
        while Arc::ptr_eq(&before, &app.catalog.load_full()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Self { app, specs, spec, first_hash, events: cluster.events, informer }
    }

    /// Takes the table to a spec with these fields in place of its own, as the operator does it.
    pub(super) async fn change_fields(&mut self, fields: &Value) -> Arc<Schema> {
        let mut spec = self.spec.clone();
        spec["fields"] = fields.clone();
        self.change(spec).await
    }

    /// The same with a whole spec.
    pub(super) async fn change(&mut self, spec: Value) -> Arc<Schema> {
        let schema = apply(&self.app.database, &spec).await;
        self.spec = spec;
        Arc::new(schema)
    }

    /// The Kubernetes API tells this spec with the status of before the first change.
    pub(super) fn tell_the_first_status(&self, spec: &Value) {
        let event = json!({ "type": "MODIFIED", "object": object(spec, &self.first_hash) });
        self.events.send(event).unwrap();
    }

    /// Requests that ran once more.
    pub(super) fn repeated(&self) -> u64 {
        let text = self.app.metrics.text();
        let line = text.lines().find(|line| line.starts_with("velocity_http_repeated_total ")).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    pub(super) fn loads(&self) -> usize {
        self.specs.loads.load(Ordering::Relaxed)
    }
}

/// Takes a table to a spec and publishes it, as the operator does. What breaks something is approved.
pub(super) async fn apply(database: &TestDatabase, spec: &Value) -> Schema {
    let schema = parsed(spec);
    let mut owner = database.owner().await;
    let (path, spec_hash) = (schema.path().to_string(), schema.hash().as_str().to_owned());
    let publication = ProvisionedSpec {
        path: path.clone(),
        namespace: schema.path().namespace(),
        spec: spec.clone(),
        spec_hash: spec_hash.clone(),
    };
    for _ in 0..5 {
        let live = ddl::read(&owner, &schema).await.unwrap();
        let plan = plan(&schema, &live, (2026, 1));
        let findings = ddl::probe(&mut owner, &plan).await.unwrap();
        let approval = Approval { named: Some(plan.hash()), ..Approval::default() };
        let plan = match plan.decide(&findings, &approval) {
            Decision::Apply(plan) => plan,
            Decision::Blocked { pending, .. } => panic!("{pending:#?}"),
        };
        let change = Change {
            plan: &plan,
            path: &path,
            spec_hash: &spec_hash,
            approved: true,
            publication: (!plan.again).then_some(&publication),
            operator: "test",
            progress: None,
        };
        // Under load a lock may take several attempts, as the operator makes them.
        let mut attempts = 0;
        while let Err(error) = ddl::apply(&mut owner, &change).await {
            attempts += 1;
            assert!(error.is_transient() && attempts < 20, "{error}");
        }
        if !plan.again {
            return schema;
        }
    }
    panic!("the plans come to no end");
}

fn object(spec: &Value, status: &str) -> Value {
    let part = |name: &str| spec[name].as_str().unwrap().to_owned();
    let namespace = format!("{}-{}-{}", part("org"), part("app"), part("domain"));
    json!({
        "apiVersion": "velocity.sh/v1", "kind": "SchemaDefinition",
        "metadata": { "name": "order", "namespace": namespace, "uid": "order", "generation": spec["fields"].to_string().len(),
            "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": spec, "status": { "specHash": status },
    })
}
