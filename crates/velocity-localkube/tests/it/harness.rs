//! A server to test, and short ways to talk to it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Once, OnceLock};
use std::time::Duration;

use kube::api::{ApiResource, DynamicObject};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use velocity_localkube::{LocalKube, Options, kubeconfig};

pub(crate) const TOKEN: &str = "test token/with \"odd\" characters";

/// How long anything that should happen may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

static NUMBER: AtomicU32 = AtomicU32::new(0);

pub(crate) fn parcel_definition() -> Value {
    serde_json::from_str(include_str!("parcel.json")).unwrap()
}

/// Where a server is and what lets one in.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) token: String,
    http: reqwest::Client,
}

/// A status code and a JSON body.
pub(crate) struct Reply {
    pub(crate) code: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    /// The body of a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!(self.code.is_success(), "{}: {:#}", self.code, self.body);
        self.body
    }

    /// Code, reason and message of a failure.
    #[track_caller]
    pub(crate) fn failure(&self) -> (u16, &str, &str) {
        assert!(!self.code.is_success(), "{}: {:#}", self.code, self.body);
        assert_eq!(self.body["kind"], "Status", "{:#}", self.body);
        assert_eq!(self.body["code"], self.code.as_u16());
        let text = |field: &str| self.body[field].as_str().unwrap_or_default();
        (self.code.as_u16(), text("reason"), text("message"))
    }
}

impl Server {
    pub(crate) fn at(url: String, token: String) -> Self {
        let http = reqwest::Client::builder().danger_accept_invalid_certs(true).build().unwrap();
        Self { url, token, http }
    }

    pub(crate) fn kubeconfig(&self) -> String {
        let text = kubeconfig(&self.url, Some(&self.token));
        if self.url.starts_with("https:") {
            let plain = kubeconfig(&self.url, None)
                .replace("user: {}", &format!("user: {{token: {}}}", json!(self.token)));
            return plain.replace("cluster: {server:", "cluster: {insecure-skip-tls-verify: true, server:");
        }
        text
    }

