//! Where a world's Kubernetes API comes from.
//!
//! An operator works on everything that it finds, so each world has an API for itself: one built in, or, where
//! `VELOCITY_TEST_KUBECONFIGS` names real ones, one of these, emptied before it is used and held until the last task
//! of the test has ended.

use std::path::PathBuf;
use std::sync::{Condvar, LazyLock, Mutex};
use std::time::Duration;

use http::{Method, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tower::ServiceExt;
use velocity_localkube::LocalKube;

/// The real ones that no test holds; `None` where there are none at all.
static FREE: LazyLock<Option<Mutex<Vec<PathBuf>>>> = LazyLock::new(|| {
    let named = std::env::var_os("VELOCITY_TEST_KUBECONFIGS").filter(|paths| !paths.is_empty())?;
    Some(Mutex::new(std::env::split_paths(&named).collect()))
});
static RETURNED: Condvar = Condvar::new();

/// A client of an empty Kubernetes API with our CRDs, and the folder that has to stay as long as it is used.
pub(crate) fn empty() -> (Client, Option<TempDir>) {
    if let Some(free) = FREE.as_ref() {
        return (real(free), None);
    }
    let folder = tempfile::tempdir().unwrap();
    let router = LocalKube::open(&folder.path().join("kubernetes.redb"), crds()).unwrap().router();
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        router.clone().oneshot(request.map(axum::body::Body::new))
    });
    (Client::new(service, "default"), Some(folder))
}

/// CRDs that let everything pass, as a cluster's where somebody changed them.
fn crds() -> Vec<Json> {
    let mut crds: Vec<Json> = velocity_contract::crd::all().into_iter().map(|(_, crd)| crd).collect();
    for crd in &mut crds {
        let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        schema["properties"]["spec"] =
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        schema.as_object_mut().unwrap().remove("x-kubernetes-validations");
    }
    crds
}

struct Held(PathBuf);

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(free) = FREE.as_ref() {
            free.lock().unwrap().push(self.0.clone());
            RETURNED.notify_one();
        }
    }
}

fn real(free: &Mutex<Vec<PathBuf>>) -> Client {
    let mut paths = RETURNED.wait_while(free.lock().unwrap(), |paths| paths.is_empty()).unwrap();
    let held = Held(paths.pop().unwrap());
    drop(paths);
    let path = held.0.clone();
    // In a thread of its own, as worlds are made by functions that cannot wait.
    let config = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(path).unwrap();
            let config =
                Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
            Server(Client::try_from(config.clone()).unwrap()).prepare().await;
            config
        })
    })
    .join()
    .unwrap();
    // Operators run on until the test's runtime ends; only then may another test use the API.
    tokio::spawn(async move {
        let _held = held;
        std::future::pending::<()>().await;
    });
    Client::try_from(config).unwrap()
}

struct Server(Client);

impl Server {
    async fn try_send(&self, method: Method, path: &str, body: &Json) -> kube::Result<Json> {
        let media = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder().method(method).uri(path).header("content-type", media);
        self.0.request(request.body(body).unwrap()).await
    }

    async fn send(&self, method: Method, path: &str, body: &Json) -> Json {
        self.try_send(method, path, body).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn list(&self, path: &str) -> Vec<Json> {
        let list = self.send(Method::GET, path, &Json::Null).await;
        list["items"].as_array().cloned().unwrap_or_default()
    }

    async fn prepare(&self) {
        for crd in crds() {
            self.define(&crd).await;
        }
        for plural in ["schemadefinitions", "authstrategies", "rolebindings"] {
            for object in self.list(&format!("/apis/velocity.sh/v1/{plural}")).await {
                let meta = &object["metadata"];
                let (name, namespace) = (meta["name"].as_str().unwrap(), meta["namespace"].as_str());
                let path = match namespace {
                    Some(namespace) => format!("/apis/velocity.sh/v1/namespaces/{namespace}/{plural}/{name}"),
                    None => format!("/apis/velocity.sh/v1/{plural}/{name}"),
                };
                if meta["finalizers"].is_array() {
                    self.send(Method::PATCH, &path, &json!({"metadata": {"finalizers": null}})).await;
                }
                if meta["deletionTimestamp"].is_null() {
                    self.send(Method::DELETE, &path, &Json::Null).await;
                }
            }
        }
        for namespace in self.list("/api/v1/namespaces").await {
            self.empty(namespace["metadata"]["name"].as_str().unwrap()).await;
        }
    }

    async fn define(&self, crd: &Json) {
        let all = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let path = format!("{all}/{}", crd["metadata"]["name"].as_str().unwrap());
        if self.try_send(Method::GET, &path, &Json::Null).await.is_ok() {
            return;
        }
        self.send(Method::POST, all, crd).await;
        let objects = format!(
            "/apis/{}/{}/{}",
            crd["spec"]["group"].as_str().unwrap(),
            crd["spec"]["versions"][0]["name"].as_str().unwrap(),
            crd["spec"]["names"]["plural"].as_str().unwrap()
        );
        let served = tokio::time::timeout(Duration::from_mins(1), async {
            while self.try_send(Method::GET, &objects, &Json::Null).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(served.await.is_ok(), "{objects} is not served");
    }

    /// Deletes what a test may have left in the namespace, and the namespace itself unless the server keeps it.
    async fn empty(&self, namespace: &str) {
        let path = format!("/api/v1/namespaces/{namespace}");
        let contents = [
            format!("{path}/events"),
            format!("{path}/secrets"),
            format!("{path}/configmaps"),
            format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"),
        ];
        if namespace.starts_with("kube-") {
            return;
        }
        for collection in &contents {
            self.send(Method::DELETE, collection, &Json::Null).await;
        }
        if namespace != "default" {
            let mut going = self.send(Method::DELETE, &path, &Json::Null).await;
            // What the controller of namespaces does, which is not part of an API server.
            going["spec"]["finalizers"] = json!([]);
            self.send(Method::PUT, &format!("{path}/finalize"), &going).await;
        }
    }
}
