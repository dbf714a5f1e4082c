//! `PATCH` in its four kinds.

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::change::{
    Written, field_manager, manager_name, settle_namespace, store_change, wipe_system_fields,
};
use super::{RETRIES, create, incoming};
use crate::builtin::convert::present;
use crate::field_error::FieldError;
use crate::http::decode::{self, Decoded};
use crate::http::{Call, respond};
use crate::kind::Behaviour;
use crate::merge::ApplyError;
use crate::schema;
use crate::status::ApiError;
use crate::strategic_merge;

/// More operations than this are refused, as in the real server.
const MAX_JSON_PATCH_OPERATIONS: usize = 10_000;

enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
    Strategic(Value),
    Apply(Value),
}

pub(in crate::http) async fn patch(call: &Call) -> Result<Response, ApiError> {
    let (patch, duplicates) = read(call)?;
    check_options(call, &patch)?;
    let name = call.name()?;
    let kind = &call.endpoint.kind;
    for _ in 0..RETRIES {
        let Some(live) = call.core.store.get(&call.key(name)) else {
            let Patch::Apply(config) = &patch else { return Err(call.not_found(name)) };
            if call.subresource.is_some() {
                return Err(call.not_found(name));
            }
            return create_by_apply(call, config).await;
        };
        let shown = present(&call.endpoint, &live.value);
        let (new, warnings) = patched(call, &shown, &patch, &duplicates)?;
        if let Written::Object(value, more) = store_change(call, &live, &shown, new).await? {
            let warnings = [warnings, more].concat();
            return respond::object_with_warnings(call, StatusCode::OK, &value, &warnings);
        }
    }
    Err(ApiError::modified(&kind.group, &kind.plural, name))
}

fn read(call: &Call) -> Result<(Patch, Vec<String>), ApiError> {
    let is_custom = call.endpoint.kind.behaviour == Behaviour::Custom;
    match decode::content_type(&call.parts.headers) {
        "application/json-patch+json" => Ok((Patch::Json(json_patch(call)?), Vec::new())),
        "application/merge-patch+json" => {
            let (value, duplicates) = merge_patch(call)?;
            Ok((Patch::Merge(value), duplicates))
        }
        "application/strategic-merge-patch+json" if !is_custom => {
            let (value, duplicates) = merge_patch(call)?;
            Ok((Patch::Strategic(value), duplicates))
        }
        "application/apply-patch+yaml" => {
            let Decoded { value, duplicates } = decode::decode(&call.body, true)?;
            incoming::check_applied_type(call, &value)?;
            Ok((Patch::Apply(value), duplicates))
        }
        _ => Err(ApiError::unsupported_media_type(if is_custom {
            "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
        } else {
            "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, \
             application/apply-patch+yaml"
        })),
    }
}

fn malformed(why: &str) -> ApiError {
    ApiError::bad_request(format!("error decoding patch: {why}"))
}

fn decoded(call: &Call, expected: &str, fits: fn(&Value) -> bool) -> Result<Decoded, ApiError> {
    let decoded = decode::decode(&call.body, false).map_err(|error| malformed(error.message()))?;
    if fits(&decoded.value) {
        return Ok(decoded);
    }
    let found = match &decoded.value {
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::Null => "null",
    };
    Err(malformed(&format!("json: cannot unmarshal {found} into Go value of type {expected}")))
}

fn merge_patch(call: &Call) -> Result<(Value, Vec<String>), ApiError> {
    let Decoded { value, duplicates } = decoded(call, "map[string]interface {}", Value::is_object)?;
    Ok((value, duplicates))
}

fn json_patch(call: &Call) -> Result<json_patch::Patch, ApiError> {
    let Decoded { value, .. } = decoded(call, "[]handlers.jsonPatchOp", Value::is_array)?;
    let patch: json_patch::Patch = serde_json::from_value(value).map_err(|_| ApiError::unpatchable())?;
    if patch.0.len() > MAX_JSON_PATCH_OPERATIONS {
        return Err(ApiError::too_large(MAX_JSON_PATCH_OPERATIONS));
    }
    Ok(patch)
}

fn check_options(call: &Call, patch: &Patch) -> Result<(), ApiError> {
    let is_apply = matches!(patch, Patch::Apply(_));
    let mut errors = Vec::new();
    if is_apply && call.options.field_manager.as_ref().is_none_or(String::is_empty) {
        errors.push(FieldError::required("fieldManager", "is required for apply patch"));
    }
    if !is_apply && call.options.force.is_some() {
        errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid("meta.k8s.io", "PatchOptions", "", &errors))
}

