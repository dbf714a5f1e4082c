//! API and operators as processes of their own, as on a cluster: a Kubernetes API in this process that counts its calls, and a
//! Postgres that can be killed.

use std::fs::File;
use std::net::TcpListener as Listener;
use std::ops::Deref;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Map, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use velocity_access::DevKey;
use velocity_contract::AuthStrategy;
use velocity_localkube::{LocalKube, kubeconfig};
use velocity_testkit::{TestCluster, TestDatabase};

use super::programs::velocityd;
use super::server::{Endpoints, Server};
use super::{Scratch, eventually};

/// A call that reached the Kubernetes API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    /// The identity of the process that made it, `api` for that one; empty when it is none of ours.
    pub(crate) agent: String,
}

/// A Kubernetes API, a Postgres and one `velocityd api`. Operators are started by who needs them.
pub(crate) struct Cluster {
    // In the order in which they end.
    _api: Role,
    server: Server,
    kubernetes: Kubernetes,
    _database: TestDatabase,
    pub(crate) postgres: TestCluster,
}

impl Deref for Cluster {
    type Target = Server;

    /// How it is called: like any server.
    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Cluster {
    /// With one operator, which is returned too.
    pub(crate) async fn start() -> (Self, Role) {
        let (cluster, operator) = Self::begin().await;
        let admin = cluster.admin();
        eventually("the API to be ready", async || {
            let request = admin.request(reqwest::Method::GET, "/readyz");
            request.send().await.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
        (cluster, operator)
    }

    async fn begin() -> (Self, Role) {
        let scratch = Scratch::new();
        let data = scratch.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let postgres = TestCluster::start().await;
        let database = postgres.create_database().await;
        let kubernetes = Kubernetes::start(&data);
        let key = DevKey::generate().unwrap();
        let api = format!("127.0.0.1:{}", free_port());
        std::fs::write(data.join("dev-key.pem"), key.to_pem()).unwrap();
        std::fs::write(data.join("kubernetes-token"), "none").unwrap();
        std::fs::write(data.join("kubeconfig"), kubeconfig(&kubernetes.url, None)).unwrap();
        let roles = ["platform-admin".to_owned()];
        let lifetime = std::time::Duration::from_hours(24);
        let token = key.mint("dev-admin", &roles, &Map::new(), jiff::Timestamp::now(), lifetime).unwrap();
        let config = json!({"currentContext": "dev", "contexts": [{"name": "dev", "server": format!("http://{api}"),
            "kubeconfig": data.join("kubeconfig"), "token": token}]});
        std::fs::write(data.join("config.yaml"), config.to_string()).unwrap();
        let endpoints = Endpoints {
            api: format!("http://{api}"),
            kubernetes: kubernetes.url.clone(),
            metrics: String::new(),
            postgres: database.owner_url().to_owned(),
            pid: std::process::id(),
        };
        let server = Server::of(endpoints, scratch);
        server
            .apply_object(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "velocity"}}))
            .await;
        let strategy = serde_json::to_value(AuthStrategy::new("velocity", "dev", key.strategy())).unwrap();
        let applied = server.apply_object(&strategy).await;
        assert!(matches!(applied.status, 200 | 201), "{applied:#?}");
        let operator = Role::operator(&server, "operator-1");
        let metrics = format!("127.0.0.1:{}", free_port());
        let arguments = [
            "api",
            "--listen",
            &api,
            "--metrics-listen",
            &metrics,
            "--default-auth-strategy",
            "velocity/dev",
        ];
        let api = Role::start(&server, "api", database.api_url(), &arguments);
        (Self { _api: api, server, kubernetes, _database: database, postgres }, operator)
    }

    /// Starts one more operator, or the same again.
    pub(crate) fn operator(&self, identity: &str) -> Role {
        Role::operator(&self.server, identity)
    }

    /// The calls to the Kubernetes API since the last look.
    pub(crate) fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.kubernetes.calls.lock().unwrap())
    }
}

/// A `velocityd` in one role. Killed when dropped, and when this process is killed.
pub(crate) struct Role {
    child: Option<Child>,
    scratch: Scratch,
}

impl Role {
    fn operator(server: &Server, identity: &str) -> Self {
        let arguments = ["operator", "--identity", identity];
        Self::start(server, identity, &server.endpoints().postgres, &arguments)
    }

    fn start(server: &Server, identity: &str, database: &str, arguments: &[&str]) -> Self {
        let mut scratch = Scratch::new();
        // The token says whose calls it were.
        let config = scratch.path().join("kubeconfig");
        std::fs::write(&config, kubeconfig(&server.endpoints().kubernetes, Some(identity))).unwrap();
        let log = File::create(scratch.path().join("log")).unwrap();
        let mut command = Command::new(velocityd());
        command.args(arguments).env_clear().current_dir("/").stdin(Stdio::null());
        command.env("KUBECONFIG", config).env("VELOCITY_DATABASE_URL", database);
        command.stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap();
        scratch.holds(Some(child.id()));
        Self { child: Some(child), scratch }
    }

    /// Ends it without any warning, as a crash does.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Stops it where it is, or lets it go on: a machine that hangs.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().unwrap().id();
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.scratch.path().join("log")).unwrap()
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            self.scratch.holds(None);
        }
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("a role of velocityd said:\n{}", self.log());
        }
        self.end();
    }
}

/// On a thread of its own: tests that load their own do not hold it up.
struct Kubernetes {
    url: String,
    calls: Arc<Mutex<Vec<Call>>>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Kubernetes {
    fn start(folder: &std::path::Path) -> Self {
        let crds = velocity_contract::crd::all().into_iter().map(|(_, crd)| crd).collect();
        let kube = LocalKube::open(&folder.join("kubernetes.redb"), crds).unwrap();
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let stop = CancellationToken::new();
        let (counted, stopped) = (Arc::clone(&calls), stop.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let count = from_fn(move |request: Request, next: Next| {
                counted.lock().unwrap().push(Call::of(&request));
                next.run(request)
            });
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    served = axum::serve(listener, kube.router().layer(count)) => served.unwrap(),
                    () = stopped.cancelled() => {}
                }
            });
        });
        Self { url, calls, stop, thread: Some(thread) }
    }
}

impl Call {
    fn of(request: &Request) -> Self {
        let given = request.headers().get("authorization").and_then(|given| given.to_str().ok());
        let agent = given.and_then(|given| given.strip_prefix("Bearer ")).unwrap_or_default().to_owned();
        Self { method: request.method().to_string(), path: request.uri().to_string(), agent }
    }
}

impl Drop for Kubernetes {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A port that nobody listens on. Below those that the system gives to whoever asks for any (32768 and up on Linux, 49152 on
/// macOS), so that no connection of another test gets it before the server that it is meant for listens there.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id().wrapping_mul(61));
        let port = 20_000 + u16::try_from(offset % 12_000).unwrap();
        if Listener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
