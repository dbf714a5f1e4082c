//! A Kubernetes API that counts who calls it, on a thread of its own.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener as Listener};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use tokio::net::TcpListener;
use velocity_localkube::LocalKube;

/// How many calls each caller has made, by its token.
type Counts = Arc<Mutex<BTreeMap<String, u64>>>;

/// A serving Kubernetes API. It ends with this process.
pub(crate) struct Calls {
    pub(crate) address: SocketAddr,
    counts: Counts,
}

impl Calls {
    /// Serves the store in a folder.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        let crds = velocity_contract::crd::all().into_iter().map(|(_, crd)| crd).collect();
        let kube = LocalKube::open(&folder.join("kubernetes.redb"), crds)?;
        let listener = Listener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let counts = Counts::default();
        let counted = Arc::clone(&counts);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            let count = from_fn(move |request: Request, next: Next| {
                let mut counts = counted.lock().unwrap_or_else(PoisonError::into_inner);
                *counts.entry(caller(&request)).or_default() += 1;
                drop(counts);
                next.run(request)
            });
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).context("the Kubernetes API")?;
                axum::serve(listener, kube.router().layer(count)).await.context("the Kubernetes API")
            })
        });
        Ok(Self { address, counts })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The calls of somebody so far.
    pub(crate) fn of(&self, caller: &str) -> u64 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).get(caller).copied().unwrap_or_default()
    }
}

fn caller(request: &Request) -> String {
    let given = request.headers().get("authorization").and_then(|given| given.to_str().ok());
    given.and_then(|given| given.strip_prefix("Bearer ")).unwrap_or_default().to_owned()
}
