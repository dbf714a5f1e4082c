//! `velocityd operator`.

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use velocity_store::owner::OwnerPool;

use super::stop_signal;
use crate::cli::OperatorArgs;

/// Connections beside those of the reconciles: the sweep, and one to spare.
const SPARE_CONNECTIONS: usize = 2;

/// Runs the operator against the cluster that this process belongs to, or the current kubeconfig.
pub(crate) async fn operator(args: OperatorArgs) -> anyhow::Result<()> {
    let client = kube::Client::try_default().await.context("no Kubernetes API to work on")?;
    let owner = OwnerPool::new(&args.database_url, usize::from(args.concurrency) + SPARE_CONNECTIONS)?;
    let config =
        velocity_operator::Config { concurrency: args.concurrency, ..velocity_operator::Config::default() };
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        let _ = stop_signal().await;
        stop.cancel();
    });
    velocity_operator::run(client, owner, config, shutdown).await?;
    Ok(())
}
