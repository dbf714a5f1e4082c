//! A Kubernetes API, a database and operators, and short ways to talk to them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::events::v1::Event;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use velocity_contract::SchemaDefinition;
use velocity_operator::{Config, OperatorError, run};
use velocity_testkit::{PLATFORM, TestDatabase};

/// How long anything that should happen may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(90);

/// Requests to the Kubernetes API: method and path.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    fn count(&self, method: &http::Method, path: &str) {
        self.0.lock().unwrap().push(format!("{method} {path}"));
    }

    /// The same client, counted.
    fn of(&self, client: &Client) -> Client {
        let (calls, client) = (self.clone(), client.clone());
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            calls.count(request.method(), request.uri().path());
            let client = client.clone();
            async move { client.send(request).await }
        });
        Client::new(service, "default")
    }

    /// All since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) client: Client,
    /// What the operators have asked of the Kubernetes API.
    pub(crate) calls: Calls,
    /// An organisation of the test's own: roles belong to the cluster, which tests share.
    pub(crate) org: String,
    stop: CancellationToken,
    operators: Vec<JoinHandle<Result<(), OperatorError>>>,
    _folder: Option<TempDir>,
}

impl World {
    /// With one operator.
    pub(crate) async fn new() -> Self {
        let mut world = Self::without_operator(TestDatabase::create_from(&PLATFORM).await);
        world.start(Config::default());
        world
    }