/// The object after the patch, its fields managed, and warnings.
fn patched(
    call: &Call,
    shown: &Value,
    patch: &Patch,
    duplicates: &[String],
) -> Result<(Value, Vec<String>), ApiError> {
    let mut value = shown.clone();
    match patch {
        Patch::Json(operations) => {
            apply_operations(&mut value, operations).map_err(|_| ApiError::unpatchable())?;
        }
        Patch::Merge(changes) => json_patch::merge(&mut value, changes),
        Patch::Strategic(changes) => {
            strategic_merge::apply(call.endpoint.schema(), &mut value, changes)
                .map_err(|error| ApiError::bad_request(error.to_string()))?;
        }
        Patch::Apply(config) => return Ok((applied(call, Some(shown), config)?, Vec::new())),
    }
    incoming::check_patched_type(call, &value)?;
    let decoded = Decoded { value: value.clone(), duplicates: duplicates.to_vec() };
    let cleaned = incoming::clean(call, decoded).map_err(|error| error.in_patch(&value))?;
    let mut new = cleaned.value;
    let now = crate::clock::now();
    let api_version = call.endpoint.api_version();
    field_manager(call, &api_version, &now).update(Some(shown), &mut new, &manager_name(call));
    Ok((new, cleaned.warnings))
}

/// RFC 6902, but a `test` for null holds where nothing is, as the real API server has it: kube's finalizers begin so.
fn apply_operations(value: &mut Value, operations: &json_patch::Patch) -> Result<(), json_patch::PatchError> {
    for operation in &operations.0 {
        if let json_patch::PatchOperation::Test(test) = operation
            && test.value.is_null()
            && value.pointer(test.path.as_str()).is_none()
        {
            continue;
        }
        // A member that is not there can be replaced, as long as the object is there that would have it.
        if let json_patch::PatchOperation::Replace(replace) = operation
            && value.pointer(replace.path.as_str()).is_none()
            && replace
                .path
                .parent()
                .is_some_and(|parent| value.pointer(parent.as_str()).is_some_and(Value::is_object))
        {
            let add = json_patch::AddOperation { path: replace.path.clone(), value: replace.value.clone() };
            json_patch::patch(value, &[json_patch::PatchOperation::Add(add)])?;
            continue;
        }
        json_patch::patch(value, std::slice::from_ref(operation))?;
    }
    Ok(())
}

fn applied(call: &Call, live: Option<&Value>, config: &Value) -> Result<Value, ApiError> {
    let now = crate::clock::now();
    let api_version = call.endpoint.api_version();
    let force = call.options.force.unwrap_or(false);
    let result = field_manager(call, &api_version, &now).apply(live, config, &manager_name(call), force);
    let mut value = result.map_err(|error| match error {
        ApplyError::Conflicts { message, causes } => ApiError::apply_conflict(message, &causes),
        ApplyError::ManagedFieldsSet => ApiError::bad_request("metadata.managedFields must be nil"),
        ApplyError::UnreadableManagers => {
            ApiError::unexplained("failed to decode managed fields: they are not well formed")
        }
        ApplyError::Untyped(fault) => {
            let text = |field: &str| config["metadata"][field].as_str().unwrap_or_default();
            let group = &call.endpoint.kind.group;
            let version = &call.endpoint.version().name;
            ApiError::unexplained(format!(
                "failed to create typed patch object ({}/{}; {group}/{version}, Kind={}): {fault}",
                text("namespace"),
                text("name"),
                call.endpoint.kind.kind
            ))
        }
    })?;
    schema::fill_defaults(call.endpoint.schema(), &mut value);
    call.endpoint.kind.behaviour.fill_defaults(&mut value);
    Ok(value)
}

async fn create_by_apply(call: &Call, config: &Value) -> Result<Response, ApiError> {
    let kind = &call.endpoint.kind;
    let name = call.name()?;
    let text = |field: &str| config["metadata"][field].as_str().unwrap_or_default();
    if text("name").is_empty() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )));
    }
    if text("name") != name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({name})",
            text("name")
        )));
    }
    if !text("uid").is_empty() {
        let error = FieldError::invalid("metadata.uid", json!(text("uid")), "field is immutable");
        return Err(ApiError::invalid(&kind.group, &kind.kind, name, &[error.clone(), error]));
    }
    let mut value = applied(call, None, config)?;
    wipe_system_fields(&mut value);
    settle_namespace(call, &mut value)?;
    let value = create::insert_managed(call, value, &crate::clock::now()).await?;
    respond::object(call, StatusCode::CREATED, &value)
}
