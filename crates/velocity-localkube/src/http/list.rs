//! Reading one object, and lists with pages and versions.

use std::sync::Arc;

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::options::Match;
use super::{Call, respond};
use crate::builtin::convert::present;
use crate::selector::Selector;
use crate::status::ApiError;
use crate::store::{Object, Page};

pub(super) fn get(call: &Call) -> Result<Response, ApiError> {
    let name = call.name()?;
    let object = call.core.store.get(&call.key(name)).ok_or_else(|| call.not_found(name))?;
    respond::object(call, StatusCode::OK, &present(&call.endpoint, &object.value))
}

/// Where the next page starts: after `start`, in the state at `revision`.
#[derive(Serialize, Deserialize)]
struct Continue {
    #[serde(rename = "v")]
    version: String,
    #[serde(rename = "rv")]
    revision: i64,
    #[serde(rename = "start")]
    start: String,
}

impl Continue {
    fn encode(revision: i64, namespace: &str, name: &str) -> String {
        let token =
            Self { version: "meta.k8s.io/v1".to_owned(), revision, start: format!("{namespace}/{name}") };
        URL_SAFE_NO_PAD.encode(json!(token).to_string())
    }

    fn decode(token: &str) -> Result<(i64, (String, String)), ApiError> {
        let invalid = || {
            ApiError::bad_request(
                "invalid continue token: continue key is not valid: it was not made by this server",
            )
        };
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
        let token: Self = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
        let (namespace, name) = token.start.split_once('/').ok_or_else(invalid)?;
        Ok((token.revision, (namespace.to_owned(), name.to_owned())))
    }
}

pub(super) fn list(call: &Call) -> Result<Response, ApiError> {
    let options = &call.options;
    let selector = Selector::parse(&options.label_selector, &options.field_selector, &call.endpoint)?;
    let page = page(call)?;
    let matching: Vec<Arc<Object>> =
        page.objects.into_iter().filter(|object| selector.matches(&object.value)).collect();
    let mut metadata = respond::list_metadata(&call.endpoint, page.revision);
    let shown = if options.limit == 0 { matching.len() } else { matching.len().min(options.limit) };
    if shown < matching.len() {
        let last = &matching[shown - 1].value["metadata"];
        let text = |field: &str| last[field].as_str().unwrap_or_default();
        let revision = i64::try_from(page.revision).unwrap_or(i64::MAX);
        metadata["continue"] = json!(Continue::encode(revision, text("namespace"), text("name")));
        if selector.is_empty() {
            metadata["remainingItemCount"] = json!(matching.len() - shown);
        }
    }
    let items: Vec<Value> =
        matching[..shown].iter().map(|object| present(&call.endpoint, &object.value)).collect();
    respond::list(call, items, &metadata)
}

/// The objects of the request's collection, at the version it asks for.
fn page(call: &Call) -> Result<Page, ApiError> {
    let options = &call.options;
    let table = &call.endpoint.kind.table;
    let namespace = call.namespace.as_deref();
    if !options.continue_token.is_empty() {
        return continued(call, table, namespace);
    }
    let wanted = options.resource_version.unwrap_or(0);
    let exact = match options.resource_version_match {
        Some(Match::Exact) => true,
        Some(Match::NotOlderThan) => false,
        None => options.limit > 0 && wanted > 0,
    };
    call.core.store.read(|state| {
        if wanted > state.revision() {
            return Err(ApiError::future_revision(wanted, state.revision()));
        }
        if exact {
            return state
                .list_at(table, namespace, None, wanted)
                .map_err(|_| ApiError::expired("The resourceVersion for the provided list is too old."));
        }
        Ok(state.list(table, namespace, None))
    })
}

fn continued(call: &Call, table: &str, namespace: Option<&str>) -> Result<Page, ApiError> {
    if call.options.resource_version.is_some_and(|revision| revision != 0) {
        return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
    }
    let (revision, after) = Continue::decode(&call.options.continue_token)?;
    call.core.store.read(|state| match u64::try_from(revision) {
        // A token that was handed out together with a 410: go on in the present state.
        Err(_) => Ok(state.list(table, namespace, Some(&after))),
        Ok(revision) => state
            .list_at(table, namespace, Some(&after), revision)
            .map_err(|_| ApiError::continue_expired(&Continue::encode(-1, &after.0, &after.1))),
    })
}
