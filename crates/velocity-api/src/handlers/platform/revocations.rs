//! Revocations: made, listed and lifted. Every replica knows of one within two seconds.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use jiff::Timestamp;
use uuid::Uuid;
use velocity_contract::administration::{Revocation, RevocationKind};
use velocity_contract::page::Data;
use velocity_store::platform::{
    ListedRevocation, NewRevocation, lift_revocation, list_revocations, revocation_by_id, revoke,
};
use velocity_store::records::RecordError;

use super::admin::Admin;
use super::login::refused;
use super::members::Members;
use super::path_id;
use crate::error::ApiError;
use crate::request::body::{JsonKind, read_json};
use crate::request::{Malformed, query};
use crate::state::Api;

/// Longest value: as long as an actor or a token's id may be.
const MAX_VALUE_BYTES: usize = 256;
/// Longest reason in characters.
const MAX_REASON: usize = 1000;

/// `GET /platform/revocations[?kind=&value=]`: those in force, the newest first.
pub(crate) async fn list_revoked(
    State(api): State<Api>,
    _admin: Admin,
    parts: Parts,
) -> Result<Json<Data<Vec<Revocation>>>, ApiError> {
    let [kind, value] = query::only(parts.uri.query(), ["kind", "value"])?;
    if let Some(kind) = &kind
        && kind_of(kind).is_none()
    {
        return Err(Malformed(format!("`kind` is one of {}", kinds())).into());
    }
    let mut view = api.database().login().view().await?;
    let rows = list_revocations(view.connection().client(), kind.as_deref(), value.as_deref()).await;
    Ok(Json(Data { data: rows.map_err(refused)?.into_iter().filter_map(listed).collect() }))
}

/// `POST /platform/revocations`. What is revoked already stays so, under the same id.
pub(crate) async fn create_revocation(
    State(api): State<Api>,
    admin: Admin,
    request: Request<Body>,
) -> Result<(StatusCode, Json<Data<Revocation>>), ApiError> {
    let (parts, body) = request.into_parts();
    let [] = query::only(parts.uri.query(), [])?;
    let bytes = read_json(&parts.headers, body, JsonKind::Document, &api.config().requests).await?;
    let new = read_request(&bytes, Timestamp::now())?;
    let mut view = api.database().login().view().await?;
    let id = revoke(view.connection().client(), &admin.acting(), &new).await.map_err(refused)?;
    let stored = revocation_by_id(view.connection().client(), &id).await.map_err(refused)?;
    let revocation = stored.and_then(listed).ok_or(RecordError::NotFound)?;
    Ok((StatusCode::CREATED, Json(Data { data: revocation })))
}

/// `DELETE /platform/revocations/{id}`: lifts it.
pub(crate) async fn lift(State(api): State<Api>, admin: Admin, parts: Parts) -> Result<StatusCode, ApiError> {
    let [] = query::only(parts.uri.query(), [])?;
    let id = path_id(parts.uri.path(), 2)?;
    let mut view = api.database().login().view().await?;
    let known = lift_revocation(view.connection().client(), &admin.acting(), &id).await.map_err(refused)?;
    if known { Ok(StatusCode::NO_CONTENT) } else { Err(RecordError::NotFound.into()) }
}

fn read_request(bytes: &[u8], now: Timestamp) -> Result<NewRevocation, ApiError> {
    let mut members = Members::read(bytes, &["kind", "value", "reason", "expiresAt"])?;
    let kind = members.text("kind").filter(|kind| {
        let known = kind_of(kind).is_some();
        if !known {
            members.wrong("kind", "enum", format!("is one of {}", kinds()));
        }
        known
    });
    let value = members.text("value");
    if value
        .as_ref()
        .is_some_and(|value| value.len() > MAX_VALUE_BYTES || value.chars().any(char::is_control))
    {
        let message = format!("must be 1 to {MAX_VALUE_BYTES} bytes of text without control characters");
        members.wrong("value", "pattern", message);
    }
    let reason = members.text("reason");
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > MAX_REASON || reason.contains('\0')) {
        members.wrong(
            "reason",
            "maxLength",
            format!("has more than {MAX_REASON} characters, or null characters"),
        );
    }
    let expires_at = members.optional::<String>("expiresAt", "a time").and_then(|text| {
        let at = text.parse::<Timestamp>().ok();
        match at {
            None => members.wrong("expiresAt", "time", "is not a time such as 2027-01-01T00:00:00Z"),
            Some(at) if at <= now => members.wrong("expiresAt", "time", "is over already"),
            Some(_) => {}
        }
        at
    });
    let new = kind.zip(value).zip(reason).map(|((kind, value), reason)| NewRevocation {
        id: Uuid::now_v7().to_string(),
        kind,
        value,
        reason,
        expires_at,
    });
    members.finish(new)
}

fn kind_of(text: &str) -> Option<RevocationKind> {
    RevocationKind::ALL.into_iter().find(|kind| kind.as_str() == text)
}

fn kinds() -> String {
    RevocationKind::ALL.map(RevocationKind::as_str).join(", ")
}

fn listed(row: ListedRevocation) -> Option<Revocation> {
    Some(Revocation {
        id: row.id,
        kind: kind_of(&row.kind)?,
        value: row.value,
        reason: row.reason,
        created_at: row.created_at.to_string(),
        created_by: row.created_by,
        expires_at: row.expires_at.map(|at| at.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_with_a_revocation_is_said_at_once() {
        let body = br#"{"kind": "role", "value": "", "expiresAt": "2020-01-01T00:00:00Z", "until": 1}"#;
        let Err(ApiError::Invalid(violations)) = read_request(body, Timestamp::now()) else { panic!() };
        let found: Vec<String> =
            violations.0.iter().map(|violation| format!("{} {}", violation.path, violation.rule)).collect();
        assert_eq!(
            found,
            ["until unknownField", "kind enum", "value required", "reason required", "expiresAt time"]
        );
    }
}
