//! Writes the status, only when it changed.

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use velocity_contract::status::SchemaDefinitionStatus;

use crate::context::MANAGER;

/// The status that the object carries; a status of another shape counts as none.
pub(crate) fn previous(object: &DynamicObject) -> SchemaDefinitionStatus {
    status_of(object)
}

/// The same for any kind.
pub(crate) fn status_of<S: DeserializeOwned + Default>(object: &DynamicObject) -> S {
    object
        .data
        .get("status")
        .and_then(|status| serde_json::from_value(status.clone()).ok())
        .unwrap_or_default()
}

/// Writes `wanted` where it differs from what the object carries.
pub(crate) async fn status(
    api: &Api<DynamicObject>,
    object: &DynamicObject,
    wanted: &SchemaDefinitionStatus,
) -> Result<(), kube::Error> {
    if previous(object) == *wanted && object.data.get("status").is_some() {
        return Ok(());
    }
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let mut status = json!(wanted);
    // A merge patch leaves out what it does not name: what is gone has to be named as null.
    for key in ["planHash", "specHash", "table", "endpoint", "pendingOperations"] {
        if status.get(key).is_none() {
            status[key] = if key == "pendingOperations" { json!([]) } else { json!(null) };
        }
    }
    // With the version that the status was computed from: on an object that has changed since, it would undo what others
    // said, and the reconcile is run again.
    let version = object.metadata.resource_version.as_deref();
    let patch = json!({ "metadata": { "resourceVersion": version }, "status": status });
    api.patch_status(
        name,
        &PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() },
        &Patch::Merge(&patch),
    )
    .await
    .map(|_| ())
}

/// Writes a status that never leaves out what an earlier one had.
pub(crate) async fn merge_status(
    api: &Api<DynamicObject>,
    object: &DynamicObject,
    wanted: &impl Serialize,
) -> Result<(), kube::Error> {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    // What is gone since is of another object, whose status this is not.
    let patch = json!({ "metadata": { "uid": object.metadata.uid }, "status": wanted });
    let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    match api.patch_status(name, &params, &Patch::Merge(&patch)).await {
        Err(kube::Error::Api(refused)) if refused.code == 404 => Ok(()),
        other => other.map(|_| ()),
    }
}