    pub(crate) async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig()).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Client::try_from(config).unwrap()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.token)
            .header("user-agent", "it/1")
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let response = request.send().await.unwrap();
        let (code, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Reply { code, headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn get_as(&self, path: &str, accept: &str) -> Reply {
        self.send(self.request(Method::GET, path).header("accept", accept)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    /// `kind` is `merge`, `json`, `strategic-merge` or `apply`.
    pub(crate) async fn patch(&self, path: &str, kind: &str, body: &Value) -> Reply {
        let media = match kind {
            "apply" => "application/apply-patch+yaml".to_owned(),
            kind => format!("application/{kind}-patch+json"),
        };
        self.send(self.request(Method::PATCH, path).header("content-type", media).body(body.to_string()))
            .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn delete_with(&self, path: &str, options: &Value) -> Reply {
        self.send(self.request(Method::DELETE, path).json(options)).await
    }

    /// Makes a namespace of its own for a test.
    pub(crate) async fn namespace(&self) -> Space {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("it-{}-{number}", std::process::id());
        self.post(
            "/api/v1/namespaces",
            &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
        )
        .await
        .ok();
        Space { server: self.clone(), name }
    }
}

/// A namespace on a server.
pub(crate) struct Space {
    pub(crate) server: Server,
    pub(crate) name: String,
}

impl Space {
    pub(crate) fn parcels(&self) -> String {
        format!("/apis/test.velocity.sh/v1/namespaces/{}/parcels", self.name)
    }

    pub(crate) fn parcel(&self, name: &str) -> String {
        format!("{}/{name}", self.parcels())
    }

    pub(crate) fn core(&self, plural: &str) -> String {
        format!("/api/v1/namespaces/{}/{plural}", self.name)
    }

    pub(crate) async fn create_parcel(&self, name: &str) -> Value {
        self.server.post(&self.parcels(), &parcel(name)).await.ok()
    }

    pub(crate) async fn api(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.server.client().await, &self.name, &parcel_resource())
    }
}

pub(crate) fn parcel_resource() -> ApiResource {
    ApiResource {
        group: "test.velocity.sh".into(),
        version: "v1".into(),
        api_version: "test.velocity.sh/v1".into(),
        kind: "Parcel".into(),
        plural: "parcels".into(),
    }
}

/// The smallest parcel.
pub(crate) fn parcel(name: &str) -> Value {
    json!({
        "apiVersion": "test.velocity.sh/v1", "kind": "Parcel", "metadata": {"name": name},
        "spec": {"object": "order", "version": "v1", "fields": [{"name": "id", "type": "string"}]}
    })
}

/// A localkube for one test; gone when dropped.
pub(crate) struct Private {
    pub(crate) server: Server,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// Removed after the server has stopped.
    folder: Option<tempfile::TempDir>,
}

impl Drop for Private {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        drop(self.folder.take());
    }
}

/// Starts a localkube on the file, in a thread with a runtime of its own.
pub(crate) fn start_at(file: PathBuf, crds: Vec<Value>, options: Options, token: Option<&str>) -> Private {
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let (address_out, address) = std::sync::mpsc::channel();
    let given = token.map(str::to_owned);
    let thread = std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let kube = LocalKube::open_with(&file, crds, options).unwrap();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            address_out.send(listener.local_addr().unwrap()).unwrap();
            let shutdown = async {
                // A dropped sender stops it too.
                let _ = stopped.await;
            };
            kube.serve(listener, given, shutdown).await.unwrap();
        });
    });
    let url = format!("http://{}", address.recv_timeout(PATIENCE).unwrap());
    let server = Server::at(url, token.unwrap_or_default().to_owned());
    Private { server, stop: Some(stop), thread: Some(thread), folder: None }
}

pub(crate) fn private(options: Options) -> Private {
    let folder = tempfile::tempdir().unwrap();
    let mut private =
        start_at(folder.path().join("kube.redb"), vec![parcel_definition()], options, Some(TOKEN));
    private.folder = Some(folder);
    private
}

static SHARED: LazyLock<Private> = LazyLock::new(|| private(Options::default()));
static OTHER: OnceLock<Server> = OnceLock::new();
static SET_UP: Once = Once::new();

/// The server under test: a shared localkube, or the one that the environment names.
pub(crate) fn server() -> Server {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    // A connection pool belongs to the runtime of its test, so each gets a client of its own.
    let Some(url) = variable("KUBE_CONFORMANCE_URL") else {
        return Server::at(SHARED.server.url.clone(), TOKEN.to_owned());
    };
    let other = OTHER.get_or_init(|| {
        Server::at(
            url.trim_end_matches('/').to_owned(),
            variable("KUBE_CONFORMANCE_TOKEN").unwrap_or_default(),
        )
    });
    SET_UP.call_once(|| {
        let other = other.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(install_definition(&other));
        })
        .join()
        .unwrap();
    });
    Server::at(other.url.clone(), other.token.clone())
}

/// Whether the suite runs against this crate's server.
pub(crate) fn is_local(server: &Server) -> bool {
    server.token == TOKEN
}

async fn install_definition(server: &Server) {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let reply = server.post(path, &parcel_definition()).await;
    assert!(reply.code.is_success() || reply.code == StatusCode::CONFLICT, "{:#}", reply.body);
    eventually("the definition is served", || async {
        server.get("/apis/test.velocity.sh/v1/parcels").await.code.is_success().then_some(())
    })
    .await;
}

/// Waits for `probe` to find something.
#[track_caller]
pub(crate) fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    probe: impl Fn() -> F,
) -> impl Future<Output = T> {
    let what = what.to_owned();
    async move {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            assert!(tokio::time::Instant::now() < deadline, "gave up waiting: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
