//! What is served: versions, groups, resources, the OpenAPI documents.

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode, header, request::Parts};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::negotiate::{DiscoveryForm, discovery_form};
use super::path::Target;
use super::respond::json_document;
use crate::kind::{Behaviour, Endpoint, Registry, api_version};
use crate::openapi;
use crate::server::Core;
use crate::status::ApiError;

/// The Kubernetes version whose behaviour we follow.
const MINOR: &str = "36";

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const CUSTOM_VERBS: [&str; 8] =
    ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
const READ_VERBS: [&str; 2] = ["get", "list"];
const STATUS_VERBS: [&str; 3] = ["get", "patch", "update"];

pub(super) fn answer(core: &Core, target: &Target, parts: &Parts) -> Result<Response, ApiError> {
    let registry = &core.registry;
    let document = match target {
        Target::Root => roots(registry),
        Target::Version => version(),
        Target::LegacyVersions => return versions_or_groups(registry, parts, true),
        Target::Groups => return versions_or_groups(registry, parts, false),
        Target::Group(name) => {
            let groups = registry.groups();
            let versions =
                groups.get(name.as_str()).filter(|_| !name.is_empty()).ok_or_else(ApiError::no_page)?;
            let mut group = group(name, versions);
            group["kind"] = json!("APIGroup");
            group["apiVersion"] = json!("v1");
            group
        }
        Target::Resources { group, version } => resources(registry, group, version)?,
        Target::OpenApiIndex => openapi::index(registry),
        Target::OpenApi { group, version } => return openapi_document(registry, group, version, parts),
        Target::OpenApiV2 => return Err(ApiError::not_acceptable("none: use /openapi/v3")),
        Target::Health | Target::Resource { .. } => return Err(ApiError::unknown_path()),
    };
    Ok(json_document(StatusCode::OK, document.to_string()))
}

fn openapi_document(
    registry: &Registry,
    group: &str,
    version: &str,
    parts: &Parts,
) -> Result<Response, ApiError> {
    let document = openapi::document(registry, group, version).ok_or_else(ApiError::unknown_path)?;
    let body = document.to_string();
    let hash = openapi::hash(&body);
    let etag = HeaderValue::from_str(&format!("\"{hash}\"")).map_err(ApiError::internal)?;
    let named =
        parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == format!("hash={hash}")));
    if parts.headers.get(header::IF_NONE_MATCH) == Some(&etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let mut response = json_document(StatusCode::OK, body);
    response.headers_mut().insert(header::ETAG, etag);
    let caching = if named { "public, immutable" } else { "no-cache, private" };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    Ok(response)
}

fn version() -> Value {
    json!({
        "major": "1", "minor": MINOR, "gitVersion": format!("v1.{MINOR}.0+velocity"), "gitCommit": "",
        "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

fn roots(registry: &Registry) -> Value {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for (group, versions) in registry.groups().into_iter().filter(|(group, _)| !group.is_empty()) {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions.iter().map(|version| format!("/apis/{group}/{version}")));
    }
    paths.extend(["/healthz", "/livez", "/openapi/v3", "/readyz", "/version"].map(str::to_owned));
    json!({ "paths": paths })
}

fn group(name: &str, versions: &[&str]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({ "groupVersion": api_version(name, version), "version": version }))
        .collect();
    json!({ "name": name, "preferredVersion": versions.first(), "versions": versions })
}

fn versions_or_groups(registry: &Registry, parts: &Parts, core: bool) -> Result<Response, ApiError> {
    match discovery_form(&parts.headers)? {
        DiscoveryForm::Legacy if core => {
            let document = json!({
                "kind": "APIVersions", "versions": ["v1"],
                "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": "" }],
            });
            Ok(json_document(StatusCode::OK, document.to_string()))
        }
        DiscoveryForm::Legacy => {
            let groups: Vec<Value> = registry
                .groups()
                .into_iter()
                .filter(|(name, _)| !name.is_empty())
                .map(|(name, versions)| group(name, &versions))
                .collect();
            let document = json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups });
            Ok(json_document(StatusCode::OK, document.to_string()))
        }
        DiscoveryForm::Aggregated { version } => {
            let document = aggregated(registry, core, version);
            let mut response = json_document(StatusCode::OK, document.to_string());
            let kind = format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
            let kind = HeaderValue::from_str(&kind).map_err(ApiError::internal)?;
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
            Ok(response)
        }
    }
}

fn verbs(endpoint: &Endpoint) -> &'static [&'static str] {
    match endpoint.kind.behaviour {
        Behaviour::Definition => &READ_VERBS,
        Behaviour::Custom => &CUSTOM_VERBS,
        _ => &VERBS,
    }
}

/// Tells clients when objects move to another stored version.
fn storage_hash(endpoint: &Endpoint) -> String {
    let kind = &endpoint.kind;
    let version = kind.stored_as.rsplit('/').next().unwrap_or_default();
    let digest = Sha256::digest(format!("{}/{version}/{}", kind.group, kind.kind));
    STANDARD.encode(&digest[..8])
}

fn resources(registry: &Registry, group: &str, version: &str) -> Result<Value, ApiError> {
    let mut resources = Vec::new();
    for endpoint in registry.of_version(group, version) {
        let kind = &endpoint.kind;
        let mut entry = json!({
            "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind,
            "verbs": verbs(endpoint), "storageVersionHash": storage_hash(endpoint),
        });
        if !kind.short_names.is_empty() {
            entry["shortNames"] = json!(kind.short_names);
        }
        if !kind.categories.is_empty() {
            entry["categories"] = json!(kind.categories);
        }
        resources.push(entry);
        if endpoint.version().has_status && !endpoint.is_read_only() {
            resources.push(json!({
                "name": format!("{}/status", kind.plural), "singularName": "", "namespaced": kind.namespaced,
                "kind": kind.kind, "verbs": STATUS_VERBS,
            }));
        }
    }
    if resources.is_empty() {
        return Err(if group.is_empty() { ApiError::unknown_path() } else { ApiError::no_page() });
    }
    Ok(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version(group, version),
        "resources": resources,
    }))
}

fn aggregated(registry: &Registry, core: bool, version: &str) -> Value {
    let items: Vec<Value> = registry
        .groups()
        .into_iter()
        .filter(|(name, _)| name.is_empty() == core)
        .map(|(name, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let resources: Vec<Value> =
                        registry.of_version(name, version).map(aggregated_resource).collect();
                    json!({ "version": version, "resources": resources, "freshness": "Current" })
                })
                .collect();
            let metadata = if core { json!({}) } else { json!({ "name": name }) };
            json!({ "metadata": metadata, "versions": versions })
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {},
        "items": items,
    })
}

fn aggregated_resource(endpoint: &Endpoint) -> Value {
    let kind = &endpoint.kind;
    let response = json!({ "group": kind.group, "version": endpoint.version().name, "kind": kind.kind });
    let mut entry = json!({
        "resource": kind.plural, "responseKind": response, "singularResource": kind.singular,
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" }, "verbs": verbs(endpoint),
    });
    if !kind.short_names.is_empty() {
        entry["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        entry["categories"] = json!(kind.categories);
    }
    if endpoint.version().has_status && !endpoint.is_read_only() {
        entry["subresources"] =
            json!([{ "subresource": "status", "responseKind": response, "verbs": STATUS_VERBS }]);
    }
    entry
}
