//! The OpenAPI v3 documents, one per group version: what `kubectl explain` and `kubectl apply` read.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::builtin::object_meta;
use crate::kind::{Behaviour, Endpoint, Registry};

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";

/// Names a document by its content.
pub(crate) fn hash(body: &str) -> String {
    Sha256::digest(body).iter().fold(String::new(), |text, byte| text + &format!("{byte:02X}"))
}

fn place(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// `/openapi/v3`: where each document is.
pub(crate) fn index(registry: &Registry) -> Value {
    let mut paths = json!({});
    for (group, versions) in registry.groups() {
        for version in versions {
            let Some(document) = document(registry, group, version) else { continue };
            let place = place(group, version);
            let url = format!("/openapi/v3/{place}?hash={}", hash(&document.to_string()));
            paths[place] = json!({ "serverRelativeURL": url });
        }
    }
    json!({ "paths": paths })
}

/// The document of one group version.
pub(crate) fn document(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let mut schemas = shared_schemas();
    let mut paths = json!({});
    let mut found = false;
    for endpoint in registry.of_version(group, version) {
        found = true;
        let name = component(endpoint);
        schemas[&name] = kind_schema(endpoint);
        schemas[format!("{name}List")] = list_schema(endpoint, &name);
        add_paths(&mut paths, endpoint, &name);
    }
    found.then(|| {
        json!({
            "openapi": "3.0.0",
            "info": { "title": "Kubernetes", "version": "v1.36.0" },
            "paths": paths,
            "components": { "schemas": schemas },
        })
    })
}

/// The component's name: built-in kinds where Kubernetes has them, others under their reversed group.
fn component(endpoint: &Endpoint) -> String {
    let (kind, version) = (&endpoint.kind, &endpoint.version().name);
    if kind.behaviour == Behaviour::Custom {
        let reversed: Vec<&str> = kind.group.rsplit('.').collect();
        return format!("{}.{version}.{}", reversed.join("."), kind.kind);
    }
    let group = match kind.group.as_str() {
        "" => "api.core",
        "events.k8s.io" => "api.events",
        "coordination.k8s.io" => "api.coordination",
        _ => "apiextensions-apiserver.pkg.apis.apiextensions",
    };
    format!("io.k8s.{group}.{version}.{}", kind.kind)
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn type_of(endpoint: &Endpoint, kind: &str) -> Value {
    json!({ "group": endpoint.kind.group, "version": endpoint.version().name, "kind": kind })
}

fn kind_schema(endpoint: &Endpoint) -> Value {
    let mut schema = endpoint.version().openapi.clone();
    schema["properties"]["metadata"] = json!({ "description": "Standard object's metadata.", "allOf": [reference(OBJECT_META)], "default": {} });
    schema["x-kubernetes-group-version-kind"] = json!([type_of(endpoint, &endpoint.kind.kind)]);
    schema
}

fn list_schema(endpoint: &Endpoint, name: &str) -> Value {
    let kind = &endpoint.kind;
    json!({
        "type": "object",
        "description": format!("{} is a list of {}", kind.list_kind, kind.kind),
        "required": ["items"],
        "properties": {
            "apiVersion": { "type": "string", "description": "The group and version of this representation." },
            "kind": { "type": "string", "description": "The kind of resource that this object is." },
            "metadata": { "description": "Standard list metadata.", "allOf": [reference(LIST_META)], "default": {} },
            "items": {
                "type": "array",
                "description": format!("List of {}.", kind.plural),
                "items": { "allOf": [reference(name)] },
            },
        },
        "x-kubernetes-group-version-kind": [type_of(endpoint, &kind.list_kind)],
    })
}

fn shared_schemas() -> Value {
    json!({
        OBJECT_META: object_meta(),
        LIST_META: {
            "type": "object",
            "description": "What a list carries about itself.",
            "properties": {
                "continue": { "type": "string", "description": "Token for the next page." },
                "remainingItemCount": {
                    "type": "integer", "format": "int64", "description": "Items after this page."
                },
                "resourceVersion": { "type": "string", "description": "The version to watch from." },
                "selfLink": { "type": "string", "description": "No longer set." },
            },
        },
        DELETE_OPTIONS: {
            "type": "object",
            "description": "How to delete.",
            "properties": {
                "apiVersion": { "type": "string" }, "kind": { "type": "string" },
                "dryRun": { "type": "array", "items": { "type": "string" } },
                "gracePeriodSeconds": { "type": "integer", "format": "int64" },
                "propagationPolicy": { "type": "string" },
                "preconditions": {
                    "type": "object",
                    "properties": { "uid": { "type": "string" }, "resourceVersion": { "type": "string" } },
                },
            },
        },
        STATUS: {
            "type": "object",
            "description": "What came of a call that does not answer with an object.",
            "properties": {
                "apiVersion": { "type": "string" }, "kind": { "type": "string" },
                "metadata": { "allOf": [reference(LIST_META)], "default": {} },
                "status": { "type": "string" }, "message": { "type": "string" }, "reason": { "type": "string" },
                "code": { "type": "integer", "format": "int32" },
                "details": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            },
        },
    })
}

fn parameter(name: &str, place: &str, kind: &str) -> Value {
    json!({ "name": name, "in": place, "required": place == "path", "schema": { "type": kind, "uniqueItems": true } })
}

fn parameters(names: &[(&str, &str)]) -> Value {
    names.iter().map(|(name, kind)| parameter(name, "query", kind)).collect()
}

fn write_parameters(patch: bool) -> Value {
    let mut names = vec![("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")];
    if patch {
        names.push(("force", "boolean"));
    }
    parameters(&names)
}

fn list_parameters() -> Value {
    parameters(&[
        ("allowWatchBookmarks", "boolean"),
        ("continue", "string"),
        ("fieldSelector", "string"),
        ("labelSelector", "string"),
        ("limit", "integer"),
        ("resourceVersion", "string"),
        ("resourceVersionMatch", "string"),
        ("sendInitialEvents", "boolean"),
        ("timeoutSeconds", "integer"),
        ("watch", "boolean"),
    ])
}

fn responses(schema: &str) -> Value {
    json!({ "200": { "description": "OK", "content": { "application/json": { "schema": reference(schema) } } } })
}

fn operation(endpoint: &Endpoint, action: &str, answer: &str, query: &Value) -> Value {
    json!({
        "operationId": format!("{action}{}{}", endpoint.kind.kind, endpoint.version().name),
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": type_of(endpoint, &endpoint.kind.kind),
        "parameters": query,
        "responses": responses(answer),
    })
}

fn with_body(mut operation: Value, media: &[&str], schema: &str) -> Value {
    let mut content = json!({});
    for kind in media {
        content[*kind] = json!({ "schema": reference(schema) });
    }
    operation["requestBody"] = json!({ "required": true, "content": content });
    operation
}

fn add_paths(paths: &mut Value, endpoint: &Endpoint, name: &str) {
    let root = place(&endpoint.kind.group, &endpoint.version().name);
    let plural = &endpoint.kind.plural;
    let base = if endpoint.kind.namespaced {
        let all = operation(endpoint, "list", &format!("{name}List"), &list_parameters());
        paths[format!("/{root}/{plural}")] = json!({ "get": all });
        format!("/{root}/namespaces/{{namespace}}/{plural}")
    } else {
        format!("/{root}/{plural}")
    };
    let mut of_path = Vec::new();
    if endpoint.kind.namespaced {
        of_path.push(parameter("namespace", "path", "string"));
    }
    paths[&base] = collection(endpoint, name, &of_path);
    of_path.push(parameter("name", "path", "string"));
    let item = format!("{base}/{{name}}");
    paths[&item] = single(endpoint, name, &of_path, true);
    if endpoint.version().has_status {
        paths[format!("{item}/status")] = single(endpoint, name, &of_path, false);
    }
}

fn collection(endpoint: &Endpoint, name: &str, of_path: &[Value]) -> Value {
    let mut path = json!({
        "parameters": of_path,
        "get": operation(endpoint, "list", &format!("{name}List"), &list_parameters()),
    });
    if !endpoint.is_read_only() {
        let create = operation(endpoint, "post", name, &write_parameters(false));
        path["post"] = with_body(create, &["application/json", "application/yaml"], name);
        path["delete"] = operation(endpoint, "deletecollection", STATUS, &list_parameters());
    }
    path
}

fn single(endpoint: &Endpoint, name: &str, of_path: &[Value], whole: bool) -> Value {
    let mut path = json!({ "parameters": of_path, "get": operation(endpoint, "get", name, &json!([])) });
    if endpoint.is_read_only() {
        return path;
    }
    let put = operation(endpoint, "put", name, &write_parameters(false));
    path["put"] = with_body(put, &["application/json", "application/yaml"], name);
    let mut media =
        vec!["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"];
    if endpoint.kind.behaviour != Behaviour::Custom {
        media.push("application/strategic-merge-patch+json");
    }
    path["patch"] = with_body(operation(endpoint, "patch", name, &write_parameters(true)), &media, name);
    if whole {
        let delete = operation(
            endpoint,
            "delete",
            STATUS,
            &parameters(&[
                ("dryRun", "string"),
                ("gracePeriodSeconds", "integer"),
                ("propagationPolicy", "string"),
            ]),
        );
        path["delete"] = with_body(delete, &["application/json"], DELETE_OPTIONS);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin;
    use crate::kind::api_version;

    #[test]
    fn every_reference_in_a_document_leads_somewhere() {
        let mut registry = Registry::default();
        for kind in builtin::kinds().unwrap() {
            registry.add(kind);
        }
        for (group, versions) in registry.groups() {
            let document = document(&registry, group, versions[0]).unwrap();
            let text = document.to_string();
            for part in text.split("\"#/components/schemas/").skip(1) {
                let name = part.split('"').next().unwrap();
                assert!(
                    document["components"]["schemas"][name].is_object(),
                    "{} {name}",
                    api_version(group, "v1")
                );
            }
        }
    }
}
