//! What there is, for programs that ask.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, StatusCode};
use velocity_access::Identity;
use velocity_contract::listing::SchemaListing;
use velocity_contract::page::Data;
use velocity_schema::Schema;
use velocity_schema::schema::{Operation, StrategyRef};

use crate::describe::{Rights, json_schema, openapi as document};
use crate::error::ApiError;
use crate::request::{conditional, query};
use crate::scope::Caller;
use crate::state::Api;

/// A schema with what the caller may do there.
type Visible = (Arc<Schema>, Rights);

/// `GET /api`: the schemas that the caller can see.
pub(crate) async fn list_schemas(
    State(api): State<Api>,
    parts: Parts,
) -> Result<Json<Data<Vec<SchemaListing>>>, ApiError> {
    let visible = visible(&api, &parts).await?;
    let [] = query::only(parts.uri.query(), [])?;
    Ok(Json(Data {
        data: visible.iter().map(|(schema, rights)| listing(schema, rights.allowed())).collect(),
    }))
}

/// `GET …/schema.json`: the JSON Schema of a record, as the caller sees it.
pub(crate) async fn json_schema(caller: Caller, parts: Parts) -> Result<Response, ApiError> {
    let rights = describable(&caller, &parts)?;
    let tag = format!("\"{}{}\"", caller.schema.hash(), rights.tag(&caller.schema));
    let body = || json_schema::document(&caller.schema, &rights).to_string();
    tagged(&parts.headers, &tag, "application/schema+json", body)
}

/// `GET …/openapi.json`: the routes of one schema.
pub(crate) async fn schema_openapi(caller: Caller, parts: Parts) -> Result<Response, ApiError> {
    let rights = describable(&caller, &parts)?;
    let words: Vec<&str> = rights.allowed().iter().map(|operation| operation.as_str()).collect();
    let tag = format!("\"{}+{}{}\"", caller.schema.hash(), words.join("+"), rights.tag(&caller.schema));
    tagged(&parts.headers, &tag, "application/json", || document::document(&caller.schema, &rights))
}

/// `GET /api/openapi.json`: the routes of every schema that the caller can see, written as it is read.
pub(crate) async fn openapi(State(api): State<Api>, parts: Parts) -> Result<Response, ApiError> {
    let visible = visible(&api, &parts).await?;
    let [] = query::only(parts.uri.query(), [])?;
    let again = visible.clone();
    let paths = visible.into_iter().enumerate().map(|(index, (schema, rights))| {
        let paths = document::paths(&schema, &rights);
        if index == 0 { paths } else { format!(",{paths}") }
    });
    let pieces = std::iter::once(document::head("Velocity", env!("CARGO_PKG_VERSION")))
        .chain(paths)
        .chain(std::iter::once_with(document::middle))
        .chain(again.into_iter().map(|(schema, rights)| document::components(&schema, &rights)))
        .chain(std::iter::once_with(|| document::tail().to_owned()));
    let body =
        Body::from_stream(futures::stream::iter(pieces.map(|piece| Ok::<_, Infallible>(Bytes::from(piece)))));
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

/// What the caller may do, if that is anything: whoever may do nothing with a schema is not told its shape.
fn describable(caller: &Caller, parts: &Parts) -> Result<Rights, ApiError> {
    let [] = query::only(parts.uri.query(), [])?;
    Rights::of(&caller.subject).ok_or_else(|| ApiError::RbacDenied {
        reason: "none of your roles may do anything with this schema".to_owned(),
    })
}

/// A description with its tag, which a client may keep and ask whether it still holds.
fn tagged(
    headers: &HeaderMap,
    tag: &str,
    content_type: &'static str,
    body: impl FnOnce() -> String,
) -> Result<Response, ApiError> {
    let known =
        conditional::if_none_match(headers)?.is_some_and(|tags| tags.matches_weakly(tag.trim_matches('"')));
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { body().into_response() };
    let out = response.headers_mut();
    if known {
        out.remove(CONTENT_TYPE);
    } else {
        out.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    out.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(tag) = HeaderValue::from_str(tag) {
        out.insert(ETAG, tag);
    }
    Ok(response)
}

/// The schemas with which the caller may do anything, by path. Each is asked under the strategy that decides there;
/// a caller whom none of them knows is not authenticated.
async fn visible(api: &Api, parts: &Parts) -> Result<Vec<Visible>, ApiError> {
    let catalog = api.catalog().load_full();
    let default = api.default_strategy();
    let mut identities: HashMap<Option<StrategyRef>, Result<Arc<Identity>, ApiError>> = HashMap::new();
    identities.insert(default.cloned(), api.authenticate(default, parts).await);
    let mut visible: Vec<Visible> = Vec::new();
    for schema in catalog.served.iter() {
        let strategy = api.strategy_of(schema);
        let identity = match identities.entry(strategy.cloned()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(api.identify(strategy, parts).await),
        };
        if let Ok(identity) = identity {
            let rights = Rights::of(&api.subject(Arc::clone(identity), schema));
            visible.extend(rights.map(|rights| (Arc::clone(schema), rights)));
        }
    }
    if identities.values().all(Result::is_err) {
        return Err(identities.remove(&default.cloned()).and_then(Result::err).unwrap_or(ApiError::Panicked));
    }
    visible.sort_by(|(a, _), (b, _)| a.path().cmp(b.path()));
    Ok(visible)
}

fn listing(schema: &Schema, allowed: &[Operation]) -> SchemaListing {
    let path = schema.path();
    SchemaListing {
        org: path.org.to_string(),
        app: path.app.to_string(),
        domain: path.domain.to_string(),
        object: path.object.to_string(),
        version: path.version.to_string(),
        display_name: schema.display_name().map(str::to_owned),
        description: schema.description().map(str::to_owned),
        endpoint: path.endpoint(),
        spec_hash: schema.hash().to_string(),
        operations: allowed.iter().map(|operation| operation.as_str().to_owned()).collect(),
    }
}
