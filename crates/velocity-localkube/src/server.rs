//! The public face: open a store, hand out a router, listen.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::crd::{self, CrdError};
use crate::kind::{DEFINITIONS, NAMESPACES, Registry};
use crate::schema::SchemaError;
use crate::status::ApiError;
use crate::store::{DiskError, Expected, Key, Store, Write, WriteError};
use crate::{builtin, collector, http as api};

/// Namespaces that are always there.
pub(crate) const FIRST_NAMESPACES: [&str; 2] = ["default", "kube-system"];

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store's folder cannot be made.
    #[error("cannot make the folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The store's file cannot be used; another process may have it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// One of the CRDs cannot be served.
    #[error("CustomResourceDefinition {name}: {source}")]
    Definition {
        /// The CRD's `metadata.name`, as far as it has one.
        name: String,
        /// What is wrong with it.
        source: DefinitionError,
    },
    /// The store did not take the first objects.
    #[error("cannot write the first objects: {0}")]
    FirstObjects(String),
}

/// What is wrong with the store's file.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StoreError(#[from] DiskError);

/// What is wrong with a CRD.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DefinitionError(#[from] CrdError);

/// Bounds that have good defaults.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Events kept for watches, per kind. A watcher that is further behind gets a 410 and lists again.
    pub watch_history: usize,
}

impl Default for Options {
    fn default() -> Self {
        // Some ten changes of each of several hundred objects, at a few kilobytes each.
        Self { watch_history: 4096 }
    }
}

/// What every request works on.
pub(crate) struct Core {
    pub(crate) registry: Registry,
    pub(crate) store: Store,
    /// Stays false: in-process routers are never told to close.
    open: watch::Sender<bool>,
}

/// A Kubernetes API server in this process.
///
/// Cloning is cheap. The file stays open until the last clone, router and connection are gone.
#[derive(Clone)]
pub struct LocalKube {
    core: Arc<Core>,
}

impl LocalKube {
    /// Opens or makes the store in the file `path` and serves `crds` (CustomResourceDefinition manifests as JSON)
    /// beside the built-in kinds. CRDs that changed since last time replace their older selves; objects of a CRD
    /// that is no longer given stay in the file, unserved.
    pub fn open(path: &Path, crds: Vec<Value>) -> Result<Self, OpenError> {
        Self::open_with(path, crds, Options::default())
    }

    /// [`LocalKube::open`] with other bounds.
    #[expect(clippy::needless_pass_by_value, reason = "callers have no use for the manifests afterwards")]
    pub fn open_with(path: &Path, crds: Vec<Value>, options: Options) -> Result<Self, OpenError> {
        let mut registry = Registry::default();
        let broken = |name: &str, source: CrdError| OpenError::Definition {
            name: name.to_owned(),
            source: source.into(),
        };
        let schema =
            |source: SchemaError| broken("(built in)", CrdError::Schema { version: "v1".to_owned(), source });
        for kind in builtin::kinds().map_err(schema)? {
            registry.add(kind);
        }
        for manifest in &crds {
            let kind = crd::parse(manifest).map_err(|source| {
                broken(manifest["metadata"]["name"].as_str().unwrap_or("(no name)"), source)
            })?;
            registry.add(kind);
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|source| OpenError::Folder { path: folder.to_owned(), source })?;
        }
        let (store, events) = Store::open(path, options.watch_history).map_err(StoreError)?;
        let core = Core { registry, store, open: watch::Sender::new(false) };
        core.write_first_objects(&crds).map_err(|error| OpenError::FirstObjects(format!("{error:?}")))?;
        collector::start(&core.store, events).map_err(|error| StoreError(DiskError::Thread(error)))?;
        Ok(Self { core: Arc::new(core) })
    }

    /// The API as a router, for use in this process: no authentication.
    pub fn router(&self) -> Router {
        self.router_until(self.core.open.subscribe())
    }

    fn router_until(&self, closing: watch::Receiver<bool>) -> Router {
        let core = Arc::clone(&self.core);
        Router::new().fallback(move |request: Request| {
            let (core, closing) = (Arc::clone(&core), closing.clone());
            api::answer(core, closing, request)
        })
    }

    /// Serves on `listener` until `shutdown`; then watches end and open requests finish.
    ///
    /// With a `token`, requests need `Authorization: Bearer <token>`. Requests with an `Origin` header are refused
    /// in any case: no web page has business here.
    pub async fn serve(
        &self,
        listener: TcpListener,
        token: Option<String>,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let (close, closing) = watch::channel(false);
        let guard = Arc::new(token.map(|token| <[u8; 32]>::from(Sha256::digest(token))));
        let router = self.router_until(closing).layer(middleware::from_fn_with_state(guard, admit));
        axum::serve(listener, router)
            .with_graceful_shutdown(async move {
                shutdown.await;
                close.send_replace(true);
            })
            .await
    }
}

