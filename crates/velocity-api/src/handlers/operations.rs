//! How the API is, and who asks.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;
use velocity_contract::listing::{ServerVersion, WhoAmI};
use velocity_contract::page::Data;

use crate::error::ApiError;
use crate::request::query;
use crate::state::Api;

/// The process runs.
pub(crate) async fn healthz() -> Json<serde_json::Value> {
    Json(json!({ "status": "ok" }))
}

/// Requests may come: everything that was declared at the start is served, and the database answers.
pub(crate) async fn readyz(State(api): State<Api>) -> Response {
    let mut missing = api.readiness().missing();
    if !api.database().answers().await {
        missing.push("database");
    }
    let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if missing.is_empty() { "ready" } else { "waiting" };
    (status, Json(json!({ "status": word, "missing": missing }))).into_response()
}

/// What runs.
pub(crate) async fn version() -> Json<ServerVersion> {
    Json(ServerVersion { name: "velocityd".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() })
}

/// Who the caller is, under the installation's default strategy.
pub(crate) async fn whoami(State(api): State<Api>, parts: Parts) -> Result<Json<Data<WhoAmI>>, ApiError> {
    let identity = api.authenticate(api.default_strategy(), &parts).await?;
    let [] = query::only(parts.uri.query(), [])?;
    let attributes: BTreeMap<_, _> =
        identity.attributes().iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    Ok(Json(Data {
        data: WhoAmI {
            actor: identity.actor().to_owned(),
            actor_type: identity.actor_type().name().to_owned(),
            roles: identity.roles().iter().cloned().collect(),
            attributes,
            strategy: identity.strategy().to_owned(),
            expires_at: Some(identity.expires_at().to_string()),
            credential: None,
            credential_id: identity.token_id().map(str::to_owned),
            csrf_token: None,
        },
    }))
}
