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

use crate::conditions::{self, Basis};
use crate::context::Context;
use crate::outcome::Outcome;
use crate::{events, observe, publish, validate};

/// Keeps the object until its claim is released.
const FINALIZER: &str = "velocity.sh/operator";
/// How soon a schema whose references' targets are missing is looked at again; the target's own provisioning takes
/// about a tenth of a second.
const WAITING: Duration = Duration::from_millis(500);

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
            finalizer::Event::Cleanup(object) => release(&object, &context, &resource).await,
        }
    })
    .await
    .map_err(|error| Error::Finalizer(Box::new(error)))
}

async fn provision(
    object: &DynamicObject,
    context: &Context,
    api: &Api<DynamicObject>,
    resource: &ApiResource,
) -> Result<Action, Error> {
    let before = publish::previous(object);
    let now = jiff::Timestamp::now();
    let mut basis = Basis {
        previous: &before,
        generation: object.metadata.generation,
        now: &jiff::fmt::temporal::DateTimePrinter::new().precision(Some(0)).timestamp_to_string(&now),
        provisioned: before.spec_hash.clone(),
    };
    let (outcome, provisioned) = match outcome(object, context, now).await {
        Ok(reached) => reached,
        Err(error) => {
            publish::status(api, object, &conditions::unavailable(&basis, &error.to_string())).await?;
            return Err(error);
        }
    };
    basis.provisioned = provisioned;
    let after = conditions::status(&basis, &outcome);
    publish::status(api, object, &after).await?;
    events::tell(context, resource, object, &outcome, &before, &after).await;
    Ok(match outcome {
        Outcome::Waiting { .. } => Action::requeue(WAITING),
        Outcome::Invalid(_) => Action::await_change(),
        _ => Action::requeue(context.config.resync),
    })
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
    if let Some(why) = observe::hold_claim(client, schema.path(), namespace, name).await? {
        return Ok((Outcome::Claimed(why), None));
    }
    if !lock(client, &schema).await? {
        return Err(Error::Busy);
    }
    let reached = change(client, &spec, schema, namespace, now).await;
    unlock(client).await?;
    let outcome = reached?;
    let path = match &outcome {
        Outcome::Ready { schema, .. } => {
            let hash = schema.hash().to_string();
            return Ok((outcome, Some(hash)));
        }
        Outcome::Waiting { schema, .. }
        | Outcome::Blocked { schema, .. }
        | Outcome::Failed { schema, .. } => schema.path().to_string(),
        Outcome::Invalid(_) | Outcome::Claimed(_) => return Ok((outcome, served)),
    };
    let provisioned = platform::provisioned_by_path(client, &path).await?.map(|spec| spec.spec_hash);
    Ok((outcome, provisioned))
}

async fn change(
    client: &mut Client,
    spec: &SchemaDefinitionSpec,
    schema: Schema,
    namespace: &str,
    now: jiff::Timestamp,
) -> Result<Outcome, Error> {
    let live = observe::live(client, &schema).await?;
    let plan = ddl::plan(&schema, &live, month(now));
    let schema = Box::new(schema);
    if !plan.blocked.is_empty() {
        return Ok(Outcome::Blocked { schema, plan });
    }
    match velocity_store::ddl::apply(client, &plan).await {
        Ok(()) => {}
        Err(error) if error.is_transient() => return Err(error.into()),
        Err(error) => return Ok(Outcome::Failed { schema, reason: error.to_string() }),
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
    platform::record_provisioned(client, &record).await?;
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
async fn release(object: &DynamicObject, context: &Context, resource: &ApiResource) -> Result<Action, Error> {
    let mut connection = context.owner.connection().await?;
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let policy = object.metadata.annotations.as_ref().and_then(|all| all.get("velocity.sh/deletion-policy"));
    if policy.is_some_and(|policy| policy != "retain") {
        let text = "only the deletion policy `retain` is supported yet; the table and its history stay";
        events::publish(context, resource, object, EventType::Warning, "DataRetained", text).await;
    }
    platform::release(connection.client(), namespace, name).await?;
    Ok(Action::await_change())
}

/// What is logged and how soon it is tried again.
pub(crate) fn on_error(object: &DynamicObject, error: &Error) -> Action {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    tracing::warn!(schema.name = name, schema.namespace = namespace, error = %error, "a SchemaDefinition could not be reconciled; trying again");
    Action::requeue(Duration::from_secs(2))
}
