//! `PATCH …/{id}`: change a record by a JSON merge patch.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::IF_NONE_MATCH;
use http::request::Parts;
use velocity_schema::input::parse_patch;
use velocity_schema::schema::Operation;
use velocity_store::records::Write;

use super::write::{Writing, changed_by, id_of, refuse_conditions};
use crate::error::ApiError;
use crate::request::body::{JsonKind, read_json};
use crate::request::conditional::if_match;
use crate::request::reason::take_from_record;
use crate::scope::{Scope, Update};
use crate::state::Api;

pub(crate) async fn patch_record(
    State(api): State<Api>,
    scope: Scope<Update>,
    parts: Parts,
    body: Body,
) -> Result<Response, ApiError> {
    let (caller, operations) = (scope.caller, [Operation::Update]);
    let id = id_of(&caller, &parts)?;
    refuse_conditions(&parts, &[IF_NONE_MATCH])?;
    let tags = if_match(&parts.headers)?;
    let sent = read_json(&parts.headers, body, JsonKind::MergePatch, &api.config().requests).await?;
    let (body, reason) = take_from_record(&caller.schema, &operations, &parts.headers, sent.clone());
    let mut writing = Writing::prepare(&api, &caller, &parts, &operations, &sent, reason.as_deref())?;
    caller.may_set(&operations, &body)?;
    let patch = parse_patch(&caller.schema, &id, &body);
    let mut patch = patch.map_err(|error| writing.told_of_input(&body, error))?;
    writing.check_references(changed_by(&patch), &[]).await?;
    patch.expected_version = writing.expected_version(&id, tags.as_ref(), patch.expected_version).await?;
    writing.run(Write::Patch { id, patch }, Writing::present_record).await
}
