//! `POST …`: create a record.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use uuid::Uuid;
use velocity_schema::input::parse_create;
use velocity_schema::schema::Operation;
use velocity_store::records::Write;

use super::write::{Writing, refuse_conditions, set_by};
use crate::error::ApiError;
use crate::request::body::{JsonKind, read_json};
use crate::request::reason::take_from_record;
use crate::scope::{Create, Scope};
use crate::state::Api;

pub(crate) async fn create_record(
    State(api): State<Api>,
    scope: Scope<Create>,
    parts: Parts,
    body: Body,
) -> Result<Response, ApiError> {
    let (caller, operations) = (scope.caller, [Operation::Create]);
    refuse_conditions(&parts, &[IF_MATCH, IF_NONE_MATCH])?;
    let sent = read_json(&parts.headers, body, JsonKind::Document, &api.config().requests).await?;
    let (body, reason) = take_from_record(&caller.schema, &operations, &parts.headers, sent.clone());
    let mut writing = Writing::prepare(&api, &caller, &parts, &operations, &sent, reason.as_deref())?;
    caller.may_set(&operations, &body)?;
    let record = parse_create(&caller.schema, &body, &mut Uuid::now_v7);
    let record = record.map_err(|error| writing.told_of_input(&body, error))?;
    writing.check_references(set_by(&record), &[&record.values]).await?;
    writing.run(Write::Create(record), Writing::present_record).await
}
