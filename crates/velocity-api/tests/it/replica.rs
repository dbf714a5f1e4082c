//! Several APIs on one database, with tokens, keys and revocations, as an installation runs them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use velocity_access::{AuthStrategy, Authenticator, Bindings, Context, DevKey, Revocations};
use velocity_api::{
    Api, Catalog, Config, CurrentCatalog, Database, Metrics, Readiness, RunningStrategies, Strategies,
};
use velocity_contract::auth_strategy::AuthStrategySpec;
use velocity_contract::role_binding::RoleBindingSpec;
use velocity_schema::Schema;
use velocity_schema::schema::{MaskKey, StrategyRef};
use velocity_sql::query::CursorKey;
use velocity_store::wire::{ExclusiveLimits, MuxLimits};
use velocity_testkit::{PLATFORM, TestCluster, TestDatabase, provision, schema};

use crate::app::Reply;

/// A database with schemas, and the key that signs tokens.
pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) schemas: Vec<Arc<Schema>>,
    key: DevKey,
    client: reqwest::Client,
}

/// One API.
pub(crate) struct Replica {
    base: String,
    client: reqwest::Client,
    shutdown: Option<oneshot::Sender<()>>,
    served: Option<tokio::task::JoinHandle<()>>,
}

impl World {
    /// `specs` are YAML in which `DOMAIN` stands for a domain that no other test has.
    pub(crate) async fn new(specs: &[&str]) -> Self {
        Self::on(TestDatabase::create_from(&PLATFORM).await, specs).await
    }

    /// In a cluster of the test's own.
    pub(crate) async fn in_cluster(cluster: &TestCluster, specs: &[&str]) -> Self {
        Self::on(cluster.create_database_with(&PLATFORM).await, specs).await
    }

