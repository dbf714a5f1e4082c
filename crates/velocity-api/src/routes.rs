//! Every route on one page: what is there, and what the contract promises for later.

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete as delete_route, get, post};
use http::header::CONTENT_TYPE;

use crate::handlers::{
    auth, bulk, create, delete, describe, export, fallback, history, list, operations, patch, platform, read,
    replace, undelete,
};
use crate::metrics::Metrics;
use crate::state::Api;

/// One operation of the API, as metrics name it.
pub(crate) struct Endpoint {
    pub(crate) method: &'static str,
    pub(crate) template: &'static str,
    pub(crate) operation: &'static str,
}

/// The index of an [`Endpoint`] in [`ENDPOINTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndpointId(usize);

impl EndpointId {
    pub(crate) fn index(self) -> usize {
        self.0
    }
}

const fn on(method: &'static str, template: &'static str, operation: &'static str) -> Endpoint {
    Endpoint { method, template, operation }
}

/// What is there, the hot routes first.
pub(crate) const ENDPOINTS: &[Endpoint] = &[
    on("GET", "/api/{org}/{app}/{domain}/{object}/{version}/{id}", "read"),
    on("GET", "/api/{org}/{app}/{domain}/{object}/{version}", "list"),
    on("POST", "/api/{org}/{app}/{domain}/{object}/{version}", "create"),
    on("PATCH", "/api/{org}/{app}/{domain}/{object}/{version}/{id}", "update"),
    on("PUT", "/api/{org}/{app}/{domain}/{object}/{version}/{id}", "replace"),
    on("DELETE", "/api/{org}/{app}/{domain}/{object}/{version}/{id}", "delete"),
    on("POST", "/api/{org}/{app}/{domain}/{object}/{version}/bulk", "bulk"),
    on("GET", "/api/{org}/{app}/{domain}/{object}/{version}/export", "export"),
    on("GET", "/api/{org}/{app}/{domain}/{object}/{version}/{id}/history", "history"),
    on("POST", "/api/{org}/{app}/{domain}/{object}/{version}/{id}/undelete", "undelete"),
    on("GET", "/api/{org}/{app}/{domain}/{object}/{version}/openapi.json", "schemaOpenapi"),
    on("GET", "/api/{org}/{app}/{domain}/{object}/{version}/schema.json", "jsonSchema"),
    on("GET", "/api/openapi.json", "openapi"),
    on("GET", "/api", "listSchemas"),
    on("GET", "/auth/whoami", "whoami"),
    on("GET", "/auth/login", "login"),
    on("GET", "/auth/callback", "loginCallback"),
    on("POST", "/auth/logout", "logout"),
    on("POST", "/auth/device", "deviceLogin"),
    on("POST", "/platform/plan", "plan"),
    on("GET", "/platform/drift", "drift"),
    on("GET", "/platform/explain", "explain"),
    on("GET", "/platform/api-keys", "listApiKeys"),
    on("POST", "/platform/api-keys", "createApiKey"),
    on("DELETE", "/platform/api-keys/{id}", "revokeApiKey"),
    on("POST", "/platform/api-keys/{id}/rotate", "rotateApiKey"),
    on("GET", "/platform/revocations", "listRevocations"),
    on("POST", "/platform/revocations", "revoke"),
    on("DELETE", "/platform/revocations/{id}", "liftRevocation"),
    on("GET", "/healthz", "healthz"),
    on("GET", "/readyz", "readyz"),
    on("GET", "/version", "version"),
];

/// Method and template of every endpoint, for whoever must know them all: documentation, tests that attack each.
pub fn endpoints() -> impl Iterator<Item = (&'static str, &'static str)> {
    ENDPOINTS.iter().map(|endpoint| (endpoint.method, endpoint.template))
}

/// The endpoint of a method and a route's template. HEAD is counted as GET.
pub(crate) fn endpoint(method: &str, template: &str) -> Option<EndpointId> {
    let method = if method == "HEAD" { "GET" } else { method };
    ENDPOINTS.iter().position(|e| e.method == method && e.template == template).map(EndpointId)
}

