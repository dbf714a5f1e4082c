//! `PUT …/{id}`: create or replace a record.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::request::Parts;
use uuid::Uuid;
use velocity_schema::input::{parse_replace, parse_replace_keeping};
use velocity_schema::schema::Operation;
use velocity_store::records::Write;

use super::write::{Writing, id_of, only_if_absent, set_by};
use crate::error::ApiError;
use crate::request::Malformed;
use crate::request::body::{JsonKind, read_json};
use crate::request::conditional::{Tags, if_match};
use crate::request::reason::take_from_record;
use crate::scope::Caller;
use crate::state::Api;

pub(crate) async fn replace_record(
    State(api): State<Api>,
    caller: Caller,
    parts: Parts,
    body: Body,
) -> Result<Response, ApiError> {
    let id = id_of(&caller, &parts)?;
    let (tags, only_if_absent) = (if_match(&parts.headers)?, only_if_absent(&parts)?);
    // What the request can come to decides what the caller must be allowed.
    let operations: &[Operation] = match (&tags, only_if_absent) {
        (Some(_), true) => {
            return Err(Malformed::new("If-Match and If-None-Match contradict each other").into());
        }
        (Some(_), false) => &[Operation::Update],
        (None, true) => &[Operation::Create],
        (None, false) => &[Operation::Create, Operation::Update],
    };
    caller.roles_for_all(operations)?;
    caller.conditions_hold_for_any(operations)?;
    let sent = read_json(&parts.headers, body, JsonKind::Document, &api.config().requests).await?;
    let (body, reason) = take_from_record(&caller.schema, operations, &parts.headers, sent.clone());
    let mut writing = Writing::prepare(&api, &caller, &parts, operations, &sent, reason.as_deref())?;
    caller.may_set(operations, &body)?;
    let replacement = if only_if_absent {
        parse_replace(&caller.schema, &id, &body, &mut Uuid::now_v7)
    } else {
        parse_replace_keeping(&caller.schema, &id, &body, &caller.keeps(), &mut Uuid::now_v7)
    };
    let mut replacement = replacement.map_err(|error| writing.told_of_input(&body, error))?;
    writing.check_references(set_by(&replacement.record), &[&replacement.record.values]).await?;
    if only_if_absent {
        return writing.run(Write::Create(replacement.record), Writing::present_record).await;
    }
    replacement.expected_version = match &tags {
        // There must be a record: the one that is there now.
        Some(Tags::Any) if replacement.expected_version.is_none() => {
            Some(writing.version_if_there(&id).await?)
        }
        tags => writing.expected_version(&id, tags.as_ref(), replacement.expected_version).await?,
    };
    writing.run(Write::Replace(replacement), Writing::present_record).await
}
