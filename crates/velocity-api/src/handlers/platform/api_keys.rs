//! API keys: made, listed, rotated and revoked. A key is shown once and kept nowhere.

use std::collections::BTreeSet;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use uuid::Uuid;
use velocity_access::api_key::NewKey;
use velocity_access::{CredentialScope, Identity, IdentityParts, MAX_SCOPES, parse_duration};
use velocity_contract::administration::{ApiKey, ApiKeyCreated, ApiKeyStatus, KeyScope};
use velocity_contract::page::Data;
use velocity_schema::{Violation, Violations};
use velocity_store::platform::{
    self, ApiKeyRotation, ListedApiKey, NewApiKey, RotationOutcome, api_key_by_id, create_api_key,
    list_api_keys, revoke_api_key, rotate_api_key,
};
use velocity_store::records::RecordError;

use super::admin::Admin;
use super::login::{self, refused};
use super::members::Members;
use super::path_id;
use crate::error::ApiError;
use crate::request::body::{JsonKind, read_json, read_optional_json};
use crate::request::query;
use crate::state::Api;

/// How long an old key goes on beside the one that takes its place.
const OVERLAP: std::time::Duration = std::time::Duration::from_hours(24);
/// Shortest overlap but none at all: as long as replicas remember a key.
const SHORTEST_OVERLAP: std::time::Duration = std::time::Duration::from_mins(1);
/// Longest name in characters.
const MAX_NAME: usize = 128;

/// `GET /platform/api-keys[?actor=]`: the keys without their hashes, the newest first.
pub(crate) async fn list_keys(
    State(api): State<Api>,
    _admin: Admin,
    parts: Parts,
) -> Result<Json<Data<Vec<ApiKey>>>, ApiError> {
    let [actor] = query::only(parts.uri.query(), ["actor"])?;
    let mut view = api.database().login().view().await?;
    let keys = list_api_keys(view.connection().client(), actor.as_deref()).await.map_err(refused)?;
    let now = Timestamp::now();
    Ok(Json(Data { data: keys.into_iter().map(|key| listed(key, now)).collect::<Result<_, _>>()? }))
}

/// `POST /platform/api-keys`: a new key, printed this once.
pub(crate) async fn create_key(
    State(api): State<Api>,
    admin: Admin,
    request: Request<Body>,
) -> Result<(StatusCode, Json<Data<ApiKeyCreated>>), ApiError> {
    let (parts, body) = request.into_parts();
    let [] = query::only(parts.uri.query(), [])?;
    let bytes = read_json(&parts.headers, body, JsonKind::Document, &api.config().requests).await?;
    let wanted = read_request(&bytes, Timestamp::now())?;
    let (id, key) = (Uuid::now_v7().to_string(), mint(&api)?);
    let new = NewApiKey { id: id.clone(), hash: key.hash(), ..wanted };
    let mut view = api.database().login().view().await?;
    create_api_key(view.connection().client(), &admin.acting(), &new).await.map_err(refused)?;
    created(&mut view, &id, &key).await
}

/// `POST /platform/api-keys/{id}/rotate`: a new key with the same rights; the old one goes on for a while.
pub(crate) async fn rotate_key(
    State(api): State<Api>,
    admin: Admin,
    request: Request<Body>,
) -> Result<(StatusCode, Json<Data<ApiKeyCreated>>), ApiError> {
    let (parts, body) = request.into_parts();
    let [] = query::only(parts.uri.query(), [])?;
    let old_id = path_id(parts.uri.path(), 2)?;
    let bytes = read_optional_json(&parts.headers, body, &api.config().requests).await?;
    let (overlap, expires_at) = read_rotation(bytes.as_deref().unwrap_or(b"{}"), Timestamp::now())?;
    let (id, key) = (Uuid::now_v7().to_string(), mint(&api)?);
    let rotation = ApiKeyRotation {
        old_id,
        new_id: id.clone(),
        new_hash: key.hash(),
        overlap_seconds: overlap.as_secs(),
        expires_at,
    };
    let mut view = api.database().login().view().await?;
    let outcome =
        rotate_api_key(view.connection().client(), &admin.acting(), &rotation).await.map_err(refused)?;
    let why = match outcome {
        RotationOutcome::Rotated => return created(&mut view, &id, &key).await,
        RotationOutcome::Unknown => return Err(RecordError::NotFound.into()),
        RotationOutcome::Revoked => "was revoked: create a new key",
        RotationOutcome::Expired => "has expired: create a new key",
        RotationOutcome::Replaced => "was rotated before: rotate the key that took its place (`replacedBy`)",
    };
    Err(Violations(vec![Violation::new("id", "active", why)]).into())
}

