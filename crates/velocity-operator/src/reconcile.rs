//! One SchemaDefinition: validate, do in the database what is quick and have done what is not, publish.

use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use velocity_contract::status::SchemaDefinitionStatus;

use crate::conditions::{self, Basis};
use crate::context::Context;
use crate::error::Error;
use crate::jobs::Found;
use crate::outcome::{Missing, Outcome, Reached};
use crate::requests::purpose;
use crate::retries::LONGEST;
use crate::work::{End, Lane, Order, work};
use crate::{deletion, events, finalizers, publish, validate};

/// How long a schema whose references' targets are missing waits at most before it is looked at again: one look costs a few
/// milliseconds.
const WAITING_MAX: Duration = Duration::from_secs(5);
/// Spreads what began at the same time: the longest a regular look is early, as a part of its pause.
const JITTER: f64 = 0.2;

/// Reconciles an object that exists or is being deleted.
pub(crate) async fn reconcile(object: Arc<DynamicObject>, context: Arc<Context>) -> Result<Action, Error> {
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &namespace, &context.resource);
    if object.metadata.deletion_timestamp.is_some() {
        return deletion::reconcile(&object, &context, &api).await;
    }
    let object = finalizers::put_on(&api, object).await?;
    match attempt(&object, &context).await {
        Attempt::Reached(reached) => settle(&object, &context, &api, &reached).await,
        Attempt::Running(reached) => {
            let status = after(&object, &publish::previous(&object), &reached);
            publish::status(&api, &object, &status).await?;
            Ok(Action::await_change())
        }
        Attempt::Elsewhere => Ok(Action::await_change()),
        Attempt::Failed(error) => {
            if error.is_lock() {
                context.slow.add(&object);
            }
            if let Some(reason) = error.reason() {
                let before = publish::previous(&object);
                let now = shown(jiff::Timestamp::now());
                let status = conditions::held_up(&basis(&object, &before, &now), reason, &error.to_string());
                publish::status(&api, &object, &status).await?;
            }
            Err(error)
        }
    }
}

/// What a reconcile finds or does.
enum Attempt {
    Reached(Reached),
    /// A job is at it; what to say of it.
    Running(Reached),
    /// A job is at it, and there is nothing to say yet.
    Elsewhere,
    Failed(Error),
}

async fn attempt(object: &Arc<DynamicObject>, context: &Arc<Context>) -> Attempt {
    match context.jobs.find(object) {
        Found::Outdated => return Attempt::Elsewhere,
        Found::Running(_, steps, _) if steps.is_empty() => return Attempt::Elsewhere,
        Found::Running(schema, steps, stand) => {
            return running(object, Outcome::Running { schema, steps, stand });
        }
        Found::Done(Ok(reached), true) => return Attempt::Reached(reached),
        Found::Done(Err(error), true) if !matches!(error, Error::Outdated) => return Attempt::Failed(error),
        Found::Done(Ok(reached), false) => events::tell_facts(context, object, &reached.facts).await,
        Found::Done(Err(_), _) | Found::Nothing => {}
    }
    let valid = match validate::schema(object, context.default_namespace()) {
        Ok(valid) => valid,
        Err(violations) => {
            let provisioned = publish::previous(object).spec_hash;
            let outcome = Outcome::Invalid(violations);
            return Attempt::Reached(Reached { outcome, provisioned, facts: Vec::new() });
        }
    };
    let order = Order::new(object, valid, &context.config.lease.identity, jiff::Timestamp::now());
    let steps = if context.slow.has(object) {
        Vec::new()
    } else {
        match work(&context.quick, &order, Lane::Quick).await {
            Ok(End::Reached(reached)) => return Attempt::Reached(reached),
            Ok(End::Long(steps)) => {
                context.slow.add(object);
                steps
            }
            Err(error) => return Attempt::Failed(error),
        }
    };
    let schema = Box::new(order.schema.clone());
    let outcome = Outcome::Running { schema: schema.clone(), steps: steps.clone(), stand: <_>::default() };
    hand_over(object, context, order, steps.clone());
    if steps.is_empty() { Attempt::Elsewhere } else { running(object, outcome) }
}

fn running(object: &DynamicObject, outcome: Outcome) -> Attempt {
    let provisioned = publish::previous(object).spec_hash;
    Attempt::Running(Reached { outcome, provisioned, facts: Vec::new() })
}

