//! The built-in Kubernetes API: in process for the operator and the API, on a port for kubectl and the CLI.

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use velocity_localkube::{LocalKube, kubeconfig};

use super::folder::{Folder, random_hex};

/// A serving Kubernetes API.
pub(crate) struct Kubernetes {
    /// A client that needs no socket.
    pub(crate) client: kube::Client,
    /// Where it listens.
    pub(crate) url: String,
    server: JoinHandle<std::io::Result<()>>,
}

/// Opens the store in the folder, serves it, and writes `kubeconfig`.
pub(crate) fn start(
    folder: &Folder,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<Kubernetes> {
    let crds = velocity_contract::crd::all().into_iter().map(|(_, crd)| crd).collect();
    let store = LocalKube::open(&folder.join("kubernetes.redb"), crds)
        .context("the built-in Kubernetes API's store cannot be opened")?;
    let token = folder.secret("kubernetes-token", || Ok(random_hex()))?;
    let url = format!("http://{}", listener.local_addr()?);
    folder.write_secret("kubeconfig", &kubeconfig(&url, Some(&token)))?;
    let router = store.router();
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        router.clone().oneshot(request.map(axum::body::Body::new))
    });
    let client = kube::Client::new(service, "default");
    let server =
        tokio::spawn(async move { store.serve(listener, Some(token), stop.cancelled_owned()).await });
    Ok(Kubernetes { client, url, server })
}

impl Kubernetes {
    /// Waits until open requests are answered.
    pub(crate) async fn stop(self) {
        let _ = tokio::time::timeout(std::time::Duration::from_secs(3), self.server).await;
    }
}
