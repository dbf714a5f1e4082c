//! An API with its database, and a client for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use velocity_access::{AuthStrategy, Authenticator, DevKey};
use velocity_api::{Api, Catalog, Config, CurrentCatalog, Database, Metrics, Readiness, Strategies};
use velocity_schema::Schema;
use velocity_schema::schema::{MaskKey, StrategyRef};
use velocity_sql::query::CursorKey;
use velocity_store::wire::{ExclusiveLimits, MuxLimits};
use velocity_testkit::{PLATFORM, TestDatabase, provision, schema};

pub(crate) struct App {
    pub(crate) base: String,
    pub(crate) address: SocketAddr,
    pub(crate) database: TestDatabase,
    pub(crate) catalog: CurrentCatalog,
    pub(crate) strategies: Strategies,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) schema: Arc<Schema>,
    key: DevKey,
    client: reqwest::Client,
    shutdown: Option<oneshot::Sender<()>>,
    pub(crate) served: Option<tokio::task::JoinHandle<()>>,
}

/// An answer, its body read.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    pub(crate) fn data(&self) -> Value {
        self.json()["data"].clone()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts a problem of that status and code, complete in every member.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(
            (self.status, self.header("content-type")),
            (status, "application/problem+json"),
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        for member in ["type", "title", "detail", "instance", "requestId"] {
            assert!(problem[member].is_string(), "{member} in {problem}");
        }
        assert_eq!(problem["requestId"], self.header("x-request-id"));
        problem
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

pub(crate) const ORDERS: &str = r"
org: acme
app: shop
domain: DOMAIN
object: order
version: v1
fields:
  - { name: code, type: string, required: true, unique: true, maxLength: 40, filterable: true, sortable: true }
  - { name: amount, type: number, precision: 18, scale: 2, required: true, min: 0, filterable: true, sortable: true }
  - { name: status, type: enum, enum: [draft, approved, shipped], required: true, default: draft, filterable: true }
  - { name: region, type: string, filterable: true, sortable: true }
  - { name: note, type: string }
  - { name: address, type: json }
  - { name: origin, type: string, immutable: true }
access:
  roles:
    create: [writer]
    read: [reader, writer, regional]
    update: [writer, regional]
    delete: [admin]
    restore: [admin]
    history: [reader]
    export: [admin]
  rowFilter:
    - { role: regional, condition: record.region == actor.attributes.region }
";

impl App {
    pub(crate) async fn new() -> Self {
        Self::with(ORDERS, Config::default()).await
    }

    /// `spec` is YAML in which `DOMAIN` stands for a domain that no other test has.
    pub(crate) async fn with(spec: &str, config: Config) -> Self {
        Self::build(spec, config, ExclusiveLimits::default()).await
    }

    pub(crate) async fn build(spec: &str, config: Config, exclusive: ExclusiveLimits) -> Self {
        let database = TestDatabase::create_from(&PLATFORM).await;
        Self::on(database, spec, config, exclusive).await
    }

    /// On a database in which the platform's own tables are.
    pub(crate) async fn on(
        database: TestDatabase,
        spec: &str,
        config: Config,
        exclusive: ExclusiveLimits,
    ) -> Self {
        let app = Self::starting(database, spec, config, exclusive).await;
        app.readiness.schemas_are_synced();
        app.readiness.strategies_are_synced();
        app.readiness.bindings_are_synced();
        app
    }

    /// As it is before the informer has listed anything.
    pub(crate) async fn starting(
        database: TestDatabase,
        spec: &str,
        config: Config,
        exclusive: ExclusiveLimits,
    ) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let domain = format!("d{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let schema = Arc::new(schema(&spec.replace("DOMAIN", &domain)));
        provision(&database, &schema).await;
        let mut catalog = Catalog::default();
        catalog.served.insert(Arc::clone(&schema));
        let current = CurrentCatalog::default();
        current.store(catalog);
        let open = Database::open(
            database.api_url(),
            MuxLimits::default(),
            exclusive,
            CursorKey::new([7; 32]),
            MaskKey::new([9; 32]),
        )
        .await;
        let store = open.unwrap();
        let metrics = Metrics::new(vec![store.collector()]);
        let (readiness, strategies, key) =
            (Readiness::default(), Strategies::default(), DevKey::generate().unwrap());
        run_strategy(&strategies, &key);
        let config = Config { default_strategy: Some(dev()), ..config };
        let api = Api::new(
            config,
            current.clone(),
            strategies.clone(),
            readiness.clone(),
            Arc::clone(&metrics),
            store,
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, ended) = oneshot::channel::<()>();
        let served = tokio::spawn(velocity_api::serve(listener, api, async {
            let _ = ended.await;
        }));
        Self {
            base: format!("http://{address}"),
            address,
            database,
            catalog: current,
            strategies,
            readiness,
            metrics,
            schema,
            key,
            client: reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap(),
            shutdown: Some(shutdown),
            served: Some(served),
        }
    }

    /// Provisions and serves another schema in the same domain.
    pub(crate) async fn serve_also(&self, spec: &str) -> Arc<Schema> {
        let domain = self.schema.path().domain.to_string();
        let other = Arc::new(schema(&spec.replace("DOMAIN", &domain)));
        provision(&self.database, &other).await;
        let mut catalog = (*self.catalog.load_full()).clone();
        catalog.served.insert(Arc::clone(&other));
        self.catalog.store(catalog);
        other
    }

    /// Ends the API, so that everything is written that it still had to write.
    pub(crate) async fn end(&mut self) {
        self.begin_shutdown();
        if let Some(served) = self.served.take() {
            served.await.unwrap();
        }
    }

    pub(crate) fn begin_shutdown(&mut self) {
        drop(self.shutdown.take());
    }

    /// The path of the schema's routes.
    pub(crate) fn endpoint(&self) -> String {
        self.schema.path().endpoint()
    }

    pub(crate) fn token(&self, actor: &str, roles: &[&str], attributes: &Value) -> String {
        let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
        let attributes: Map<String, Value> = attributes.as_object().cloned().unwrap_or_default();
        self.key.mint(actor, &roles, &attributes, jiff::Timestamp::now(), Duration::from_hours(1)).unwrap()
    }

    /// A client with these roles.
    pub(crate) fn as_roles(&self, roles: &[&str]) -> Client<'_> {
        self.as_actor("ravi", roles, &json!({}))
    }

    pub(crate) fn as_actor(&self, actor: &str, roles: &[&str], attributes: &Value) -> Client<'_> {
        Client { app: self, token: Some(self.token(actor, roles, attributes)), headers: Vec::new() }
    }

    pub(crate) fn as_writer(&self) -> Client<'_> {
        self.as_roles(&["writer"])
    }

    /// A client with all roles.
    pub(crate) fn as_anyone(&self) -> Client<'_> {
        self.as_roles(&["reader", "writer", "admin"])
    }

    pub(crate) fn anonymous(&self) -> Client<'_> {
        Client { app: self, token: None, headers: Vec::new() }
    }
}

