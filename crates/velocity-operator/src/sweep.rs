//! Drops what is older than its promise: idempotency keys, what is in the trash, plans, sessions and revocations that are over.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use velocity_store::platform::{
    sweep_idempotency_keys, sweep_plans, sweep_revocations, sweep_sessions, sweep_trash,
};

use crate::session::Session;

use crate::context::Context;

/// Sweeps now and then until `shutdown`.
pub(crate) async fn run(context: Arc<Context>, shutdown: CancellationToken) {
    let mut timer = tokio::time::interval(context.config.sweep);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = timer.tick() => {}
        }
        if let Err(error) = sweep(&context).await {
            tracing::warn!(error, "the database could not be swept; trying again later");
        }
    }
}

async fn sweep(context: &Context) -> Result<(), String> {
    let text = |error: tokio_postgres::Error| error.to_string();
    let mut session = Session::open(&context.quick).await.map_err(|error| error.to_string())?;
    let keys = sweep_idempotency_keys(session.client()).await.map_err(text)?;
    let trash = sweep_trash(session.client()).await.map_err(text)?;
    let plans = sweep_plans(session.client()).await.map_err(text)?;
    let sessions = sweep_sessions(session.client()).await.map_err(text)?;
    let revocations = sweep_revocations(session.client()).await.map_err(text)?;
    session.finish();
    if keys + trash + plans + sessions + revocations > 0 {
        tracing::info!(keys, trash, plans, sessions, revocations, "dropped what was over");
    }
    Ok(())
}