/// Lets a request pass that may; the digest of the token is compared, all of it in any case.
async fn admit(State(token): State<Arc<Option<[u8; 32]>>>, request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        return ApiError::from_a_browser().into_response();
    }
    if let Some(expected) = token.as_ref() {
        let given = <[u8; 32]>::from(Sha256::digest(given_token(&request).unwrap_or_default()));
        let difference = given.iter().zip(expected).fold(0, |all, (a, b)| all | (a ^ b));
        if difference != 0 {
            return ApiError::unauthorized().into_response();
        }
    }
    next.run(request).await
}

/// The token of a `Bearer` header, or the password of a `Basic` one: kubectl sends no bearer token over plain HTTP,
/// but it does send what stands in the server's URL (see [`crate::kubeconfig()`]).
fn given_token(request: &Request) -> Option<String> {
    let (scheme, credential) =
        request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credential.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(credential).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

impl Core {
    fn write_first_objects(&self, crds: &[Value]) -> Result<(), WriteError> {
        let now = crate::clock::now();
        for name in FIRST_NAMESPACES {
            let key = Key { table: NAMESPACES.to_owned(), namespace: String::new(), name: name.to_owned() };
            if self.store.get(&key).is_none() {
                let value = json!({
                    "apiVersion": "v1", "kind": "Namespace",
                    "metadata": {
                        "name": name, "uid": uuid::Uuid::new_v4().to_string(), "creationTimestamp": now,
                        "labels": { "kubernetes.io/metadata.name": name },
                    },
                    "spec": { "finalizers": ["kubernetes"] },
                    "status": { "phase": "Active" },
                });
                self.store.write_blocking(Write { key, expected: Expected::Absent, value: Some(value) })?;
            }
        }
        self.sync_definitions(crds, &now)
    }

    /// Makes the stored CRD objects equal to the given manifests.
    fn sync_definitions(&self, crds: &[Value], now: &str) -> Result<(), WriteError> {
        let key = |name: &str| Key {
            table: DEFINITIONS.to_owned(),
            namespace: String::new(),
            name: name.to_owned(),
        };
        let mut wanted = Vec::new();
        for manifest in crds {
            let name = manifest["metadata"]["name"].as_str().unwrap_or_default();
            wanted.push(name);
            let uid = uuid::Uuid::new_v4().to_string();
            let mut value = crd::as_object(manifest, now, &uid);
            let stored = self.store.get(&key(name));
            let mut expected = Expected::Absent;
            if let Some(found) = stored {
                if found.value["spec"] == value["spec"]
                    && found.value["metadata"]["labels"] == value["metadata"]["labels"]
                {
                    continue;
                }
                expected = Expected::Revision(found.revision);
                for field in ["uid", "creationTimestamp"] {
                    value["metadata"][field] = found.value["metadata"][field].clone();
                }
                let generation = found.value["metadata"]["generation"].as_i64().unwrap_or(1);
                value["metadata"]["generation"] = json!(generation + 1);
            }
            self.store.write_blocking(Write { key: key(name), expected, value: Some(value) })?;
        }
        let stored = self.store.read(|state| state.list(DEFINITIONS, None, None)).objects;
        for object in stored {
            let name = object.value["metadata"]["name"].as_str().unwrap_or_default();
            if !wanted.contains(&name) {
                let expected = Expected::Revision(object.revision);
                self.store.write_blocking(Write { key: key(name), expected, value: None })?;
            }
        }
        Ok(())
    }
}