pub(crate) fn dev() -> StrategyRef {
    StrategyRef { namespace: "platform".into(), name: "dev".into() }
}

fn run_strategy(strategies: &Strategies, key: &DevKey) {
    let strategy = AuthStrategy::parse(&key.strategy()).unwrap();
    let running = Authenticator::start("platform/dev", strategy, velocity_access::Context::default());
    strategies.store([(dev(), Arc::new(running.unwrap()))].into_iter().collect());
}

impl App {
    /// Starts a strategy of its own beside the installation's, and gives its key.
    pub(crate) fn start_strategy(&self, namespace: &str, name: &str) -> DevKey {
        let key = DevKey::generate().unwrap();
        let strategy = AuthStrategy::parse(&key.strategy()).unwrap();
        let context = velocity_access::Context::default();
        let own = Authenticator::start(&format!("{namespace}/{name}"), strategy, context).unwrap();
        let installation = AuthStrategy::parse(&self.key.strategy()).unwrap();
        let dev_running =
            Authenticator::start("platform/dev", installation, velocity_access::Context::default());
        let reference = StrategyRef { namespace: namespace.to_owned(), name: name.to_owned() };
        let running = [(dev(), Arc::new(dev_running.unwrap())), (reference, Arc::new(own))];
        self.strategies.store(running.into_iter().collect());
        key
    }
}

#[derive(Clone)]
pub(crate) struct Client<'a> {
    app: &'a App,
    token: Option<String>,
    headers: Vec<(String, String)>,
}

impl Client<'_> {
    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub(crate) fn bearer(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Sends to a path below the schema's endpoint, or to an absolute one that begins with `//`.
    pub(crate) async fn send(&self, method: Method, tail: &str, body: Option<String>) -> Reply {
        let path = match tail.strip_prefix("//") {
            Some(path) => format!("/{path}"),
            None => format!("{}{tail}", self.app.endpoint()),
        };
        let mut request = self.app.client.request(method, format!("{}{path}", self.app.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let own_type = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if body.is_some() && !own_type {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = request.body(body.unwrap_or_default()).send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Reply { status, headers, body: response.text().await.unwrap() }
    }

    pub(crate) async fn get(&self, tail: &str) -> Reply {
        self.send(Method::GET, tail, None).await
    }

    pub(crate) async fn post(&self, tail: &str, body: &Value) -> Reply {
        self.send(Method::POST, tail, Some(body.to_string())).await
    }

    pub(crate) async fn patch(&self, tail: &str, body: &Value) -> Reply {
        self.send(Method::PATCH, tail, Some(body.to_string())).await
    }

    pub(crate) async fn put(&self, tail: &str, body: &Value) -> Reply {
        self.send(Method::PUT, tail, Some(body.to_string())).await
    }

    pub(crate) async fn delete(&self, tail: &str) -> Reply {
        self.send(Method::DELETE, tail, None).await
    }

    /// Creates an order and gives its id.
    pub(crate) async fn order(&self, code: &str, amount: &str, region: Option<&str>) -> String {
        let body = json!({ "code": code, "amount": amount, "region": region });
        let reply = self.post("", &body).await.is(201);
        reply.data()["id"].as_str().unwrap().to_owned()
    }
}
