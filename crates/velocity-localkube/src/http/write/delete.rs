//! `DELETE` of one object and of a collection.

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::RETRIES;
use crate::builtin::convert::present;
use crate::http::{Call, decode, respond};
use crate::kind::Behaviour;
use crate::selector::Selector;
use crate::server::FIRST_NAMESPACES;
use crate::status::ApiError;
use crate::store::{Expected, Object, Write, WriteError};

/// The finalizers by which propagation is asked for.
pub(crate) const ORPHAN: &str = "orphan";
pub(crate) const FOREGROUND: &str = "foregroundDeletion";

/// DeleteOptions, from the body and the query.
#[derive(Debug, Default)]
struct DeleteOptions {
    dry_run: bool,
    propagation: String,
    uid: Option<String>,
    resource_version: Option<String>,
}

impl DeleteOptions {
    fn read(call: &Call) -> Result<Self, ApiError> {
        let mut options = Self {
            dry_run: call.options.dry_run,
            propagation: call.options.propagation.clone().unwrap_or_default(),
            ..Self::default()
        };
        if !call.body.is_empty() {
            let is_yaml = decode::content_type(&call.parts.headers) == "application/yaml";
            let body = decode::decode(&call.body, is_yaml).map_err(|error| {
                ApiError::bad_request(format!(
                    "couldn't get version/kind; json parse error: {}",
                    error.message()
                ))
            })?;
            let body = body.value;
            let text = |value: &Value| value.as_str().map(str::to_owned);
            if body["orphanDependents"].is_boolean() && body["propagationPolicy"].is_string() {
                let error = crate::field_error::FieldError::invalid(
                    "propagationPolicy",
                    body["propagationPolicy"].clone(),
                    "orphanDependents and deletionPropagation cannot be both set",
                );
                return Err(ApiError::invalid("meta.k8s.io", "DeleteOptions", "", &[error]));
            }
            if let Some(policy) = text(&body["propagationPolicy"]) {
                options.propagation = policy;
            } else if body["orphanDependents"] == true {
                "Orphan".clone_into(&mut options.propagation);
            }
            options.dry_run |= body["dryRun"].as_array().is_some_and(|list| list.contains(&json!("All")));
            options.uid = text(&body["preconditions"]["uid"]);
            options.resource_version = text(&body["preconditions"]["resourceVersion"]);
        }
        match options.propagation.as_str() {
            "" | "Background" | "Foreground" | "Orphan" => Ok(options),
            other => Err(ApiError::invalid(
                "meta.k8s.io",
                "DeleteOptions",
                "",
                &[crate::field_error::FieldError::not_supported(
                    "propagationPolicy",
                    json!(other),
                    &["Foreground", "Background", "Orphan", "nil"].map(str::to_owned),
                )],
            )),
        }
    }
}

/// What is left of an object after its deletion.
enum Deleted {
    Gone(Value),
    /// Finalizers, or a namespace's contents, still hold it.
    Pending(Value),
}

pub(in crate::http) async fn delete(call: &Call) -> Result<Response, ApiError> {
    if call.subresource.is_some() {
        let kind = &call.endpoint.kind;
        return Err(match kind.behaviour {
            Behaviour::Custom => ApiError::not_supported(&kind.group, &kind.plural, "delete"),
            _ => ApiError::method_not_allowed(),
        });
    }
    let options = DeleteOptions::read(call)?;
    let name = call.name()?;
    match delete_one(call, name, &options).await? {
        Deleted::Pending(object) => respond::object(call, StatusCode::OK, &object),
        Deleted::Gone(object) => {
            let mut details = json!({
                "name": name, "kind": call.endpoint.kind.plural, "uid": object["metadata"]["uid"],
            });
            if !call.endpoint.kind.group.is_empty() {
                details["group"] = json!(call.endpoint.kind.group);
            }
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
            });
            Ok(respond::json_document(StatusCode::OK, status.to_string()))
        }
    }
}

