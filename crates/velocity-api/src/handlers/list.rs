//! `GET …`: a page of records.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use velocity_contract::page::Pagination;
use velocity_sql::query::{ListPlan, ListRequest, Total};

use crate::error::ApiError;
use crate::request::{accept, query};
use crate::scope::{Read, Scope};
use crate::state::Api;

pub(crate) async fn list_records(
    State(api): State<Api>,
    scope: Scope<Read>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let numbers = accept::numbers(&parts.headers)?;
    let pairs = query::pairs(parts.uri.query())?;
    let request = ListRequest::parse(pairs.iter().map(|(name, value)| (&**name, &**value)))?;
    let reads = scope.reading(&api);
    let plan = ListPlan::plan(&scope.caller.schema, &request, api.records().cursor_key(), &reads.rights())?;
    let page = api.records().list(&reads.session, &reads.table, &plan).await?;
    if !page.is_empty() {
        scope.shown(&api, plan.projection().iter().copied()).await;
    }
    let mut body = Vec::with_capacity(256 + 256 * page.len());
    body.extend_from_slice(b"{\"data\":");
    page.append_json(numbers, &mut body)?;
    let (total, estimated) = match page.total() {
        None => (None, None),
        Some(Total { total, estimated: false }) => (Some(total), None),
        Some(Total { total, estimated: true }) => (None, Some(total)),
    };
    let next_cursor = page.next_cursor().map(str::to_owned);
    Ok(paged(body, &Pagination { limit: request.limit, next_cursor, total, estimated }))
}

/// Ends `{"data": …` with where the page stands.
pub(super) fn paged(mut body: Vec<u8>, pagination: &Pagination) -> Response {
    body.extend_from_slice(b",\"pagination\":");
    body.extend(serde_json::to_vec(pagination).unwrap_or_default());
    body.push(b'}');
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
