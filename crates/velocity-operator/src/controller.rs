//! The loops: one controller for SchemaDefinitions, one for AuthStrategies, and the sweep.

use std::sync::Arc;

use futures::StreamExt;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::controller::{Config as ControllerConfig, Controller};
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;
use velocity_contract::{AuthStrategy, SchemaDefinition};
use velocity_store::owner::{OwnerError, OwnerPool};
use velocity_store::platform::{MigrateError, migrate};

use crate::config::Config;
use crate::context::Context;
use crate::{auth_strategies, reconcile, sweep};

/// Why the operator does not run.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// No connection as the owner.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// The platform's tables could not be brought up to date.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
}

/// Brings the platform's tables up to date, then runs until `shutdown`; what is being applied is finished first.
pub async fn run(
    client: Client,
    owner: OwnerPool,
    config: Config,
    shutdown: CancellationToken,
) -> Result<(), OperatorError> {
    migrate(owner.connection().await?.client()).await?;
    let context = Arc::new(Context::new(client.clone(), owner, config));
    tokio::join!(
        schemas(client.clone(), Arc::clone(&context), shutdown.clone()),
        auth_strategies::run(client, Arc::clone(&context), shutdown.clone()),
        sweep::run(context, shutdown),
    );
    Ok(())
}

async fn schemas(client: Client, context: Arc<Context>, shutdown: CancellationToken) {
    let resource = ApiResource::erase::<SchemaDefinition>(&());
    let api: Api<DynamicObject> = Api::all_with(client, &resource);
    let concurrency = ControllerConfig::default().concurrency(context.config.concurrency);
    Controller::new_with(api, watcher::Config::default(), resource.clone())
        .with_config(concurrency)
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(
            move |object, context| reconcile::reconcile(object, context, resource.clone()),
            |object, error, context| reconcile::on_error(&object, error, &context),
            context,
        )
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(error = %error, "reconcile loop");
            }
        })
        .await;
}

/// AuthStrategies as a resource of any shape, so that one unreadable object hurts only itself.
pub(crate) fn strategy_resource() -> ApiResource {
    ApiResource::erase::<AuthStrategy>(&())
}