pub(in crate::http) async fn delete_collection(call: &Call) -> Result<Response, ApiError> {
    let options = DeleteOptions::read(call)?;
    if call.endpoint.kind.behaviour == Behaviour::Namespace {
        return Err(ApiError::method_not_allowed());
    }
    let selector =
        Selector::parse(&call.options.label_selector, &call.options.field_selector, &call.endpoint)?;
    let page =
        call.core.store.read(|state| state.list(&call.endpoint.kind.table, call.namespace.as_deref(), None));
    let mut items = Vec::new();
    for object in page.objects.iter().filter(|object| selector.matches(&object.value)) {
        let name = object.value["metadata"]["name"].as_str().unwrap_or_default();
        match delete_one(call, name, &options).await {
            Ok(Deleted::Gone(object) | Deleted::Pending(object)) => items.push(object),
            // Somebody else was faster.
            Err(error) if error.code == StatusCode::NOT_FOUND => {}
            Err(error) => return Err(error),
        }
    }
    let revision = call.core.store.read(crate::store::State::revision);
    respond::list(call, items, &respond::list_metadata(&call.endpoint, revision))
}

async fn delete_one(call: &Call, name: &str, options: &DeleteOptions) -> Result<Deleted, ApiError> {
    let kind = &call.endpoint.kind;
    if kind.behaviour == Behaviour::Namespace && FIRST_NAMESPACES.contains(&name) {
        return Err(ApiError::forbidden("", "namespaces", name, "this namespace may not be deleted"));
    }
    for _ in 0..RETRIES {
        let live = call.core.store.get(&call.key(name)).ok_or_else(|| call.not_found(name))?;
        check_preconditions(call, name, &live, options)?;
        let last = present(&call.endpoint, &live.value);
        let held = held(kind.behaviour, &live.value, &options.propagation);
        let is_pending = held.is_some() || is_deleting(&live.value);
        if options.dry_run || (held.is_none() && is_pending) {
            return Ok(if is_pending { Deleted::Pending(last) } else { Deleted::Gone(last) });
        }
        let write = Write { key: call.key(name), expected: Expected::Revision(live.revision), value: held };
        match call.core.store.write(write).await {
            Ok(object) if is_pending => return Ok(Deleted::Pending(present(&call.endpoint, &object.value))),
            Ok(_) => return Ok(Deleted::Gone(last)),
            Err(WriteError::Disk(error)) => return Err(ApiError::internal(error)),
            Err(_) => {}
        }
    }
    Err(ApiError::modified(&kind.group, &kind.plural, name))
}

fn check_preconditions(
    call: &Call,
    name: &str,
    live: &Arc<Object>,
    options: &DeleteOptions,
) -> Result<(), ApiError> {
    let kind = &call.endpoint.kind;
    let text = |field: &str| live.value["metadata"][field].as_str().unwrap_or_default().to_owned();
    let checks = [
        (&options.uid, "UID", text("uid"), "deleted and then recreated"),
        (&options.resource_version, "ResourceVersion", text("resourceVersion"), "modified"),
    ];
    for (wanted, what, found, happened) in checks {
        if let Some(wanted) = wanted.as_ref().filter(|wanted| **wanted != found) {
            let why = format!(
                "the {what} in the precondition ({wanted}) does not match the {what} in record ({found}). The object \
                 might have been {happened}"
            );
            // The real server names the kind here, not the resource.
            return Err(ApiError::conflict(&kind.group, &kind.kind, name, &why));
        }
    }
    Ok(())
}

fn is_deleting(value: &Value) -> bool {
    !value["metadata"]["deletionTimestamp"].is_null()
}

/// The object as it waits for its finalizers, if it has to and does not already.
fn held(behaviour: Behaviour, live: &Value, propagation: &str) -> Option<Value> {
    let mut value = live.clone();
    let mut finalizers: Vec<Value> = live["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let wanted = match propagation {
        "Orphan" => Some(ORPHAN),
        "Foreground" => Some(FOREGROUND),
        "Background" => None,
        // Without a policy, what was asked for earlier counts.
        _ => [ORPHAN, FOREGROUND].into_iter().find(|one| finalizers.iter().any(|finalizer| finalizer == one)),
    };
    finalizers.retain(|finalizer| finalizer != ORPHAN && finalizer != FOREGROUND);
    finalizers.extend(wanted.map(|name| json!(name)));
    if finalizers.is_empty() && behaviour != Behaviour::Namespace {
        return None;
    }
    if !finalizers.is_empty() {
        value["metadata"]["finalizers"] = json!(finalizers);
    }
    if !is_deleting(live) {
        value["metadata"]["deletionTimestamp"] = json!(crate::clock::now());
        value["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        if let Some(generation) = live["metadata"]["generation"].as_i64() {
            value["metadata"]["generation"] = json!(generation + 1);
        }
        if behaviour == Behaviour::Namespace {
            value["status"]["phase"] = json!("Terminating");
        }
    }
    (value != *live).then_some(value)
}
