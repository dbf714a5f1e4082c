//! A provider, a database, and replicas of the API that sign in there.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_postgres::SimpleQueryMessage;
use velocity_access::{AuthStrategy, Authenticator, Context, DevKey, Revocations, SealingKey};
use velocity_api::{Api, Catalog, Config, CurrentCatalog, Database, Metrics, Readiness, Strategies};
use velocity_schema::Schema;
use velocity_schema::schema::{MaskKey, StrategyRef};
use velocity_sql::query::CursorKey;
use velocity_store::wire::{ExclusiveLimits, MuxLimits};
use velocity_testkit::{PLATFORM, TestDatabase, provision, schema};

use super::provider::Provider;

const NOTES: &str = r"
org: acme
app: shop
domain: sales
object: note
version: v1
fields:
  - { name: text, type: string, required: true }
access:
  roles:
    create: [writer]
    read: [reader, writer]
    update: [writer]
    delete: [writer]
    restore: [writer]
";

/// The path of the notes.
pub(crate) const ENDPOINT: &str = "/api/acme/shop/sales/note/v1";
const SECRET: &str = "a secret: with /signs & blanks";

/// How the world differs from the usual one.
pub(crate) struct Difference {
    /// How long access tokens last, in seconds.
    pub(crate) access_token_ttl: u32,
    /// `client_secret_basic`, `client_secret_post` or `none`.
    pub(crate) client_auth: &'static str,
    /// More members of the client at the provider.
    pub(crate) client: Value,
    /// More members of `spec.oidc`.
    pub(crate) oidc: Value,
    /// The installation's default strategy: `main`, which takes sessions and development tokens, or one of the two.
    pub(crate) default: &'static str,
}

impl Default for Difference {
    fn default() -> Self {
        Self {
            access_token_ttl: 3600,
            client_auth: "client_secret_basic",
            client: json!({}),
            oidc: json!({}),
            default: "main",
        }
    }
}

pub(crate) struct World {
    pub(crate) provider: Provider,
    pub(crate) first: Replica,
    database: Arc<TestDatabase>,
    schema: Arc<Schema>,
    spec: Value,
    sealing_key: SealingKey,
    default: &'static str,
    admin: Arc<DevKey>,
}

/// One API.
pub(crate) struct Replica {
    /// `http://localhost:port`.
    pub(crate) base: String,
    shutdown: Option<oneshot::Sender<()>>,
    served: Option<tokio::task::JoinHandle<()>>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Difference::default()).await
    }

    pub(crate) async fn with(difference: Difference) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let callback = format!("http://localhost:{}/auth/callback", listener.local_addr().unwrap().port());
        let has_secret = difference.client_auth != "none";
        let mut client = json!({
            "client_id": "velocity", "redirect_uris": [callback], "response_types": ["code"],
            "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
            "token_endpoint_auth_method": difference.client_auth
        });
        if has_secret {
            client["client_secret"] = json!(SECRET);
        }
        merge(&mut client, &difference.client);
        let provider = Provider::start(&client, difference.access_token_ttl).await;
        provider.user("ravi", &["reader"]).await;
        let mut oidc = json!({
            "discoveryUrl": format!("{}/.well-known/openid-configuration", provider.issuer),
            "clientId": "velocity", "redirectUri": callback
        });
        if has_secret {
            oidc["clientSecretRef"] = json!({ "name": "oidc", "key": "secret" });
        }
        merge(&mut oidc, &difference.oidc);
        let database = Arc::new(TestDatabase::create_from(&PLATFORM).await);
        let schema = Arc::new(schema(NOTES));
        provision(&database, &schema).await;
        let mut world = Self {
            provider,
            first: Replica { base: String::new(), shutdown: None, served: None },
            database,
            schema,
            spec: json!({ "type": "oidc", "oidc": oidc }),
            sealing_key: SealingKey::random(),
            default: difference.default,
            admin: Arc::new(DevKey::generate().unwrap()),
        };
        world.first = world.serve(listener).await;
        world
    }

    /// One more API on the same database.
    pub(crate) async fn replica(&self) -> Replica {
        self.serve(TcpListener::bind("127.0.0.1:0").await.unwrap()).await
    }

    async fn serve(&self, listener: TcpListener) -> Replica {
        let base = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let (cursor, mask) = (CursorKey::new([7; 32]), MaskKey::new([9; 32]));
        let url = self.database.api_url();
        let limits = (MuxLimits::default(), ExclusiveLimits::default());
        let database = Database::open(url, limits.0, limits.1, cursor, mask).await.unwrap();
        let mut catalog = Catalog::default();
        catalog.served.insert(Arc::clone(&self.schema));
        let current = CurrentCatalog::default();
        current.store(catalog);
        let revocations = Revocations::new(database.revocation_source());
        revocations.spawn();
        let strategies = Strategies::new(revocations);
        let context = Context {
            store: database.credential_store(),
            sealing_key: self.sealing_key.clone(),
            client_secret: Some(SECRET.to_owned()),
            ..Context::default()
        };
        let start = |name: &str, spec| {
            let strategy = AuthStrategy::parse(&spec).unwrap();
            let running = Authenticator::start(&format!("platform/{name}"), strategy, context.clone());
            (reference(name), Arc::new(running.unwrap()))
        };
        let composite = json!({ "type": "composite",
            "composite": { "strategies": [{ "name": "sign-in" }, { "name": "dev" }] } });
        strategies.store(
            [
                start("sign-in", serde_json::from_value(self.spec.clone()).unwrap()),
                start("dev", self.admin.strategy()),
                start("main", serde_json::from_value(composite).unwrap()),
            ]
            .into_iter()
            .collect(),
        );
        let readiness = Readiness::default();
        readiness.schemas_are_synced();
        readiness.strategies_are_synced();
        readiness.bindings_are_synced();
        let metrics = Metrics::new(vec![database.collector()]);
        let config = Config { default_strategy: Some(reference(self.default)), ..Config::default() };
        let api = Api::new(config, current, strategies, readiness, metrics, database);
        let (shutdown, ended) = oneshot::channel::<()>();
        let served = tokio::spawn(velocity_api::serve(listener, api, async {
            let _ = ended.await;
        }));
        Replica { base, shutdown: Some(shutdown), served: Some(served) }
    }

    /// A token of the development strategy, which is a member of the composite too.
    pub(crate) fn admin_token(&self) -> String {
        let (roles, hour) = (["platform-admin".to_owned()], std::time::Duration::from_hours(1));
        let now = jiff::Timestamp::now();
        self.admin.mint("admin", &roles, &serde_json::Map::new(), now, hour).unwrap()
    }

    /// Runs SQL as the owner of the database.
    pub(crate) async fn sql(&self, statement: &str) -> Vec<String> {
        let answers = self.database.owner().await.simple_query(statement).await.unwrap();
        let rows = answers.iter().filter_map(|answer| match answer {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| (0..row.len()).map(|n| row.get(n).unwrap_or_default()).collect::<Vec<_>>().join(" "))
            .collect()
    }
}

impl Replica {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        drop(self.shutdown.take());
        if let Some(served) = self.served.take() {
            served.abort();
        }
    }
}

fn reference(name: &str) -> StrategyRef {
    StrategyRef { namespace: "platform".into(), name: name.into() }
}

fn merge(into: &mut Value, more: &Value) {
    into.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
}
