//! CustomResourceDefinition manifests: what they define, and the object that is shown for them.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::builtin::object_meta;
use crate::kind::{Behaviour, Kind, Version, api_version, priority};
use crate::schema::{Schema, SchemaError};
use crate::table::{Column, ColumnError};

/// Why a manifest cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CrdError {
    #[error("it is not an apiextensions.k8s.io/v1 CustomResourceDefinition")]
    NotADefinition,
    #[error("it cannot be read")]
    Shape(#[from] serde_json::Error),
    #[error("metadata.name must be {expected}")]
    Name { expected: String },
    #[error("spec.versions needs exactly one version with storage: true")]
    Storage,
    #[error("spec.conversion.strategy must be None: there are no conversion webhooks here")]
    Conversion,
    #[error("version {version} has no schema.openAPIV3Schema of type object")]
    NoSchema { version: String },
    #[error("the schema of version {version}")]
    Schema { version: String, source: SchemaError },
    #[error("the printer columns of version {version}")]
    Columns { version: String, source: ColumnError },
}

#[derive(Deserialize)]
struct Manifest {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
struct Spec {
    group: String,
    names: Names,
    scope: Scope,
    versions: Vec<VersionSpec>,
    conversion: Option<Conversion>,
}

#[derive(Deserialize)]
struct Conversion {
    strategy: String,
}

#[derive(Deserialize, PartialEq)]
enum Scope {
    Namespaced,
    Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "named as in the manifest")]
struct Names {
    plural: String,
    singular: Option<String>,
    kind: String,
    list_kind: Option<String>,
    #[serde(default)]
    short_names: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VersionSpec {
    name: String,
    served: bool,
    storage: bool,
    schema: Option<VersionSchema>,
    #[serde(default)]
    subresources: Value,
    #[serde(default)]
    additional_printer_columns: Vec<Value>,
    #[serde(default)]
    selectable_fields: Vec<Selectable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VersionSchema {
    #[serde(rename = "openAPIV3Schema")]
    open_api: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selectable {
    json_path: String,
}

/// Reads a manifest into the kind that it defines.
pub(crate) fn parse(manifest: &Value) -> Result<Kind, CrdError> {
    if manifest["apiVersion"] != "apiextensions.k8s.io/v1" || manifest["kind"] != "CustomResourceDefinition" {
        return Err(CrdError::NotADefinition);
    }
    let Manifest { metadata, spec } = Manifest::deserialize(manifest)?;
    let expected = format!("{}.{}", spec.names.plural, spec.group);
    if metadata.name != expected {
        return Err(CrdError::Name { expected });
    }
    if spec.conversion.is_some_and(|conversion| conversion.strategy != "None") {
        return Err(CrdError::Conversion);
    }
    let mut storage = spec.versions.iter().filter(|version| version.storage);
    let (Some(stored), None) = (storage.next(), storage.next()) else { return Err(CrdError::Storage) };
    let stored_as = api_version(&spec.group, &stored.name);
    let mut versions = spec
        .versions
        .iter()
        .filter(|version| version.served)
        .map(parse_version)
        .collect::<Result<Vec<_>, _>>()?;
    versions.sort_by_key(|version| std::cmp::Reverse(priority(&version.name)));
    let names = spec.names;
    Ok(Kind {
        table: format!("{}/{}", spec.group, names.plural),
        group: spec.group,
        singular: names.singular.unwrap_or_else(|| names.kind.to_lowercase()),
        list_kind: names.list_kind.unwrap_or_else(|| format!("{}List", names.kind)),
        plural: names.plural,
        kind: names.kind,
        short_names: names.short_names,
        categories: names.categories,
        namespaced: spec.scope == Scope::Namespaced,
        behaviour: Behaviour::Custom,
        stored_as,
        versions,
    })
}

fn parse_version(version: &VersionSpec) -> Result<Version, CrdError> {
    let no_schema = || CrdError::NoSchema { version: version.name.clone() };
    let open_api =
        version.schema.as_ref().and_then(|schema| schema.open_api.as_ref()).ok_or_else(no_schema)?;
    if open_api["type"] != "object" {
        return Err(no_schema());
    }
    let mut whole = open_api.clone();
    let properties = &mut whole["properties"];
    if !properties.is_object() {
        *properties = json!({});
    }
    for (name, description) in [
        ("apiVersion", "The group and version of this representation, as group/version."),
        ("kind", "The kind of resource that this object is."),
    ] {
        properties[name] = json!({ "type": "string", "description": description });
    }
    properties["metadata"] = object_meta();
    let schema = Schema::parse(&whole, "openAPIV3Schema")
        .map_err(|source| CrdError::Schema { version: version.name.clone(), source })?;
    let columns = Column::of_definition(&version.additional_printer_columns)
        .map_err(|source| CrdError::Columns { version: version.name.clone(), source })?;
    Ok(Version {
        name: version.name.clone(),
        has_status: version.subresources["status"].is_object(),
        schema,
        openapi: whole,
        columns,
        selectable: version
            .selectable_fields
            .iter()
            .map(|field| field.json_path.trim_start_matches('.').to_owned())
            .collect(),
    })
}

/// The object that `kubectl get crd` sees: the manifest with defaults and a status that says it is served.
pub(crate) fn as_object(manifest: &Value, now: &str, uid: &str) -> Value {
    let mut object = manifest.clone();
    let names = {
        let names = &mut object["spec"]["names"];
        if names["singular"].is_null() {
            names["singular"] = json!(names["kind"].as_str().unwrap_or_default().to_lowercase());
        }
        if names["listKind"].is_null() {
            names["listKind"] = json!(format!("{}List", names["kind"].as_str().unwrap_or_default()));
        }
        names.clone()
    };
    if object["spec"]["conversion"].is_null() {
        object["spec"]["conversion"] = json!({ "strategy": "None" });
    }
    let stored: Vec<Value> = object["spec"]["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|version| version["storage"] == true)
        .map(|version| version["name"].clone())
        .collect();
    let condition = |kind: &str, reason: &str, message: &str| json!({ "type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now });
    object["status"] = json!({
        "acceptedNames": names,
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "storedVersions": stored,
    });
    object["metadata"]["uid"] = json!(uid);
    object["metadata"]["creationTimestamp"] = json!(now);
    object["metadata"]["generation"] = json!(1);
    object
}
