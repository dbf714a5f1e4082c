//! One SchemaDefinition: observe, validate, plan, apply, publish.

use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use kube::runtime::finalizer::{self, finalizer};
use tokio_postgres::Client;
use velocity_schema::Schema;
use velocity_schema::spec::SchemaDefinitionSpec;
use velocity_sql::ddl;
use velocity_store::ddl::{ApplyError, CatalogError};
use velocity_store::owner::OwnerError;
use velocity_store::platform::{self, ProvisionedSpec};

use crate::conditions::{self, Basis, reason};
use crate::context::Context;
use crate::outcome::Outcome;
use crate::retries::LONGEST;
use crate::{events, observe, publish, validate};

/// Keeps the object until its claim is released.
const FINALIZER: &str = "velocity.sh/operator";
/// How long a schema whose references' targets are missing waits at most before it is looked at again: one look costs a few
/// milliseconds.
const WAITING_MAX: Duration = Duration::from_secs(5);
/// How long the database may take to answer what takes milliseconds. DDL may take longer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// What kept a reconcile from an outcome; it is tried again with growing pauses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the database is not available: {0}")]
    Owner(#[from] OwnerError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("the platform's tables could not be read or written: {0}")]
    Platform(#[from] tokio_postgres::Error),
    #[error("the database has not answered in {} seconds", ANSWER_MAX.as_secs())]
    Silent,
    #[error("another operator is working on this schema")]
    Busy,
    #[error("the Kubernetes API refused: {0}")]
    Kubernetes(#[from] kube::Error),
    #[error("the finalizer could not be handled: {0}")]
    Finalizer(#[source] Box<finalizer::Error<Error>>),
}

/// Reconciles an object that exists or is being deleted.
pub(crate) async fn reconcile(
    object: Arc<DynamicObject>,
    context: Arc<Context>,
    resource: ApiResource,
) -> Result<Action, Error> {
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &namespace, &resource);
    finalizer(&api, FINALIZER, object, |event| async {
        match event {
            finalizer::Event::Apply(object) => provision(&object, &context, &api, &resource).await,
            finalizer::Event::Cleanup(object) => release(&object, &context, &api, &resource).await,
        }
    })
    .await
    .map_err(|error| match error {
        finalizer::Error::ApplyFailed(error) | finalizer::Error::CleanupFailed(error) => error,
        error => Error::Finalizer(Box::new(error)),
    })
}

async fn provision(
    object: &DynamicObject,
    context: &Context,
    api: &Api<DynamicObject>,
    resource: &ApiResource,
) -> Result<Action, Error> {
    let before = publish::previous(object);
    let now = jiff::Timestamp::now();
    let text = shown(now);
    let mut basis = Basis {
        previous: &before,
        generation: object.metadata.generation,
        now: &text,
        provisioned: before.spec_hash.clone(),
    };
    let (outcome, provisioned) = match outcome(object, context, now).await {
        Ok(reached) => reached,
        Err(error) => {
            if let Some(reason) = error.reason() {
                publish::status(api, object, &conditions::held_up(&basis, reason, &error.to_string()))
                    .await?;
            }
            return Err(error);
        }
    };
    basis.provisioned = provisioned;
    let after = conditions::status(&basis, &outcome);
    events::tell(context, resource, object, &outcome, &before, &after).await;
    publish::status(api, object, &after).await?;
    Ok(match outcome {
        Outcome::Waiting { .. } => Action::requeue(context.retries.next(object, WAITING_MAX)),
        // Others may let go of a claim, and people mend a database.
        Outcome::Claimed(_) | Outcome::Failed { .. } => {
            Action::requeue(context.retries.next(object, LONGEST))
        }
        Outcome::Invalid(_) => {
            context.retries.forget(object);
            Action::await_change()
        }
        Outcome::Ready { .. } | Outcome::Blocked { .. } => {
            context.retries.forget(object);
            Action::requeue(context.config.resync)
        }
    })
}

/// RFC 3339 to the second, as Kubernetes has it.
fn shown(now: jiff::Timestamp) -> String {
    jiff::fmt::temporal::DateTimePrinter::new().precision(Some(0)).timestamp_to_string(&now)
}

/// Waits for what takes the database milliseconds.
async fn answer<T, E: Into<Error>>(work: impl Future<Output = Result<T, E>>) -> Result<T, Error> {
    tokio::time::timeout(ANSWER_MAX, work).await.map_err(|_| Error::Silent)?.map_err(Into::into)
}

/// What became of the spec, and the hash of what is provisioned now.
async fn outcome(
    object: &DynamicObject,
    context: &Context,
    now: jiff::Timestamp,
) -> Result<(Outcome, Option<String>), Error> {
    let served = publish::previous(object).spec_hash;
    let (spec, schema) = match validate::schema(object) {
        Ok(valid) => valid,
        Err(violations) => return Ok((Outcome::Invalid(violations), served)),
    };
    let mut connection = context.owner.connection().await?;
    let client = connection.client();
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    if let Some(why) = answer(observe::hold_claim(client, schema.path(), namespace, name)).await? {
        return Ok((Outcome::Claimed(why), None));
    }
    if !answer(lock(client, &schema)).await? {
        return Err(Error::Busy);
    }
    let path = schema.path().to_string();
    let reached = change(client, &spec, schema, namespace, now).await;
    let unlocked = answer(unlock(client)).await;
    let outcome = reached?;
    unlocked?;
    if let Outcome::Ready { schema, .. } = &outcome {
        let hash = schema.hash().to_string();
        return Ok((outcome, Some(hash)));
    }
    let provisioned = answer(platform::provisioned_by_path(client, &path)).await?;
    Ok((outcome, provisioned.map(|spec| spec.spec_hash)))
}

async fn change(
    client: &mut Client,
    spec: &SchemaDefinitionSpec,
    schema: Schema,
    namespace: &str,
    now: jiff::Timestamp,
) -> Result<Outcome, Error> {
    let live = answer(observe::live(client, &schema)).await?;
    for (year, month) in &live.default_months {
        tracing::debug!(schema.path = %schema.path(), "events of {year:04}-{month:02} are in the default partition and stay there");
    }
    let plan = ddl::plan(&schema, &live, month(now));
    let schema = Box::new(schema);
    // Of a plan that is blocked only upkeep is left.
    match velocity_store::ddl::apply(client, &plan).await {
        Ok(()) => {}
        Err(error) if error.is_transient() => return Err(error.into()),
        Err(error) => return Ok(Outcome::Failed { schema, reason: error.to_string() }),
    }
    if !plan.blocked.is_empty() {
        return Ok(Outcome::Blocked { schema, plan });
    }
    if !plan.waiting.is_empty() {
        return Ok(Outcome::Waiting { schema, waiting: plan.waiting.clone(), applied: plan });
    }
    let record = ProvisionedSpec {
        path: schema.path().to_string(),
        namespace: namespace.to_owned(),
        spec: serde_json::to_value(spec).unwrap_or_default(),
        spec_hash: schema.hash().to_string(),
    };
    answer(platform::record_provisioned(client, &record)).await?;
    Ok(Outcome::Ready { schema, applied: plan })
}

fn month(now: jiff::Timestamp) -> (i32, u32) {
    let date = jiff::tz::Offset::UTC.to_datetime(now).date();
    (i32::from(date.year()), u32::try_from(date.month()).unwrap_or(1))
}

/// One operator at a time works on a schema. Held by the session: a killed operator lets go of it.
async fn lock(client: &Client, schema: &Schema) -> Result<bool, tokio_postgres::Error> {
    let key = format!("velocity-schema:{}", schema.path());
    Ok(client.query_one("select pg_try_advisory_lock(hashtextextended($1, 0))", &[&key]).await?.get(0))
}

async fn unlock(client: &Client) -> Result<(), tokio_postgres::Error> {
    client.batch_execute("select pg_advisory_unlock_all()").await
}

/// The object goes: its claim is released, its data stays.
async fn release(
    object: &DynamicObject,
    context: &Context,
    api: &Api<DynamicObject>,
    resource: &ApiResource,
) -> Result<Action, Error> {
    if let Err(error) = let_go(object, context).await {
        let before = publish::previous(object);
        let now = shown(jiff::Timestamp::now());
        let generation = object.metadata.generation;
        let provisioned = before.spec_hash.clone();
        let basis = Basis { previous: &before, generation, now: &now, provisioned };
        publish::status(api, object, &conditions::terminating(&basis, &error.to_string())).await?;
        return Err(error);
    }
    let policy = object.metadata.annotations.as_ref().and_then(|all| all.get("velocity.sh/deletion-policy"));
    if policy.is_some_and(|policy| policy != "retain") {
        let text = "only the deletion policy `retain` is supported yet; the table and its history stay";
        events::publish(context, resource, object, EventType::Warning, "DataRetained", text).await;
    }
    context.retries.forget(object);
    Ok(Action::await_change())
}

async fn let_go(object: &DynamicObject, context: &Context) -> Result<(), Error> {
    let mut connection = context.owner.connection().await?;
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    answer(platform::release(connection.client(), namespace, name)).await
}

impl Error {
    /// The reason for the status; `None` where the status is not ours to write, or cannot be written.
    fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Apply(ApplyError::LockNotAvailable { .. }) => Some(reason::WAITING_FOR_LOCK),
            Self::Owner(_) | Self::Catalog(_) | Self::Apply(_) | Self::Platform(_) | Self::Silent => {
                Some(reason::DATABASE_UNAVAILABLE)
            }
            Self::Busy | Self::Kubernetes(_) | Self::Finalizer(_) => None,
        }
    }

    /// Whether it only says that the object has changed, or gone, in the meantime.
    fn is_overtaken(&self) -> bool {
        let error = match self {
            Self::Kubernetes(error) => error,
            Self::Finalizer(error) => match &**error {
                finalizer::Error::AddFinalizer(error) | finalizer::Error::RemoveFinalizer(error) => error,
                _ => return false,
            },
            _ => return false,
        };
        matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409 | 422))
    }
}

/// What is logged and how soon it is tried again.
pub(crate) fn on_error(object: &DynamicObject, error: &Error, context: &Context) -> Action {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let pause = context.retries.next(object, LONGEST);
    if error.is_overtaken() || matches!(error, Error::Busy) {
        tracing::debug!(schema.name = name, schema.namespace = namespace, error = %error, "looking at a SchemaDefinition again");
    } else {
        tracing::warn!(schema.name = name, schema.namespace = namespace, error = %error, retry_ms = pause.as_millis(), "a SchemaDefinition could not be reconciled; trying again");
    }
    Action::requeue(pause)
}
