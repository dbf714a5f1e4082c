//! `velocityd operator`.

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use velocity_operator::{Config, DEFAULT_LEASE_NAMESPACE, LeaseConfig, Terms};

use super::stop_signal;
use crate::cli::OperatorArgs;

/// Where a pod finds the namespace that it runs in.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Runs the operator against the cluster that this process belongs to, or the current kubeconfig.
pub(crate) async fn operator(args: OperatorArgs) -> anyhow::Result<()> {
    let client = kube::Client::try_default().await.context("no Kubernetes API to work on")?;
    let lease = LeaseConfig {
        namespace: args.lease_namespace.unwrap_or_else(own_namespace),
        identity: args.identity.unwrap_or_else(unique_identity),
        terms: Terms::default(),
    };
    let config = Config {
        concurrency: args.concurrency,
        jobs: args.jobs,
        lease,
        default_strategy: args.default_auth_strategy,
        ..Config::default()
    };
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        let _ = stop_signal().await;
        stop.cancel();
    });
    velocity_operator::run(client, args.database_url, config, shutdown).await?;
    Ok(())
}

fn own_namespace() -> String {
    let namespace = std::fs::read_to_string(NAMESPACE_FILE).unwrap_or_default();
    let namespace = namespace.trim();
    if namespace.is_empty() { DEFAULT_LEASE_NAMESPACE } else { namespace }.to_owned()
}

/// The machine's name for people, and what no other process has: two operators on one machine are two.
fn unique_identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "operator".to_owned());
    format!("{host}-{:016x}", rand::random::<u64>())
}
