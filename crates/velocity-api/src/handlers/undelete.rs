//! `POST …/{id}/undelete`: bring a deleted record back.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use velocity_schema::schema::Operation;
use velocity_store::records::Write;

use super::write::{Writing, id_of, refuse_conditions};
use crate::error::ApiError;
use crate::request::body::read_optional_json;
use crate::request::reason;
use crate::scope::{Restore, Scope};
use crate::state::Api;

pub(crate) async fn undelete_record(
    State(api): State<Api>,
    scope: Scope<Restore>,
    parts: Parts,
    body: Body,
) -> Result<Response, ApiError> {
    let caller = scope.caller;
    let id = id_of(&caller, &parts)?;
    refuse_conditions(&parts, &[IF_MATCH, IF_NONE_MATCH])?;
    let body = read_optional_json(&parts.headers, body, &api.config().requests).await?;
    let reason = reason::alone(body.as_ref())?;
    let sent = body.unwrap_or_default();
    let writing = Writing::prepare(&api, &caller, &parts, &[Operation::Restore], &sent, reason.as_deref())?;
    writing.run(Write::Undelete { id }, Writing::present_record).await
}
