//! `DELETE …/{id}`: delete a record softly.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::IF_NONE_MATCH;
use http::request::Parts;
use velocity_schema::schema::Operation;
use velocity_store::records::Write;

use super::write::{Writing, id_of, refuse_conditions};
use crate::error::ApiError;
use crate::request::body::read_optional_json;
use crate::request::conditional::if_match;
use crate::request::reason;
use crate::scope::{Delete, Scope};
use crate::state::Api;

pub(crate) async fn delete_record(
    State(api): State<Api>,
    scope: Scope<Delete>,
    parts: Parts,
    body: Body,
) -> Result<Response, ApiError> {
    let caller = scope.caller;
    let id = id_of(&caller, &parts)?;
    refuse_conditions(&parts, &[IF_NONE_MATCH])?;
    let tags = if_match(&parts.headers)?;
    let body = read_optional_json(&parts.headers, body, &api.config().requests).await?;
    let reason = reason::alone(body.as_ref())?;
    let sent = body.unwrap_or_default();
    let writing = Writing::prepare(&api, &caller, &parts, &[Operation::Delete], &sent, reason.as_deref())?;
    let expected_version = writing.expected_version(&id, tags.as_ref(), None).await?;
    writing.run(Write::Delete { id, expected_version }, Writing::present_record).await
}