/// Routes that the contract has and this version has not, with what they belong to.
const LATER: &[(&str, &str)] = &[
    ("/import", "server-side import"),
    ("/query", "the query language"),
    ("/search", "ranked search"),
    ("/changes", "the change stream"),
    ("/snapshots", "snapshots"),
    ("/archive/query", "the archive"),
    ("/{id}/diff", "the time machine"),
    ("/{id}/restore", "the time machine"),
    ("/{id}/replay", "the change stream"),
    ("/{id}/archive", "the archive"),
    ("/{id}/unarchive", "the archive"),
];
const LATER_ELSEWHERE: &[(&str, &str)] = &[
    ("/api/{org}/search", "search across schemas"),
    ("/docs", "the API browser"),
    ("/platform/{*rest}", "administration"),
];

/// The routes of the API, without the envelope around them.
pub(crate) fn routes() -> Router<Api> {
    let record = get(read::read_record)
        .patch(patch::patch_record)
        .put(replace::replace_record)
        .delete(delete::delete_record);
    let there = Router::new()
        .route(&of_schema(""), get(list::list_records).post(create::create_record))
        .route(&of_schema("/{id}"), record)
        .route(&of_schema("/{id}/undelete"), post(undelete::undelete_record))
        .route(&of_schema("/{id}/history"), get(history::list_history))
        .route(&of_schema("/bulk"), post(bulk::write_in_bulk))
        .route(&of_schema("/export"), get(export::export_records))
        .route(&of_schema("/openapi.json"), get(describe::schema_openapi))
        .route(&of_schema("/schema.json"), get(describe::json_schema))
        .route("/api", get(describe::list_schemas))
        .route("/api/openapi.json", get(describe::openapi))
        .route("/auth/whoami", get(auth::whoami))
        .route("/auth/login", get(auth::start_login))
        .route("/auth/callback", get(auth::finish_login))
        .route("/auth/logout", post(auth::log_out))
        .route("/auth/device", post(auth::device_login))
        .route("/platform/plan", post(platform::plan_schema))
        .route("/platform/drift", get(platform::show_drift))
        .route("/platform/explain", get(platform::explain))
        .route("/platform/api-keys", get(platform::list_keys).post(platform::create_key))
        .route("/platform/api-keys/{id}", delete_route(platform::revoke_key))
        .route("/platform/api-keys/{id}/rotate", post(platform::rotate_key))
        .route("/platform/revocations", get(platform::list_revoked).post(platform::create_revocation))
        .route("/platform/revocations/{id}", delete_route(platform::lift))
        .route("/healthz", get(operations::healthz))
        .route("/readyz", get(operations::readyz))
        .route("/version", get(operations::version));
    let later = LATER.iter().map(|(tail, what)| (of_schema(tail), *what));
    let later = later.chain(LATER_ELSEWHERE.iter().map(|(path, what)| ((*path).to_owned(), *what)));
    later
        .fold(there, |router, (path, what)| router.route(&path, fallback::later(what)))
        .fallback(fallback::no_route)
        .method_not_allowed_fallback(fallback::no_method)
}

/// The routes of the port for operations.
pub(crate) fn metrics_routes(metrics: Arc<Metrics>) -> Router {
    let text = move || async move {
        ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], metrics.text())
    };
    Router::new().route("/metrics", get(text)).route("/healthz", get(operations::healthz))
}

/// A route below a schema's endpoint.
fn of_schema(tail: &str) -> String {
    format!("/api/{{org}}/{{app}}/{{domain}}/{{object}}/{{version}}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_found_by_method_and_template() {
        let read = endpoint("GET", ENDPOINTS[0].template).unwrap();
        assert_eq!(ENDPOINTS[read.index()].operation, "read");
        assert_eq!(endpoint("HEAD", ENDPOINTS[0].template), Some(read));
        assert_eq!(endpoint("POST", "/healthz"), None);
    }
}
