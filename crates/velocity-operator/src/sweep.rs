//! Drops idempotency keys that are older than their promise.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use velocity_store::platform::sweep_idempotency_keys;

use crate::context::Context;

/// Sweeps now and then until `shutdown`.
pub(crate) async fn run(context: Arc<Context>, shutdown: CancellationToken) {
    let mut timer = tokio::time::interval(context.config.sweep);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = timer.tick() => {}
        }
        let swept = match context.owner.connection().await {
            Ok(mut connection) => {
                sweep_idempotency_keys(connection.client()).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match swept {
            Ok(0) => {}
            Ok(count) => tracing::info!(keys = count, "dropped idempotency keys older than a day"),
            Err(error) => tracing::warn!(error, "idempotency keys could not be swept; trying again later"),
        }
    }
}
