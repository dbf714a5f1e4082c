//! `POST` to a collection.

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use crate::builtin::convert::{present, stored};
use crate::http::{Call, decode, respond};
use crate::status::ApiError;
use crate::store::{Expected, Write, WriteError};

pub(in crate::http) async fn create(call: &Call) -> Result<Response, ApiError> {
    let decoded = decode::decode(&call.body, true)?;
    let mut value = decoded.value;
    let name = value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    value["metadata"]["uid"] = json!(uuid::Uuid::new_v4().to_string());
    value["metadata"]["creationTimestamp"] = json!(crate::clock::now());
    value["metadata"]["generation"] = json!(1);
    if let Some(namespace) = &call.namespace {
        value["metadata"]["namespace"] = json!(namespace);
    }
    let created = store_new(call, &name, value).await?;
    respond::object(call, StatusCode::CREATED, &present(&call.endpoint, &created))
}

async fn store_new(call: &Call, name: &str, value: Value) -> Result<Value, ApiError> {
    let kind = &call.endpoint.kind;
    let write =
        Write { key: call.key(name), expected: Expected::Absent, value: Some(stored(&call.endpoint, value)) };
    match call.core.store.write(write).await {
        Ok(object) => Ok(object.value.clone()),
        Err(WriteError::Exists | WriteError::Changed) => {
            Err(ApiError::already_exists(&kind.group, &kind.plural, name))
        }
        Err(WriteError::NamespaceMissing) => {
            Err(ApiError::not_found("", "namespaces", call.namespace.as_deref().unwrap_or_default()))
        }
        Err(WriteError::NamespaceTerminating) => Err(ApiError::namespace_terminating(
            &kind.group,
            &kind.plural,
            name,
            call.namespace.as_deref().unwrap_or_default(),
        )),
        Err(WriteError::Disk(error)) => Err(ApiError::internal(error)),
    }
}
