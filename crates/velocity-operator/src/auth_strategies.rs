//! AuthStrategies: says in their status whether they can be used, and why not.

use std::sync::Arc;

use futures::StreamExt;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::runtime::controller::{Action, Controller};
use kube::{Api, Client};
use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;
use velocity_contract::auth_strategy::AuthStrategySpec;
use velocity_contract::status::{AuthStrategyStatus, Condition, ConditionStatus, condition, set_condition};

use crate::context::{Context, MANAGER};
use crate::controller::{changes, strategy_resource};
use crate::retries::LONGEST;

/// Runs until `shutdown`.
pub(crate) async fn run(client: Client, context: Arc<Context>, shutdown: CancellationToken) {
    let resource = strategy_resource();
    let api: Api<DynamicObject> = Api::all_with(client, &resource);
    let (reader, changes) = changes(api, resource.clone());
    Controller::for_stream_with(changes, reader, resource)
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(
            reconcile,
            |object, error, context: Arc<Context>| {
                tracing::warn!(error = %error, "an AuthStrategy's status could not be written; trying again");
                Action::requeue(context.retries.next(&object, LONGEST))
            },
            context,
        )
        .for_each(|_| async {})
        .await;
}

async fn reconcile(object: Arc<DynamicObject>, context: Arc<Context>) -> Result<Action, kube::Error> {
    let before: AuthStrategyStatus = object
        .data
        .get("status")
        .and_then(|status| serde_json::from_value(status.clone()).ok())
        .unwrap_or_default();
    let mut after = before.clone();
    after.observed_generation = object.metadata.generation;
    let (ready, reason, message) = verdict(object.data.get("spec").unwrap_or(&Json::Null));
    set_condition(
        &mut after.conditions,
        Condition {
            kind: condition::READY.to_owned(),
            status: if ready { ConditionStatus::True } else { ConditionStatus::False },
            reason: reason.to_owned(),
            message,
            last_transition_time: jiff::fmt::temporal::DateTimePrinter::new()
                .precision(Some(0))
                .timestamp_to_string(&jiff::Timestamp::now()),
            observed_generation: object.metadata.generation,
        },
    );
    if after != before {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let api: Api<DynamicObject> =
            Api::namespaced_with(context.client.clone(), namespace, &strategy_resource());
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        let name = object.metadata.name.as_deref().unwrap_or_default();
        api.patch_status(name, &params, &Patch::Merge(&json!({ "status": after }))).await?;
    }
    context.retries.forget(&object);
    Ok(Action::await_change())
}

fn verdict(spec: &Json) -> (bool, &'static str, String) {
    let spec: AuthStrategySpec = match serde_json::from_value(spec.clone()) {
        Ok(spec) => spec,
        Err(error) => return (false, "InvalidSpec", format!("spec: {error}")),
    };
    match velocity_access::AuthStrategy::parse(&spec) {
        Ok(_) => (true, "Accepted", "tokens are checked against it".to_owned()),
        Err(violations) => (false, "InvalidSpec", violations.to_string()),
    }
}