    /// With CRDs that let everything pass, as a cluster's where somebody changed them.
    pub(crate) fn without_operator(database: TestDatabase) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let (client, folder) = crate::kubernetes::empty();
        Self {
            database,
            client,
            calls: Calls::default(),
            org: format!("op{}", COUNT.fetch_add(1, Ordering::Relaxed)),
            stop: CancellationToken::new(),
            operators: Vec::new(),
            _folder: folder,
        }
    }

    /// Starts an operator beside those that run.
    pub(crate) fn start(&mut self, config: Config) {
        let url = self.database.owner_url().to_owned();
        self.operators.push(tokio::spawn(run(self.calls.of(&self.client), url, config, self.stop.clone())));
    }

    /// Ends the operator that was started first where it is, as if it were killed: nothing is finished, nothing released.
    pub(crate) async fn kill(&mut self) {
        let operator = self.operators.remove(0);
        operator.abort();
        assert!(operator.await.is_err_and(|error| error.is_cancelled()), "the operator has ended before");
    }

    /// Stops all operators; what they are at is finished.
    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        for operator in self.operators.drain(..) {
            operator.await.unwrap().unwrap();
        }
        self.stop = CancellationToken::new();
    }

    pub(crate) fn namespace(&self) -> String {
        format!("{}-shop-sales", self.org)
    }

    fn api(&self) -> Api<DynamicObject> {
        self.api_in(&self.namespace())
    }

    fn api_in(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &resource())
    }

    /// A spec of this world's domain, with these fields.
    pub(crate) fn spec(&self, object: &str, fields: &Json) -> Json {
        json!({"org": self.org, "app": "shop", "domain": "sales", "object": object, "version": "v1", "fields": fields,
            "access": {"roles": {"create": ["writer"], "read": ["writer"]}}})
    }

    pub(crate) fn plain(&self, object: &str) -> Json {
        self.spec(object, &json!([{"name": "title", "type": "string"}]))
    }

    pub(crate) async fn create(&self, name: &str, spec: &Json) {
        self.create_in(&self.namespace(), name, spec).await;
    }

    pub(crate) async fn create_in(&self, namespace: &str, name: &str, spec: &Json) {
        self.ensure_namespace(namespace).await;
        let mut object = DynamicObject::new(name, &resource());
        object.data = json!({ "spec": spec });
        self.api_in(namespace).create(&PostParams::default(), &object).await.unwrap();
    }

    /// Creates an object of another of our kinds.
    pub(crate) async fn create_other<K: OfOurs>(&self, namespace: &str, name: &str, spec: &Json) {
        self.ensure_namespace(namespace).await;
        let mut object = DynamicObject::new(name, &K::resource());
        object.data = json!({ "spec": spec });
        self.others::<K>(namespace).create(&PostParams::default(), &object).await.unwrap();
    }

    pub(crate) fn others<K: OfOurs>(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &K::resource())
    }

    /// The status of such an object once it is as `wanted`.
    pub(crate) async fn until_other<K: OfOurs>(
        &self,
        namespace: &str,
        name: &str,
        wanted: impl Fn(&Json) -> bool,
    ) -> Json {
        let mut last = Json::Null;
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let object = self.others::<K>(namespace).get(name).await.unwrap();
                last = object.data["status"].clone();
                if wanted(&last) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        assert!(found.is_ok(), "{name} is still {last:#}");
        last
    }

    async fn ensure_namespace(&self, namespace: &str) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        if namespaces.get_opt(namespace).await.unwrap().is_none() {
            let mut object = Namespace::default();
            object.metadata.name = Some(namespace.to_owned());
            namespaces.create(&PostParams::default(), &object).await.unwrap();
        }
    }

    pub(crate) async fn replace(&self, name: &str, spec: &Json) {
        let mut object = self.api().get(name).await.unwrap();
        loop {
            object.data["spec"] = spec.clone();
            match self.api().replace(name, &PostParams::default(), &object).await {
                Ok(_) => return,
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    object = self.api().get(name).await.unwrap();
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) async fn annotate(&self, name: &str, annotations: Json) {
        let patch = json!({"metadata": {"annotations": annotations}});
        self.api().patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.api().delete(name, &DeleteParams::default()).await.unwrap();
    }

    pub(crate) async fn get(&self, name: &str) -> Option<DynamicObject> {
        self.api().get_opt(name).await.unwrap()
    }

    pub(crate) async fn all(&self) -> Vec<DynamicObject> {
        self.api().list(&ListParams::default()).await.unwrap().items
    }

    /// The object once its status is as `wanted`.
    pub(crate) async fn until(&self, name: &str, wanted: impl Fn(&Json) -> bool) -> DynamicObject {
        self.until_in(&self.namespace(), name, wanted).await
    }

    pub(crate) async fn until_in(
        &self,
        namespace: &str,
        name: &str,
        wanted: impl Fn(&Json) -> bool,
    ) -> DynamicObject {
        let mut last = None;
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let object = self.api_in(namespace).get(name).await.unwrap();
                if object.data.get("status").is_some_and(&wanted) {
                    return object;
                }
                last = Some(object);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        found.unwrap_or_else(|_| panic!("{name} is still {:#?}", last.map(|object| object.data)))
    }

    pub(crate) async fn until_ready(&self, name: &str) -> DynamicObject {
        let object = self.until(name, |status| status["phase"] == "Ready").await;
        let generation = object.metadata.generation;
        self.until(name, |status| {
            status["phase"] == "Ready" && status["observedGeneration"].as_i64() >= generation
        })
        .await
    }

    pub(crate) async fn until_reason(&self, name: &str, reason: &str) -> DynamicObject {
        self.until(name, |status| condition(status, "Ready")["reason"] == reason).await
    }

    pub(crate) async fn until_gone(&self, name: &str) {
        let gone = tokio::time::timeout(PATIENCE, async {
            while self.get(name).await.is_some() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(gone.await.is_ok(), "{name} is still there: {:#?}", self.get(name).await);
    }

    /// Reasons and notes of the Events about an object.
    pub(crate) async fn events(&self, name: &str) -> Vec<(String, String)> {
        self.events_in(&self.namespace(), name).await
    }

    pub(crate) async fn events_in(&self, namespace: &str, name: &str) -> Vec<(String, String)> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let events = api.list(&ListParams::default()).await.unwrap();
        events
            .into_iter()
            .filter(|event| event.regarding.as_ref().and_then(|about| about.name.as_deref()) == Some(name))
            .map(|event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default()))
            .collect()
    }

    /// Runs statements as the owner.
    pub(crate) async fn sql(&self, sql: &str) {
        self.database.owner().await.batch_execute(sql).await.unwrap();
    }

    /// Writes records with these values of `columns`, as the API would. `values` may be anything that follows `insert into`.
    pub(crate) async fn insert(&self, object: &str, what: &str) {
        let table = self.table(object);
        self.sql(&format!("begin; set local velocity.actor = 'me'; insert into {table} {what}; commit"))
            .await;
    }

    /// The plan's hash, as an approval names it.
    pub(crate) async fn plan_hash(&self, name: &str) -> String {
        self.get(name).await.unwrap().data["status"]["planHash"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn approve(&self, name: &str, hash: &str) {
        self.annotate(name, json!({"velocity.sh/approve-breaking": hash})).await;
    }

    /// The Event of that reason, once it is there; nothing when it never comes.
    pub(crate) async fn until_event(&self, name: &str, reason: &str) -> String {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let events = self.events(name).await;
                if let Some((_, note)) = events.into_iter().find(|(found, _)| found == reason) {
                    return note;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        found.await.unwrap_or_else(|_| panic!("no Event {reason} about {name}"))
    }

    /// Waits until a query gives that number.
    pub(crate) async fn until_count(&self, sql: &str, wanted: i64) {
        let owner = self.database.owner().await;
        let reached = tokio::time::timeout(PATIENCE, async {
            while owner.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(reached.await.is_ok(), "`{sql}` never gave {wanted}");
    }

    /// The number that a query gives.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        self.database.owner().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// `org__shop__sales.object_v1`
    pub(crate) fn table(&self, object: &str) -> String {
        format!("{}__shop__sales.{object}_v1", self.org)
    }
}

/// A kind of ours.
pub(crate) trait OfOurs {
    fn resource() -> ApiResource;
}

impl<K: kube::Resource<DynamicType = ()>> OfOurs for K {
    fn resource() -> ApiResource {
        ApiResource::erase::<K>(&())
    }
}

pub(crate) fn resource() -> ApiResource {
    ApiResource::erase::<SchemaDefinition>(&())
}

/// The condition of that type.
pub(crate) fn condition<'a>(status: &'a Json, kind: &str) -> &'a Json {
    let found =
        status["conditions"].as_array().into_iter().flatten().find(|condition| condition["type"] == kind);
    found.unwrap_or(&Json::Null)
}

pub(crate) fn hash(spec: &Json) -> String {
    velocity_schema::Schema::from_json(spec).unwrap().1.hash().to_string()
}
