//! From a wanted object to a stored one: the rules that POST, PUT and PATCH share.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::builtin::convert::{present, stored};
use crate::field_error::{Fault, FieldError};
use crate::http::Call;
use crate::kind::{Behaviour, NAMESPACES};
use crate::merge::{FieldManager, Set, same_but_for_times};
use crate::object_meta;
use crate::schema;
use crate::status::ApiError;
use crate::store::{Expected, Key, Object, Write, WriteError};

/// What became of a change.
pub(super) enum Written {
    /// Stored (or would be, on a dry run), or nothing had changed: the object to show.
    Object(Value, Vec<String>),
    /// Somebody else wrote first.
    Lost,
}

pub(super) fn api_errors(call: &Call, name: &str, errors: &[FieldError]) -> Result<(), ApiError> {
    if errors.is_empty() {
        return Ok(());
    }
    let kind = &call.endpoint.kind;
    // Both Event kinds are the core group's inside.
    let group = if kind.behaviour == Behaviour::Event { "" } else { &kind.group };
    Err(ApiError::invalid(group, &kind.kind, name, errors))
}

/// The client's name for itself: the option, or the first part of its user agent.
pub(super) fn manager_name(call: &Call) -> String {
    if let Some(name) = call.options.field_manager.as_ref().filter(|name| !name.is_empty()) {
        return name.clone();
    }
    let agent = call.parts.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
    agent.and_then(|agent| agent.split('/').next()).unwrap_or_default().to_owned()
}

/// Field management for this request.
pub(super) fn field_manager<'a>(call: &'a Call, api_version: &'a str, now: &'a str) -> FieldManager<'a> {
    let has_status = call.endpoint.version().has_status;
    let ignored = match call.subresource.as_deref() {
        Some("status") if call.endpoint.kind.behaviour == Behaviour::Custom => {
            Set::of_fields(&["metadata", "spec"])
        }
        Some(_) => Set::of_fields(&["spec"]),
        None if has_status => Set::of_fields(&["status"]),
        None => Set::default(),
    };
    FieldManager {
        schema: call.endpoint.schema(),
        api_version,
        subresource: call.subresource.as_deref().unwrap_or_default(),
        ignored,
        now,
        empty: call.endpoint.kind.behaviour.empty(),
    }
}

/// Sets the namespace of the path, or refuses another one.
pub(super) fn settle_namespace(call: &Call, value: &mut Value) -> Result<(), ApiError> {
    let found = value["metadata"]["namespace"].as_str().unwrap_or_default();
    match &call.namespace {
        Some(expected) if found.is_empty() || found == expected => {
            value["metadata"]["namespace"] = json!(expected);
            Ok(())
        }
        Some(_) => Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        )),
        None => {
            if let Some(metadata) = value["metadata"].as_object_mut() {
                metadata.remove("namespace");
            }
            Ok(())
        }
    }
}

fn remove(value: &mut Value, fields: &[&str]) {
    if let Some(object) = value.as_object_mut() {
        for field in fields {
            object.remove(*field);
        }
    }
}

/// Removes what only the server may say of a new object.
pub(super) fn wipe_system_fields(value: &mut Value) {
    remove(
        &mut value["metadata"],
        &[
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
            "generation",
            "resourceVersion",
        ],
    );
}

/// Takes a wanted object whose fields are managed to one that may be stored for the first time.
pub(super) fn admit_new(call: &Call, mut value: Value, now: &str) -> Result<Value, ApiError> {
    let behaviour = call.endpoint.kind.behaviour;
    value["metadata"]["uid"] = json!(uuid::Uuid::new_v4().to_string());
    value["metadata"]["creationTimestamp"] = json!(now);
    if behaviour.counts_generations() {
        value["metadata"]["generation"] = json!(1);
    }
    if call.endpoint.version().has_status {
        remove(&mut value, &["status"]);
    }
    behaviour.fill_defaults(&mut value);
    behaviour.complete(&mut value);
    let mut errors = object_meta::check(&value["metadata"], behaviour.name_rule());
    check_content(call, &value, None, "", &mut errors);
    let name = value["metadata"]["name"].as_str().unwrap_or_default();
    api_errors(call, name, &errors)?;
    Ok(value)
}

