//! RoleBindings: says in their status whether they are in force, and until when.
//!
//! Nothing here gives or takes a right: the API reads the bindings itself, and leaves out those that are refused here and
//! those whose time is over.

mod verdict;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::controller::{Action, Config as ControllerConfig, Controller};
use kube::runtime::events::EventType;
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;
use velocity_contract::RoleBinding;
use velocity_contract::status::{BindingPhase, RoleBindingStatus};
use velocity_store::owner::OwnerError;
use velocity_store::platform::domain_of_namespace;

use self::verdict::{Verdict, status, verdict};
use crate::context::Context;
use crate::controller::changes;
use crate::retries::LONGEST;
use crate::session::Session;
use crate::{events, publish};

/// A timer runs at most this long: a laptop that slept does not see its timers, but it does see the clock.
const TIMER_MAX: Duration = Duration::from_hours(1);
/// How long a binding waits at most for the next look whether its namespace has become a domain's: one look is one query.
const DOMAIN_MAX: Duration = Duration::from_secs(5);
/// A timer never ends before the time that it is for.
const TIMER_SLACK: Duration = Duration::from_millis(50);

/// Why a binding's status could not be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Kubernetes(#[from] kube::Error),
    #[error(transparent)]
    Owner(#[from] OwnerError),
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
}

/// Runs until `shutdown`.
pub(crate) async fn run(client: Client, context: Arc<Context>, shutdown: CancellationToken) {
    let resource = resource();
    let api: Api<DynamicObject> = Api::all_with(client, &resource);
    let (reader, changes) = changes(api, resource.clone());
    Controller::for_stream_with(changes, reader, resource)
        .with_config(ControllerConfig::default().concurrency(1))
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(
            reconcile,
            |object, error, context: Arc<Context>| {
                tracing::warn!(error = %error, "a RoleBinding's status could not be told; trying again");
                Action::requeue(context.retries.next(&object, LONGEST))
            },
            context,
        )
        .for_each(|_| async {})
        .await;
}

async fn reconcile(object: Arc<DynamicObject>, context: Arc<Context>) -> Result<Action, Error> {
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let domain = domain(&object, &context).await?;
    let now = Timestamp::now();
    let verdict = verdict(&object, domain.as_deref(), now);
    let before: RoleBindingStatus = publish::status_of(&object);
    let after = status(&before, object.metadata.generation, &verdict, now);
    // Before the status: who sees the one finds the other.
    tell(&context, &object, &before, &after, &verdict).await;
    if before != after {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let api = Api::namespaced_with(context.client.clone(), namespace, &resource());
        publish::merge_status(&api, &object, &after).await?;
    }
    Ok(match verdict {
        Verdict::Ready { until: Some(until) } => {
            context.retries.forget(&object);
            let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            Action::requeue((left + TIMER_SLACK).min(TIMER_MAX))
        }
        // The domain's first schema may come.
        Verdict::NoDomain(_) => Action::requeue(context.retries.next(&object, DOMAIN_MAX)),
        // The domain's last schema may go.
        Verdict::Ready { until: None } => {
            context.retries.forget(&object);
            Action::requeue(TIMER_MAX)
        }
        _ => {
            context.retries.forget(&object);
            Action::await_change()
        }
    })
}

/// The domain that the binding's namespace belongs to.
async fn domain(object: &DynamicObject, context: &Context) -> Result<Option<String>, Error> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let mut session = Session::open(&context.quick).await?;
    let domain = domain_of_namespace(session.client(), namespace).await?;
    session.finish();
    Ok(domain)
}

/// One Event when a binding is refused, and one when its time is over.
async fn tell(
    context: &Context,
    object: &DynamicObject,
    before: &RoleBindingStatus,
    after: &RoleBindingStatus,
    verdict: &Verdict,
) {
    let (reason, text) = (verdict.reason(), verdict.message());
    let is_news = match after.phase {
        Some(BindingPhase::Expired) => before.phase != after.phase,
        Some(BindingPhase::Refused) => before != after,
        _ => {
            context.told.forget(object);
            false
        }
    };
    if is_news && context.told.is_news(object, reason, &text) {
        tracing::info!(
            binding.name = object.metadata.name,
            binding.namespace = object.metadata.namespace,
            reason,
            detail = text,
            "a RoleBinding gives nothing"
        );
        let kind =
            if matches!(verdict, Verdict::Expired { .. }) { EventType::Normal } else { EventType::Warning };
        events::publish_about(context, object, &resource(), kind, reason, &text).await;
    }
}

/// RoleBindings as a resource of any shape, so that one unreadable object hurts only itself.
fn resource() -> ApiResource {
    ApiResource::erase::<RoleBinding>(&())
}
