//! `GET …/{id}`: read a record.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, ETAG, IF_MATCH};
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use super::write::{data, id_of, refuse_conditions};
use crate::error::ApiError;
use crate::request::conditional::if_none_match;
use crate::request::{accept, query};
use crate::scope::{Read, Scope};
use crate::state::Api;

pub(crate) async fn read_record(
    State(api): State<Api>,
    scope: Scope<Read>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let id = id_of(&scope.caller, &parts)?;
    let [] = query::only(parts.uri.query(), [])?;
    refuse_conditions(&parts, &[IF_MATCH])?;
    let numbers = accept::numbers(&parts.headers)?;
    let tags = if_none_match(&parts.headers)?;
    let reads = scope.reading(&api);
    let record = api.records().read(&reads.session, &reads.table, &id).await?;
    scope.may_see(&record)?;
    let version = record.version()?;
    let known = tags.is_some_and(|tags| tags.matches_weakly(&version.to_string()));
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        scope.shown(&api, 0..scope.caller.schema.fields().len()).await;
        let mut response = Response::new(Body::from(data(&record, scope.view(), numbers)?));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    };
    if let Ok(tag) = HeaderValue::try_from(format!("\"{version}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}
