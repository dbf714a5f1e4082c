//! How the API is, and what runs.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;
use velocity_contract::listing::ServerVersion;

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