/// Adds the violations of schema, lists, the kind's rules and CEL; `only` is the part that a subresource changes.
fn check_content(call: &Call, value: &Value, old: Option<&Value>, only: &str, errors: &mut Vec<FieldError>) {
    let schema = call.endpoint.schema();
    if only.is_empty() {
        errors.extend(schema::validate(schema, value, old, ""));
    } else if let (Some(part), false) = (schema.properties.get(only), value[only].is_null()) {
        // Messages about a part name fields from there on.
        let found = schema::validate(part, &value[only], old.map(|old| &old[only]), "");
        errors.extend(found.into_iter().map(|error| error.below(only)));
    }
    // Lists that were wrong before may stay so.
    if old.is_none_or(|old| schema::check_lists(schema, old, "").is_empty()) {
        errors.extend(schema::check_lists(schema, value, ""));
    }
    errors.extend(call.endpoint.kind.behaviour.check(value, old));
    let is_blocking = |error: &FieldError| {
        matches!(
            error.fault,
            Fault::NotSupported | Fault::Required | Fault::TooLong | Fault::TooMany | Fault::TypeInvalid
        )
    };
    if !schema.has_rules() {
        return;
    }
    if errors.iter().any(is_blocking) {
        errors.push(FieldError::invalid(
            "<nil>",
            Value::Null,
            "some validation rules were not checked because the object was invalid; correct the existing errors to \
             complete validation",
        ));
    } else {
        errors.extend(schema::check_rules(schema, value, old));
    }
}

/// The reason why there is no place for a new object, if so.
pub(super) fn check_place(call: &Call, name: &str) -> Result<(), ApiError> {
    let Some(namespace) = &call.namespace else { return Ok(()) };
    let key = Key { table: NAMESPACES.to_owned(), namespace: String::new(), name: namespace.clone() };
    match call.core.store.get(&key) {
        None => Err(ApiError::not_found("", "namespaces", namespace)),
        Some(found) if !found.value["metadata"]["deletionTimestamp"].is_null() => {
            let kind = &call.endpoint.kind;
            Err(ApiError::namespace_terminating(&kind.group, &kind.plural, name, namespace))
        }
        Some(_) => Ok(()),
    }
}

/// Stores a new object; shows it as the endpoint does.
pub(super) async fn store_new(call: &Call, value: Value) -> Result<Value, ApiError> {
    let name = value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let kind = &call.endpoint.kind;
    let exists = || ApiError::already_exists(&kind.group, &kind.plural, &name);
    let key = call.key(&name);
    if call.options.dry_run {
        return if call.core.store.get(&key).is_some() { Err(exists()) } else { Ok(value) };
    }
    let value = stored(&call.endpoint, value);
    match call.core.store.write(Write { key, expected: Expected::Absent, value: Some(value) }).await {
        Ok(object) => Ok(present(&call.endpoint, &object.value)),
        Err(WriteError::Exists | WriteError::Changed) => Err(exists()),
        Err(WriteError::NamespaceMissing | WriteError::NamespaceTerminating) => {
            check_place(call, &name)?;
            Err(ApiError::internal("the namespace changed while the object was created"))
        }
        Err(WriteError::Disk(error)) => Err(ApiError::internal(error)),
    }
}

/// Refuses an object with another name than the path's.
pub(super) fn check_name(call: &Call, new: &Value) -> Result<(), ApiError> {
    let name = call.name()?;
    let found = new["metadata"]["name"].as_str().unwrap_or_default();
    if found.is_empty() || found == name {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "the name of the object ({found}) does not match the name on the URL ({name})"
    )))
}

/// Refuses a wanted object that names another name or version than the live one, and of a PUT another uid.
fn check_identity(call: &Call, live: &Value, new: &Value) -> Result<(), ApiError> {
    let kind = &call.endpoint.kind;
    let name = call.name()?;
    let text = |field: &str| new["metadata"][field].as_str().unwrap_or_default().to_owned();
    check_name(call, new)?;
    let (wanted, found) = (text("uid"), live["metadata"]["uid"].as_str().unwrap_or_default());
    if call.parts.method == http::Method::PUT && !wanted.is_empty() && wanted != found {
        let why = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}");
        return Err(ApiError::conflict(&kind.group, &kind.plural, name, &why));
    }
    let version = text("resourceVersion");
    if version.is_empty() {
        if kind.behaviour.updates_unconditionally() {
            return Ok(());
        }
        let error =
            FieldError::invalid("metadata.resourceVersion", json!(0), "must be specified for an update");
        // The real server names the resource here, not the kind.
        return Err(ApiError::invalid(&kind.group, &kind.plural, name, &[error]));
    }
    if version.parse::<u64>().is_err() {
        return Err(ApiError::unexplained(format!(
            "strconv.ParseUint: parsing {}: invalid syntax",
            json!(version)
        )));
    }
    if live["metadata"]["resourceVersion"] == version {
        Ok(())
    } else {
        Err(ApiError::modified(&kind.group, &kind.plural, name))
    }
}

