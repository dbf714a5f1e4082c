//! Leading, and what the leader does: one controller each for SchemaDefinitions, AuthStrategies and
//! RoleBindings, and the sweep.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc;
use futures::{Stream, StreamExt};
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::controller::{Config as ControllerConfig, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;
use velocity_contract::AuthStrategy;
use velocity_store::owner::OwnerError;
use velocity_store::platform::{MigrateError, migrate};

use crate::config::Config;
use crate::context::Context;
use crate::jobs::Jobs;
use crate::occasions::Occasions;
use crate::session::Session;
use crate::{auth_strategies, lease, reconcile, role_bindings, sweep};

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

/// How soon a database that is away is asked for again.
const DATABASE_RETRY: Duration = Duration::from_secs(1);

impl OperatorError {
    /// Whether the same may work later: the database is away, or not quite there yet.
    fn is_transient(&self) -> bool {
        match self {
            Self::Owner(error) => matches!(error, OwnerError::Unavailable(_)),
            Self::Migrate(MigrateError::Postgres(error)) => match error.code() {
                Some(code) => ["08", "53", "57"].iter().any(|class| code.code().starts_with(class)),
                None => true,
            },
            Self::Migrate(_) => false,
        }
    }
}

/// Waits for its turn to lead, brings the platform's tables up to date, and works until `shutdown`, or until it leads no more:
/// then it waits again. At `shutdown` what is quick is finished first, what takes long is left where it is, and goes on with
/// whoever leads next.
pub async fn run(
    client: Client,
    database_url: String,
    config: Config,
    shutdown: CancellationToken,
) -> Result<(), OperatorError> {
    while let Some(mut held) = lease::acquire(&client, &config.lease, &shutdown).await {
        let led = tokio::select! {
            led = lead(&client, &database_url, &config, &shutdown) => Some(led),
            () = held.keep() => None, // what is under way is dropped, with its sessions, here and now
        };
        if let Some(led) = led {
            held.release().await;
            return led;
        }
    }
    Ok(())
}

async fn lead(
    client: &Client,
    database_url: &str,
    config: &Config,
    shutdown: &CancellationToken,
) -> Result<(), OperatorError> {
    let (poke, pokes) = mpsc::unbounded();
    let context = Arc::new(Context::new(client.clone(), database_url, config.clone(), poke)?);
    let _jobs = EndWithMe(Arc::clone(&context.jobs));
    if !prepare(&context, shutdown).await? {
        return Ok(());
    }
    tokio::join!(
        schemas(Arc::clone(&context), pokes, shutdown.clone()),
        auth_strategies::run(client.clone(), Arc::clone(&context), shutdown.clone()),
        role_bindings::run(client.clone(), Arc::clone(&context), shutdown.clone()),
        sweep::run(context, shutdown.clone()),
    );
    Ok(())
}

/// Brings the platform's tables up to date, as soon as the database is there; whether it did before `shutdown`.
async fn prepare(context: &Context, shutdown: &CancellationToken) -> Result<bool, OperatorError> {
    loop {
        let done = async {
            let mut session = Session::open(&context.quick).await?;
            migrate(session.client()).await?;
            session.finish();
            Ok::<(), OperatorError>(())
        };
        let error = tokio::select! {
            () = shutdown.cancelled() => return Ok(false),
            done = done => match done {
                Ok(()) => return Ok(true),
                Err(error) => error,
            },
        };
        if !error.is_transient() {
            return Err(error);
        }
        tracing::warn!(error = %error, "the database is not available; trying again");
        tokio::select! {
            () = shutdown.cancelled() => return Ok(false),
            () = tokio::time::sleep(DATABASE_RETRY) => {}
        }
    }
}

/// Jobs are tasks of their own, and end with whoever leads.
struct EndWithMe(Arc<Jobs>);

impl Drop for EndWithMe {
    fn drop(&mut self) {
        self.0.abort_all();
    }
}

async fn schemas(
    context: Arc<Context>,
    pokes: mpsc::UnboundedReceiver<ObjectRef<DynamicObject>>,
    shutdown: CancellationToken,
) {
    let resource = context.resource.clone();
    let api: Api<DynamicObject> = Api::all_with(context.client.clone(), &resource);
    let concurrency = ControllerConfig::default().concurrency(context.config.concurrency);
    let (reader, changes) = changes(api, resource.clone());
    Controller::for_stream_with(changes, reader, resource)
        .reconcile_on(pokes)
        .with_config(concurrency)
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(
            reconcile::reconcile,
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

/// The objects whenever there may be something to do for them.
pub(crate) fn changes(
    api: Api<DynamicObject>,
    resource: ApiResource,
) -> (Store<DynamicObject>, impl Stream<Item = watcher::Result<DynamicObject>> + Send + 'static) {
    changes_and(api, resource, |_| {})
}

/// The same; `told` is called with all objects after each such change, and when one is gone.
pub(crate) fn changes_and(
    api: Api<DynamicObject>,
    resource: ApiResource,
    mut told: impl FnMut(&Store<DynamicObject>) + Send + 'static,
) -> (Store<DynamicObject>, impl Stream<Item = watcher::Result<DynamicObject>> + Send + 'static) {
    let writer = reflector::store::Writer::new(resource);
    let reader = writer.as_reader();
    let (mut occasions, all) = (Occasions::default(), reader.clone());
    let changes =
        watcher(api, watcher::Config::default()).default_backoff().reflect(writer).filter_map(move |event| {
            let is_end = matches!(event, Ok(watcher::Event::Delete(_) | watcher::Event::InitDone));
            let occasion = event.map(|event| occasions.find(event)).transpose();
            if is_end || matches!(occasion, Some(Ok(_))) {
                told(&all);
            }
            ready(occasion)
        });
    (reader, changes)
}

/// AuthStrategies as a resource of any shape, so that one unreadable object hurts only itself.
pub(crate) fn strategy_resource() -> ApiResource {
    ApiResource::erase::<AuthStrategy>(&())
}
