//! `POST` to a collection.

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::change::{
    admit_new, check_place, field_manager, manager_name, settle_namespace, store_new, wipe_system_fields,
};
use super::incoming;
use crate::http::{Call, respond};
use crate::kind::Behaviour;
use crate::object_meta;
use crate::status::ApiError;

/// Letters and digits that do not make words.
const SUFFIX_CHARACTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;
/// The longest prefix that a suffix still fits behind in a DNS label.
const LONGEST_PREFIX: usize = 63 - SUFFIX_LENGTH;
const ATTEMPTS: usize = 8;

pub(in crate::http) async fn create(call: &Call) -> Result<Response, ApiError> {
    let incoming = incoming::read(call)?;
    let mut warnings = incoming.warnings;
    if call.endpoint.kind.behaviour == Behaviour::Custom {
        warnings.extend(object_meta::finalizer_warnings(&incoming.value["metadata"], None));
    }
    let value = insert(call, incoming.value).await?;
    respond::object_with_warnings(call, StatusCode::CREATED, &value, &warnings)
}

/// Creates an object that was read and cleaned.
pub(super) async fn insert(call: &Call, mut value: Value) -> Result<Value, ApiError> {
    settle_namespace(call, &mut value)?;
    let version = value["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    if !version.is_empty() && version != "0" {
        return Err(ApiError::unexplained("resourceVersion should not be set on objects to be created"));
    }
    wipe_system_fields(&mut value);
    let now = crate::clock::now();
    let api_version = call.endpoint.api_version();
    field_manager(call, &api_version, &now).update(None, &mut value, &manager_name(call));
    insert_managed(call, value, &now).await
}

/// Creates an object whose managed fields are set; makes a name if it wants one.
pub(super) async fn insert_managed(call: &Call, mut value: Value, now: &str) -> Result<Value, ApiError> {
    let prefix = value["metadata"]["generateName"].as_str().unwrap_or_default().to_owned();
    let generates = value["metadata"]["name"].as_str().unwrap_or_default().is_empty() && !prefix.is_empty();
    let mut attempt = 1;
    loop {
        if generates {
            value["metadata"]["name"] = json!(name_from(&prefix));
        }
        let name = value["metadata"]["name"].as_str().unwrap_or_default();
        check_place(call, name)?;
        let admitted = admit_new(call, value.clone(), now)?;
        match store_new(call, admitted).await {
            Err(error) if generates && error.reason() == "AlreadyExists" && attempt < ATTEMPTS => {
                attempt += 1;
            }
            other => return other,
        }
    }
}

fn name_from(prefix: &str) -> String {
    use rand::RngExt;
    let mut end = prefix.len().min(LONGEST_PREFIX);
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    let mut random = rand::rng();
    let mut name = prefix[..end].to_owned();
    for _ in 0..SUFFIX_LENGTH {
        name.push(char::from(SUFFIX_CHARACTERS[random.random_range(0..SUFFIX_CHARACTERS.len())]));
    }
    name
}