/// Has a job do it. When that ends, the object is reconciled again, and finds what it came to.
fn hand_over(
    object: &Arc<DynamicObject>,
    context: &Arc<Context>,
    order: Order,
    steps: Vec<velocity_sql::ddl::Step>,
) {
    let pool = context.long.clone();
    context.jobs.start(object, Box::new(order.schema.clone()), steps, |ticket| async move {
        match work(&pool, &order, Lane::Long(&ticket)).await? {
            End::Reached(reached) => Ok(reached),
            End::Long(_) => Err(Error::Outdated), // only the quick lane hands over
        }
    });
}

/// Publishes what was reached, and says when to look again.
async fn settle(
    object: &DynamicObject,
    context: &Context,
    api: &Api<DynamicObject>,
    reached: &Reached,
) -> Result<Action, Error> {
    events::tell_facts(context, object, &reached.facts).await;
    let before = publish::previous(object);
    let after = after(object, &before, reached);
    // Before the status: who sees the one finds the other.
    events::tell(context, object, &reached.outcome, &before, &after).await;
    write(object, api, reached, &after).await?;
    context.slow.forget(object);
    Ok(Action::requeue(match &reached.outcome {
        Outcome::Waiting { .. } => context.retries.next(object, WAITING_MAX),
        // Others may let go of a claim, and people mend a database.
        Outcome::Claimed(_) | Outcome::Failed { .. } => context.retries.next(object, LONGEST),
        Outcome::Blocked { change, .. } if change.missing != Missing::Approval => {
            context.retries.next_from(object, context.config.data_pause, LONGEST)
        }
        Outcome::Invalid(_) | Outcome::Running { .. } => {
            context.retries.forget(object);
            return Ok(Action::await_change());
        }
        Outcome::Ready { .. } | Outcome::Blocked { .. } => {
            context.retries.forget(object);
            context.config.resync.mul_f64(1.0 - JITTER * rand::random::<f64>())
        }
    }))
}

/// Writes the status. What was reached was reached: where the object has a newer status than was seen, and is asked for nothing
/// else, it is written to that one.
async fn write(
    object: &DynamicObject,
    api: &Api<DynamicObject>,
    reached: &Reached,
    status: &SchemaDefinitionStatus,
) -> Result<(), Error> {
    let conflict = match publish::status(api, object, status).await {
        Err(kube::Error::Api(refused)) if refused.code == 409 => refused,
        other => return Ok(other?),
    };
    let fresh = api.get(object.metadata.name.as_deref().unwrap_or_default()).await?;
    let same = fresh.metadata.uid == object.metadata.uid && purpose(&fresh) == purpose(object);
    if !same {
        return Err(kube::Error::Api(conflict).into());
    }
    let status = after(&fresh, &publish::previous(&fresh), reached);
    publish::status(api, &fresh, &status).await?;
    Ok(())
}

/// The status once that was reached.
fn after(
    object: &DynamicObject,
    before: &SchemaDefinitionStatus,
    reached: &Reached,
) -> SchemaDefinitionStatus {
    conditions::status(&basis(object, before, &shown(jiff::Timestamp::now())), reached)
}

/// What a status of the object is computed from.
pub(crate) fn basis<'a>(
    object: &DynamicObject,
    previous: &'a SchemaDefinitionStatus,
    now: &'a str,
) -> Basis<'a> {
    Basis { previous, generation: object.metadata.generation, now }
}

/// RFC 3339 to the second, as Kubernetes has it.
pub(crate) fn shown(now: jiff::Timestamp) -> String {
    jiff::fmt::temporal::DateTimePrinter::new().precision(Some(0)).timestamp_to_string(&now)
}

/// What is logged and how soon it is tried again.
pub(crate) fn on_error(object: &DynamicObject, error: &Error, context: &Context) -> Action {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let pause = context.retries.next(object, LONGEST);
    if error.is_overtaken() {
        tracing::debug!(schema.name = name, schema.namespace = namespace, error = %error, "looking at a SchemaDefinition again");
    } else {
        tracing::warn!(schema.name = name, schema.namespace = namespace, error = %error, retry_ms = pause.as_millis(), "a SchemaDefinition could not be reconciled; trying again");
    }
    Action::requeue(pause)
}
