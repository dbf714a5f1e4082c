//! What is not there: no route, no such method, not yet. Under `/api` and `/platform` only callers with a credential
//! are told so.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use http::Uri;
use http::request::Parts;

use crate::catalog::Found;
use crate::error::ApiError;
use crate::request::path::schema_route;
use crate::state::Api;

/// A route of the contract that comes with a later version.
pub(crate) fn later(what: &'static str) -> MethodRouter<Api> {
    any(move |State(api): State<Api>, request: Request| async move {
        let (parts, _) = request.into_parts();
        authenticate_where_needed(&api, &parts).await?;
        Err::<(), _>(ApiError::NotThereYet { route: shown(&parts.uri), what })
    })
}

/// No route at all.
pub(crate) async fn no_route(State(api): State<Api>, parts: Parts) -> Response {
    match authenticate_where_needed(&api, &parts).await {
        Ok(()) => ApiError::RouteNotFound { path: shown(&parts.uri) }.into_response(),
        Err(error) => error.into_response(),
    }
}

/// A route without this method. The router adds `Allow`.
pub(crate) async fn no_method(State(api): State<Api>, parts: Parts) -> Response {
    match authenticate_where_needed(&api, &parts).await {
        Ok(()) => {
            let method = parts.method.as_str().chars().take(20).collect();
            ApiError::MethodNotAllowed { method }.into_response()
        }
        Err(error) => error.into_response(),
    }
}

async fn authenticate_where_needed(api: &Api, parts: &Parts) -> Result<(), ApiError> {
    let path = parts.uri.path();
    let is_below =
        |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if !is_below("/api") && !is_below("/platform") {
        return Ok(());
    }
    let schema = schema_route(path).and_then(|(schema, _)| match api.catalog().load().find(schema) {
        Found::Served(schema) => Some(Arc::clone(schema)),
        Found::NotReady(_) | Found::Nothing => None,
    });
    let strategy = match &schema {
        Some(schema) => api.strategy_of(schema),
        None => api.default_strategy(),
    };
    api.authenticate(strategy, parts).await?;
    Ok(())
}

fn shown(uri: &Uri) -> String {
    uri.path().chars().take(400).collect()
}