    async fn on(database: TestDatabase, specs: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let domain = format!("w{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut schemas = Vec::new();
        for spec in specs {
            let schema = Arc::new(schema(&spec.replace("DOMAIN", &domain)));
            provision(&database, &schema).await;
            schemas.push(schema);
        }
        let client = reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
        Self { database, schemas, key: DevKey::generate().unwrap(), client }
    }

    /// The namespace of the schemas.
    pub(crate) fn namespace(&self) -> String {
        self.schemas[0].path().namespace()
    }

    /// A replica whose default strategy takes tokens and keys.
    pub(crate) async fn replica(&self) -> Replica {
        self.replica_with("default", &[]).await
    }

    /// A replica whose default strategy is `dev`, `keys`, `open` (tokens, without waiting for revocations) or `default` (`dev`,
    /// then `keys`), and the RoleBindings.
    pub(crate) async fn replica_with(&self, default: &str, bindings: &[(&str, RoleBindingSpec)]) -> Replica {
        let store = Database::open(
            self.database.api_url(),
            MuxLimits::default(),
            ExclusiveLimits::default(),
            CursorKey::new([7; 32]),
            MaskKey::new([9; 32]),
        );
        let store = store.await.unwrap();
        let mut served = Catalog::default();
        for schema in &self.schemas {
            served.served.insert(Arc::clone(schema));
        }
        let catalog = CurrentCatalog::default();
        catalog.store(served);
        let namespace = self.namespace();
        let bindings = bindings.iter().map(|(name, spec)| (namespace.as_str(), *name, spec));
        let (bindings, refused) = Bindings::build(bindings);
        assert!(refused.is_empty(), "{refused:?}");
        catalog.store_bindings(bindings);
        let revocations = Revocations::new(store.revocation_source());
        revocations.spawn();
        let strategies = Strategies::new(revocations);
        strategies.store(self.running(&store));
        let readiness = Readiness::default();
        readiness.schemas_are_synced();
        readiness.strategies_are_synced();
        readiness.bindings_are_synced();
        let metrics = Metrics::new(vec![store.collector()]);
        let config = Config { default_strategy: Some(strategy(default)), ..Config::default() };
        let api = Api::new(config, catalog, strategies, readiness, metrics, store);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (shutdown, ended) = oneshot::channel::<()>();
        let served = tokio::spawn(velocity_api::serve(listener, api, async {
            let _ = ended.await;
        }));
        Replica { base, client: self.client.clone(), shutdown: Some(shutdown), served: Some(served) }
    }

    fn running(&self, store: &Database) -> RunningStrategies {
        let dev = self.key.strategy();
        let open = AuthStrategySpec {
            revocation: Some(velocity_contract::auth_strategy::RevocationSpec { fail_open: true }),
            ..dev.clone()
        };
        let spec = |json: Value| serde_json::from_value::<AuthStrategySpec>(json).unwrap();
        let keys = spec(json!({ "type": "apiKey", "apiKey": {} }));
        let both = spec(
            json!({ "type": "composite", "composite": { "strategies": [{ "name": "dev" }, { "name": "keys" }] } }),
        );
        [("dev", dev), ("open", open), ("keys", keys), ("default", both)]
            .into_iter()
            .map(|(name, spec)| {
                let parsed = AuthStrategy::parse(&spec).unwrap();
                let context = Context { store: store.credential_store(), ..Context::default() };
                let running = Authenticator::start(&format!("platform/{name}"), parsed, context).unwrap();
                (strategy(name), Arc::new(running))
            })
            .collect()
    }

    /// A token for an hour.
    pub(crate) fn token(&self, actor: &str, roles: &[&str], attributes: &Value) -> String {
        let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
        let attributes: Map<String, Value> = attributes.as_object().cloned().unwrap_or_default();
        self.key.mint(actor, &roles, &attributes, jiff::Timestamp::now(), Duration::from_hours(1)).unwrap()
    }

    pub(crate) fn admin(&self) -> String {
        self.token("root", &["platform-admin"], &json!({}))
    }

    /// Every access event, the oldest first, as one line each: kind, actor, operation, code, detail.
    pub(crate) async fn events(&self, columns: &str) -> Vec<String> {
        let owner = self.database.owner().await;
        let sql =
            format!("select concat_ws(' ', {columns}) from platform.access_events order by occurred_at, id");
        owner.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }
}

pub(crate) fn strategy(name: &str) -> StrategyRef {
    StrategyRef { namespace: "platform".into(), name: name.into() }
}

/// What a request says of its sender.
#[derive(Clone, Copy)]
pub(crate) enum As<'a> {
    Nobody,
    Token(&'a str),
    Key(&'a str),
}

impl Replica {
    pub(crate) async fn send(&self, method: Method, path: &str, who: As<'_>, body: Option<&Value>) -> Reply {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        request = match who {
            As::Nobody => request,
            As::Token(token) => request.bearer_auth(token),
            As::Key(key) => request.header("x-api-key", key),
        };
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Reply { status, headers, body: response.text().await.unwrap() }
    }

    pub(crate) async fn get(&self, path: &str, who: As<'_>) -> Reply {
        self.send(Method::GET, path, who, None).await
    }

    pub(crate) async fn post(&self, path: &str, who: As<'_>, body: &Value) -> Reply {
        self.send(Method::POST, path, who, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str, who: As<'_>) -> Reply {
        self.send(Method::DELETE, path, who, None).await
    }

    /// Asks again and again until the answer has this status; panics when it never has.
    pub(crate) async fn until(&self, path: &str, who: As<'_>, status: u16) -> Reply {
        for _ in 0..600 {
            let reply = self.get(path, who).await;
            if reply.status == status {
                return reply;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never {status} at {path}: {:?}", self.get(path, who).await);
    }

    /// Ends it as a process ends: requests are answered, events written.
    pub(crate) async fn stop(mut self) {
        drop(self.shutdown.take());
        if let Some(served) = self.served.take() {
            served.await.unwrap();
        }
    }
}