/// `DELETE /platform/api-keys/{id}`: ends a key for good, on every replica within two seconds.
pub(crate) async fn revoke_key(
    State(api): State<Api>,
    admin: Admin,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    let [] = query::only(parts.uri.query(), [])?;
    let id = path_id(parts.uri.path(), 2)?;
    let mut view = api.database().login().view().await?;
    let known = revoke_api_key(view.connection().client(), &admin.acting(), &id).await.map_err(refused)?;
    if known { Ok(StatusCode::NO_CONTENT) } else { Err(RecordError::NotFound.into()) }
}

fn mint(api: &Api) -> Result<NewKey, ApiError> {
    NewKey::mint(api.config().environment.as_str()).map_err(login::fault)
}

async fn created(
    view: &mut login::View,
    id: &str,
    key: &NewKey,
) -> Result<(StatusCode, Json<Data<ApiKeyCreated>>), ApiError> {
    let stored = api_key_by_id(view.connection().client(), id).await.map_err(refused)?;
    let stored = stored.ok_or(RecordError::NotFound)?;
    let listed = listed(stored, Timestamp::now())?;
    let created = ApiKeyCreated { key: key.text().to_owned(), listed };
    Ok((StatusCode::CREATED, Json(Data { data: created })))
}

/// The key of a request, without id and hash.
fn read_request(bytes: &[u8], now: Timestamp) -> Result<NewApiKey, ApiError> {
    let known = ["actor", "roles", "attributes", "scopes", "expiresIn", "name"];
    let mut members = Members::read(bytes, &known)?;
    let actor = members.text("actor").filter(|actor| check_actor(&mut members, actor));
    let roles: BTreeSet<String> = members.optional("roles", "a list of texts").unwrap_or_default();
    for role in roles.iter().filter(|role| !is_role(role)) {
        let shown: String = role.chars().take(80).collect();
        let message = format!(
            "`{}` is not a role: use 1 to 128 letters, digits and any of - _ . : / @",
            shown.escape_debug()
        );
        members.wrong("roles", "pattern", message);
    }
    let attributes: Map<String, Value> = members.optional("attributes", "an object").unwrap_or_default();
    let parts =
        IdentityParts { attributes: attributes.clone(), ..IdentityParts::user("x", "x", Timestamp::MAX) };
    if let Err(error) = Identity::new(parts) {
        members.wrong("attributes", "limit", error.to_string());
    }
    let parts = IdentityParts { roles: roles.clone(), ..IdentityParts::user("x", "x", Timestamp::MAX) };
    if let Err(error) = Identity::new(parts) {
        members.wrong("roles", "limit", error.to_string());
    }
    let scopes = read_scopes(&mut members);
    let expires_at =
        read_duration(&mut members, "expiresIn").and_then(|valid| after(&mut members, now, valid));
    let name: Option<String> = members.optional("name", "a text");
    if name.as_ref().is_some_and(|name| name.chars().count() > MAX_NAME || name.chars().any(char::is_control))
    {
        members.wrong(
            "name",
            "maxLength",
            format!("has more than {MAX_NAME} characters, or control characters"),
        );
    }
    let key = actor.map(|actor| NewApiKey {
        id: String::new(),
        hash: [0; 32],
        name,
        actor,
        roles: roles.into_iter().collect(),
        attributes,
        scopes: json!(scopes),
        expires_at,
    });
    members.finish(key)
}

fn read_rotation(bytes: &[u8], now: Timestamp) -> Result<(std::time::Duration, Option<Timestamp>), ApiError> {
    let mut members = Members::read(bytes, &["overlap", "expiresIn"])?;
    let overlap = members.optional::<String>("overlap", "a duration such as 24h");
    let overlap = overlap.map_or(Some(OVERLAP), |text| read_overlap(&mut members, &text));
    let expires_at =
        read_duration(&mut members, "expiresIn").and_then(|valid| after(&mut members, now, valid));
    members.finish(overlap.map(|overlap| (overlap, expires_at)))
}

/// Replicas remember a key for a minute: an end before that could not be kept, but for one at once.
fn read_overlap(members: &mut Members, text: &str) -> Option<std::time::Duration> {
    match parse_duration(text) {
        Ok(overlap) if !overlap.is_zero() && overlap < SHORTEST_OVERLAP => {
            let message = "is shorter than a minute: use 1m or more, or 0s to end the old key at once";
            members.wrong("overlap", "min", message);
            None
        }
        Ok(overlap) => Some(overlap),
        Err(error) => {
            members.wrong("overlap", "duration", error.to_string());
            None
        }
    }
}

fn check_actor(members: &mut Members, actor: &str) -> bool {
    match Identity::new(IdentityParts::user(actor, "x", Timestamp::MAX)) {
        Ok(_) if actor != "*" => true,
        Ok(_) => {
            members.wrong("actor", "pattern", "is one actor: a key stands for somebody");
            false
        }
        Err(error) => {
            members.wrong("actor", "pattern", error.to_string());
            false
        }
    }
}