/// What the server keeps: a client's idea of it counts for nothing. Another uid stays, to be complained about.
fn restore_bookkeeping(live: &Value, new: &mut Value) {
    let mut kept = vec!["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"];
    kept.extend(["name", "namespace", "resourceVersion"]);
    if new["metadata"]["uid"].as_str().unwrap_or_default().is_empty() {
        kept.push("uid");
    }
    for field in kept {
        let value = live["metadata"][field].clone();
        if value.is_null() {
            remove(&mut new["metadata"], &[field]);
        } else {
            new["metadata"][field] = value;
        }
    }
    remove(&mut new["metadata"], &["selfLink"]);
}

/// Lays the part of `new` that the request may change over `live`.
fn restrict(call: &Call, live: &Value, mut new: Value) -> Value {
    let replace = |target: &mut Value, source: &Value, field: &str| {
        if source[field].is_null() {
            remove(target, &[field]);
        } else {
            target[field] = source[field].clone();
        }
    };
    if call.subresource.is_some() {
        let mut result = live.clone();
        replace(&mut result, &new, "status");
        let managed = new["metadata"]["managedFields"].take();
        if managed.is_null() {
            remove(&mut result["metadata"], &["managedFields"]);
        } else {
            result["metadata"]["managedFields"] = managed;
        }
        return result;
    }
    if call.endpoint.version().has_status {
        replace(&mut new, live, "status");
    }
    restore_bookkeeping(live, &mut new);
    new
}

fn desired_state(value: &Value, has_status: bool) -> Value {
    let mut state = value.clone();
    remove(&mut state, if has_status { &["metadata", "status"] } else { &["metadata"] });
    state
}

/// Takes a wanted object whose fields are managed through the rules of an update, and stores it.
pub(super) async fn store_change(
    call: &Call,
    live: &Arc<Object>,
    shown: &Value,
    new: Value,
) -> Result<Written, ApiError> {
    check_identity(call, shown, &new)?;
    let mut new = new;
    settle_namespace(call, &mut new)?;
    let behaviour = call.endpoint.kind.behaviour;
    let mut new = restrict(call, shown, new);
    behaviour.complete(&mut new);
    let has_status = call.endpoint.version().has_status;
    if behaviour.counts_generations() && desired_state(&new, has_status) != desired_state(shown, has_status) {
        let generation = shown["metadata"]["generation"].as_i64().unwrap_or(0);
        new["metadata"]["generation"] = json!(generation + 1);
    }
    let (metadata, before) = (&new["metadata"], &shown["metadata"]);
    let mut errors = object_meta::check(metadata, behaviour.name_rule());
    // The real server runs these twice, for all kinds and for the kind, and its causes show it.
    errors.extend(object_meta::check_changed(metadata, before));
    errors.extend(object_meta::check_changed(metadata, before));
    check_content(call, &new, Some(shown), call.subresource.as_deref().unwrap_or_default(), &mut errors);
    api_errors(call, call.name()?, &errors)?;
    let is_custom = behaviour == Behaviour::Custom && call.subresource.is_none();
    let warnings =
        if is_custom { object_meta::finalizer_warnings(metadata, Some(before)) } else { Vec::new() };
    if same_but_for_times(&new, shown) {
        return Ok(Written::Object(shown.clone(), warnings));
    }
    if call.options.dry_run {
        return Ok(Written::Object(new, warnings));
    }
    write_change(call, live, new, warnings).await
}

async fn write_change(
    call: &Call,
    live: &Arc<Object>,
    new: Value,
    warnings: Vec<String>,
) -> Result<Written, ApiError> {
    let finalizers = new["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
    let is_gone = finalizers
        && !new["metadata"]["deletionTimestamp"].is_null()
        && call.endpoint.kind.behaviour != Behaviour::Namespace;
    let value = (!is_gone).then(|| stored(&call.endpoint, new.clone()));
    let write = Write { key: call.key(call.name()?), expected: Expected::Revision(live.revision), value };
    match call.core.store.write(write).await {
        // The last finalizer went: the object is removed, and shown as it was last.
        Ok(object) if is_gone => {
            let mut last = new;
            last["metadata"]["resourceVersion"] = json!(object.revision.to_string());
            Ok(Written::Object(last, warnings))
        }
        Ok(object) => Ok(Written::Object(present(&call.endpoint, &object.value), warnings)),
        Err(WriteError::Disk(error)) => Err(ApiError::internal(error)),
        Err(_) => Ok(Written::Lost),
    }
}
