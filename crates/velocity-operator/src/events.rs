//! Kubernetes Events: what the operator did, for `kubectl describe`.

use kube::Resource;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::events::{Event, EventType};
use velocity_contract::status::{SchemaDefinitionStatus, condition, find_condition};

use crate::conditions::{blocked_message, foreign_message, reason};
use crate::context::Context;
use crate::outcome::{Fact, Outcome};

/// Longest note that the API server takes (events.k8s.io/v1), in bytes.
const NOTE_MAX: usize = 1024;

/// Tells what was done. Before the status, which may meet a conflict: what was done is done.
pub(crate) async fn tell_facts(context: &Context, object: &DynamicObject, facts: &[Fact]) {
    for fact in facts {
        let (kind, reason, note) = match fact {
            Fact::Applied(steps) => (EventType::Normal, reason::PROVISIONED, steps.join("; ")),
            Fact::Repaired(steps) => (
                EventType::Warning,
                reason::DRIFT_REPAIRED,
                format!(
                    "was not as declared (changed by hand, or made by another release), and was repaired: {}",
                    steps.join("; ")
                ),
            ),
            Fact::Restored(what) => (EventType::Normal, reason::RESTORED_FROM_TRASH, what.clone()),
        };
        if matches!(fact, Fact::Repaired(_)) {
            tracing::warn!(
                schema.name = object.metadata.name,
                schema.namespace = object.metadata.namespace,
                steps = note,
                "repaired what was changed by hand"
            );
        }
        publish(context, object, kind, reason, &note).await;
    }
}

/// Tells of an outcome that is new: the same state again makes no second Event.
pub(crate) async fn tell(
    context: &Context,
    object: &DynamicObject,
    outcome: &Outcome,
    before: &SchemaDefinitionStatus,
    after: &SchemaDefinitionStatus,
) {
    if before == after {
        return;
    }
    let note = match outcome {
        Outcome::Ready { foreign, .. } => {
            let message = |status: &SchemaDefinitionStatus| {
                find_condition(&status.conditions, condition::DRIFTED).map(|drifted| drifted.message.clone())
            };
            let news = !foreign.steps.is_empty() && message(before) != message(after);
            news.then(|| (EventType::Warning, reason::FOREIGN_OBJECTS, foreign_message(foreign)))
        }
        Outcome::Running { .. } => None,
        Outcome::Waiting { .. } => {
            Some((EventType::Normal, reason::WAITING_FOR_REFERENCE, ready_text(after)))
        }
        Outcome::Blocked { change, .. } => {
            let reason =
                if change.outdated.is_some() { reason::APPROVAL_OUTDATED } else { reason::CHANGE_BLOCKED };
            Some((EventType::Warning, reason, blocked_message(change, after.spec_hash.is_some())))
        }
        Outcome::Invalid(violations) => {
            Some((EventType::Warning, reason::INVALID_SPEC, violations.to_string()))
        }
        Outcome::Claimed(why) => Some((EventType::Warning, reason::ALREADY_CLAIMED, why.clone())),
        Outcome::Failed { reason: why, .. } => {
            Some((EventType::Warning, reason::STATEMENT_FAILED, why.clone()))
        }
    };
    let Some((kind, reason, text)) = note else {
        if matches!(outcome, Outcome::Ready { foreign, .. } if foreign.steps.is_empty()) {
            context.told.forget(object);
        }
        return;
    };
    if context.told.is_news(object, reason, &text) {
        log(object, outcome, reason, &text);
        publish(context, object, kind, reason, &text).await;
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
    find_condition(&status.conditions, condition::READY)
        .map(|condition| condition.message.clone())
        .unwrap_or_default()
}

/// Publishes one Event. That it could not be is logged and is no reason to fail a reconcile.
pub(crate) async fn publish(
    context: &Context,
    object: &DynamicObject,
    kind: EventType,
    reason: &str,
    text: &str,
) {
    publish_about(context, object, &context.resource, kind, reason, text).await;
}

/// The same about an object of any kind.
pub(crate) async fn publish_about(
    context: &Context,
    object: &DynamicObject,
    resource: &ApiResource,
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