/// Whether any schema could grant something to a role of that name.
fn is_role(role: &str) -> bool {
    let parts =
        IdentityParts { roles: [role.to_owned()].into(), ..IdentityParts::user("x", "x", Timestamp::MAX) };
    Identity::new(parts).is_ok_and(|identity| identity.roles().contains(role))
}

fn read_scopes(members: &mut Members) -> Vec<CredentialScope> {
    let scopes: Vec<Value> = members.optional("scopes", "a list of scopes").unwrap_or_default();
    if scopes.len() > MAX_SCOPES {
        members.wrong("scopes", "maxItems", format!("has more than {MAX_SCOPES} scopes"));
    }
    let mut read = Vec::with_capacity(scopes.len());
    for (index, scope) in scopes.into_iter().take(MAX_SCOPES).enumerate() {
        match serde_json::from_value(scope) {
            Ok(scope) => read.push(scope),
            Err(error) => members.wrong(format!("scopes[{index}]"), "scope", error.to_string()),
        }
    }
    read
}

fn read_duration(members: &mut Members, name: &str) -> Option<std::time::Duration> {
    let text: String = members.optional(name, "a duration such as 90d")?;
    match parse_duration(&text) {
        Ok(duration) if duration.is_zero() => {
            members.wrong(name, "duration", "is no time at all");
            None
        }
        Ok(duration) => Some(duration),
        Err(error) => {
            members.wrong(name, "duration", error.to_string());
            None
        }
    }
}

fn after(members: &mut Members, now: Timestamp, valid: std::time::Duration) -> Option<Timestamp> {
    let at = SignedDuration::try_from(valid).ok().and_then(|valid| now.checked_add(valid).ok());
    if at.is_none() {
        members.wrong("expiresIn", "duration", "ends after the year 9999");
    }
    at
}

/// The key as the contract has it.
fn listed(key: ListedApiKey, now: Timestamp) -> Result<ApiKey, ApiError> {
    let is_over = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
    let status = if key.revoked_at.is_some() {
        ApiKeyStatus::Revoked
    } else if is_over(key.expires_at) || is_over(key.ends_at) {
        ApiKeyStatus::Expired
    } else if key.ends_at.is_some() {
        ApiKeyStatus::Rotated
    } else {
        ApiKeyStatus::Active
    };
    let scopes: Vec<KeyScope> = serde_json::from_value(key.scopes)
        .map_err(|error| login::refused(platform::AccessError::from(error)))?;
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    Ok(ApiKey {
        id: key.id,
        name: key.name,
        status,
        actor: key.actor,
        roles: key.roles.into_iter().collect(),
        attributes: key.attributes,
        scopes,
        created_at: key.created_at.to_string(),
        created_by: key.created_by,
        expires_at: text(key.expires_at),
        ends_at: text(key.ends_at),
        replaced_by: key.replaced_by,
        revoked_at: text(key.revoked_at),
        last_used_at: text(key.last_used_at),
        last_used_ip: key.last_used_ip,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(body: &Value) -> Vec<String> {
        match read_request(body.to_string().as_bytes(), Timestamp::now()) {
            Err(ApiError::Invalid(violations)) => violations
                .0
                .iter()
                .map(|violation| format!("{} {}", violation.path, violation.rule))
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn everything_that_is_wrong_with_a_key_is_said_at_once() {
        let body = json!({
            "actr": "x", "roles": ["reader", "a role"], "attributes": [], "expiresIn": "soon",
            "scopes": [{ "schema": "acme/*/*/*/*" }, { "schema": "acme" }, { "schema": "*/*/*/*/*", "operations": [] }],
            "name": "a\nb",
        });
        assert_eq!(
            violations(&body),
            [
                "actr unknownField",
                "actor required",
                "roles pattern",
                "attributes type",
                "scopes[1] scope",
                "scopes[2] scope",
                "expiresIn duration",
                "name maxLength",
            ]
        );
        assert_eq!(violations(&json!({ "actor": "*" })), ["actor pattern"]);
        assert_eq!(violations(&json!({ "actor": "a", "expiresIn": "0s" })), ["expiresIn duration"]);
    }

    #[test]
    fn an_old_key_goes_on_for_a_day_unless_said_otherwise() {
        let now = Timestamp::now();
        assert_eq!(read_rotation(b"{}", now).unwrap(), (OVERLAP, None));
        let read = read_rotation(br#"{"overlap": "0s", "expiresIn": "1d"}"#, now).unwrap();
        assert_eq!(read, (std::time::Duration::ZERO, Some(now + SignedDuration::from_hours(24))));
        for overlap in ["-1h", "59s", "soon"] {
            let body = format!(r#"{{"overlap": "{overlap}"}}"#);
            assert!(read_rotation(body.as_bytes(), now).is_err(), "{overlap}");
        }
    }
}
