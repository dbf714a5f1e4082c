//! The CustomResourceDefinitions, made from the types.
//!
//! schemars describes the types; [`structural`] turns that into what an API server takes; [`rules`] adds bounds and CEL
//! rules that a type cannot carry. `deploy/crds` holds the result, and a test fails when it drifts.

mod rules;
mod structural;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use velocity_schema::spec::SchemaDefinitionSpec;

use crate::auth_strategy::AuthStrategySpec;
use crate::resource::{AuthStrategy, RoleBinding, SchemaDefinition};
use crate::role_binding::RoleBindingSpec;
use crate::status::{AuthStrategyStatus, RoleBindingStatus, SchemaDefinitionStatus};
use crate::{GROUP, VERSION};

/// What a CRD says besides its schema.
struct Names {
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    description: &'static str,
}

/// Every CRD, as `(file name, manifest)`.
pub fn all() -> Vec<(String, Value)> {
    [schema_definition(), auth_strategy(), role_binding()]
        .into_iter()
        .map(|crd| {
            let plural = crd["spec"]["names"]["plural"].as_str().unwrap_or_default();
            (format!("{plural}.{GROUP}.yaml"), crd)
        })
        .collect()
}

/// The CRD of SchemaDefinition.
pub fn schema_definition() -> Value {
    let names = Names {
        kind: SchemaDefinition::KIND,
        plural: SchemaDefinition::PLURAL,
        short: &["sd", "schemadef"],
        description: "The contract of one object type: its table, its API, its rules and who may do what.",
    };
    let mut spec = schema_of::<SchemaDefinitionSpec>();
    rules::schema_definition(&mut spec);
    let ready = ".status.conditions[?(@.type==\"Ready\")]";
    crd(
        &names,
        &spec,
        &schema_of::<SchemaDefinitionStatus>(),
        &json!([
            column("Phase", "string", ".status.phase", "Where it stands", 0),
            column("Version", "string", ".spec.version", "The version of the contract", 0),
            column("Endpoint", "string", ".status.endpoint", "The path of the API", 0),
            column("Reason", "string", &format!("{ready}.reason"), "Why it is ready, or not", 0),
            column("Age", "date", ".metadata.creationTimestamp", "When it was made", 0),
            column("Table", "string", ".status.table", "The table in Postgres", 1),
            column("Hash", "string", ".status.specHash", "The hash of the spec that is provisioned", 1),
            column(
                "Message",
                "string",
                &format!("{ready}.message"),
                "Why it is ready, or not, in a sentence",
                1
            ),
        ]),
    )
}

/// The CRD of AuthStrategy.
pub fn auth_strategy() -> Value {
    let names = Names {
        kind: AuthStrategy::KIND,
        plural: AuthStrategy::PLURAL,
        short: &["authstrat"],
        description: "How callers prove who they are.",
    };
    let mut spec = schema_of::<AuthStrategySpec>();
    rules::auth_strategy(&mut spec);
    let ready = ".status.conditions[?(@.type==\"Ready\")]";
    let mut crd = crd(
        &names,
        &spec,
        &schema_of::<AuthStrategyStatus>(),
        &json!([
            column("Type", "string", ".spec.type", "The kind of credential", 0),
            column("Ready", "string", &format!("{ready}.status"), "Whether it is in use", 0),
            column("Reason", "string", &format!("{ready}.reason"), "Why it is ready, or not", 0),
            column("Age", "date", ".metadata.creationTimestamp", "When it was made", 0),
            column(
                "Message",
                "string",
                &format!("{ready}.message"),
                "Why it is ready, or not, in a sentence",
                1
            ),
        ]),
    );
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["x-kubernetes-validations"] =
        rules::auth_strategy_as_a_whole();
    crd
}

/// The CRD of RoleBinding.
pub fn role_binding() -> Value {
    let names = Names {
        kind: RoleBinding::KIND,
        plural: RoleBinding::PLURAL,
        short: &["vrb"],
        description: "Roles and attributes for an actor in the namespace's domain.",
    };
    let mut spec = schema_of::<RoleBindingSpec>();
    rules::role_binding(&mut spec);
    let ready = ".status.conditions[?(@.type==\"Ready\")]";
    crd(
        &names,
        &spec,
        &schema_of::<RoleBindingStatus>(),
        &json!([
            column("Actor", "string", ".spec.actor", "Whom it is for", 0),
            column("Roles", "string", ".spec.roles", "The roles that it gives", 0),
            column("Expires", "string", ".spec.expiresAt", "Until when it holds", 0),
            column("Ready", "string", &format!("{ready}.status"), "Whether it is in force", 0),
            column("Reason", "string", &format!("{ready}.reason"), "Why it is in force, or not", 0),
            column("Age", "date", ".metadata.creationTimestamp", "When it was made", 0),
            column("Scopes", "string", ".spec.scopes[*].object", "The objects that it is limited to", 1),
            column(
                "Message",
                "string",
                &format!("{ready}.message"),
                "Why it is in force, or not, in a sentence",
                1
            ),
        ]),
    )
}

/// A manifest as the file has it.
pub fn to_yaml(crd: &Value) -> String {
    let mut yaml = String::from(
        "# Generated by `cargo run -p velocity-contract --features crd --bin generate-crds`; edit the Rust types.\n",
    );
    structural::write_yaml(crd, 0, &mut yaml);
    yaml
}

fn schema_of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft07();
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    structural::rewrite(&mut schema);
    schema
}

fn column(name: &str, kind: &str, path: &str, description: &str, priority: u8) -> Value {
    json!({ "name": name, "type": kind, "jsonPath": path, "description": description, "priority": priority })
}

fn crd(names: &Names, spec: &Value, status: &Value, columns: &Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{}.{GROUP}", names.plural) },
        "spec": {
            "group": GROUP,
            "names": {
                "kind": names.kind,
                "listKind": format!("{}List", names.kind),
                "plural": names.plural,
                "singular": names.kind.to_ascii_lowercase(),
                "shortNames": names.short,
                "categories": ["velocity"],
            },
            "scope": "Namespaced",
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "additionalPrinterColumns": columns,
                "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "description": names.description,
                    "required": ["spec"],
                    "properties": {
                        "apiVersion": { "type": "string" },
                        "kind": { "type": "string" },
                        "metadata": { "type": "object" },
                        "spec": spec,
                        "status": status,
                    },
                } },
            }],
        },
    })
}
