//! Kubernetes Events: what the operator did, for `kubectl describe`.

use kube::Resource;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::events::{Event, EventType};
use velocity_contract::status::SchemaDefinitionStatus;

use crate::conditions::{blocked_message, reason};
use crate::context::Context;
use crate::outcome::Outcome;

/// Longest note that the API server takes (events.k8s.io/v1), in bytes.
const NOTE_MAX: usize = 1024;

/// Tells of an outcome that is new: the same state again makes no second Event.
pub(crate) async fn tell(
    context: &Context,
    resource: &ApiResource,
    object: &DynamicObject,
    outcome: &Outcome,
    before: &SchemaDefinitionStatus,
    after: &SchemaDefinitionStatus,
) {
    if let Outcome::Ready { applied, .. } | Outcome::Waiting { applied, .. } = outcome
        && !applied.steps.is_empty()
    {
        let steps: Vec<&str> = applied.steps.iter().map(|step| step.summary.as_str()).collect();
        publish(context, resource, object, EventType::Normal, reason::PROVISIONED, &steps.join("; ")).await;
    }
    let note = match outcome {
        _ if before == after => None,
        Outcome::Ready { .. } => None,
        Outcome::Waiting { .. } => {
            Some((EventType::Normal, reason::WAITING_FOR_REFERENCE, ready_text(after)))
        }
        Outcome::Blocked { plan, .. } => Some((
            EventType::Warning,
            reason::CHANGE_BLOCKED,
            blocked_message(plan, after.spec_hash.is_some()),
        )),
        Outcome::Invalid(violations) => {
            Some((EventType::Warning, reason::INVALID_SPEC, violations.to_string()))
        }
        Outcome::Claimed(why) => Some((EventType::Warning, reason::ALREADY_CLAIMED, why.clone())),
        Outcome::Failed { reason: why, .. } => {
            Some((EventType::Warning, reason::STATEMENT_FAILED, why.clone()))
        }
    };
    if let Some((kind, reason, text)) = note {
        log(object, outcome, reason, &text);
        publish(context, resource, object, kind, reason, &text).await;
    }
}

/// The same in the log. A statement that Postgres refuses for good is for a human to look at; a spec that is refused is its
/// author's.
fn log(object: &DynamicObject, outcome: &Outcome, reason: &str, text: &str) {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    match outcome {
        Outcome::Failed { .. } => {
            tracing::error!(
                schema.name = name,
                schema.namespace = namespace,
                reason,
                error = text,
                "a SchemaDefinition could not be provisioned"
            );
        }
        _ => {
            tracing::info!(
                schema.name = name,
                schema.namespace = namespace,
                reason,
                detail = text,
                "a SchemaDefinition was looked at"
            );
        }
    }
}

fn ready_text(status: &SchemaDefinitionStatus) -> String {
    velocity_contract::status::find_condition(&status.conditions, velocity_contract::status::condition::READY)
        .map(|condition| condition.message.clone())
        .unwrap_or_default()
}

/// Publishes one Event. That it could not be is logged and is no reason to fail a reconcile.
pub(crate) async fn publish(
    context: &Context,
    resource: &ApiResource,
    object: &DynamicObject,
    kind: EventType,
    reason: &str,
    text: &str,
) {
    let event = Event {
        type_: kind,
        reason: reason.to_owned(),
        note: Some(cut(text)),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    if let Err(error) = context.recorder().publish(&event, &object.object_ref(resource)).await {
        tracing::warn!(error = %error, event.reason = reason, "an Event could not be published");
    }
}

fn cut(text: &str) -> String {
    if text.len() <= NOTE_MAX {
        return text.to_owned();
    }
    let mut end = NOTE_MAX - '…'.len_utf8();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}
