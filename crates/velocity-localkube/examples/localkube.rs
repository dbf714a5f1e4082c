//! Serves the local Kubernetes API: `localkube FILE ADDRESS TOKEN CRD.json...`; prints a kubeconfig once it listens.

use std::error::Error;
use std::path::Path;

use velocity_localkube::{LocalKube, kubeconfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, address, token, definitions @ ..] = arguments.as_slice() else {
        return Err("usage: localkube FILE ADDRESS TOKEN CRD.json...".into());
    };
    let mut crds = Vec::new();
    for path in definitions {
        crds.push(serde_json::from_slice(&std::fs::read(path)?)?);
    }
    let kube = LocalKube::open(Path::new(file), crds)?;
    let listener = tokio::net::TcpListener::bind(address).await?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("{}", kubeconfig(&url, Some(token)));
    kube.serve(listener, Some(token.clone()), async {
        // Without signals a shutdown is a kill.
        let _ = tokio::signal::ctrl_c().await;
    })
    .await?;
    Ok(())
}
