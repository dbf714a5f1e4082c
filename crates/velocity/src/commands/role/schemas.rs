//! What schemas say of roles.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::cluster::{Cluster, Kinds};
use crate::failure::Outcome;

/// What a role may do with one schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rights {
    /// In the order of the manifest.
    pub(super) operations: Vec<String>,
    /// Whether a row filter shows it only some of the records.
    pub(super) filtered: bool,
    /// Fields that name it in their `read` or `write`.
    pub(super) fields: BTreeSet<String>,
}

/// A schema, and what it says of each role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) namespace: String,
    pub(super) object: String,
    pub(super) version: String,
    pub(super) roles: BTreeMap<String, Rights>,
}

/// The schemas of one namespace, or of all.
pub(super) async fn declared(cluster: &Cluster, namespace: Option<&str>) -> Outcome<Vec<Declared>> {
    let kind = Kinds::of(cluster).called("schemadefinitions").await?;
    let list = cluster.get(&kind.collection(namespace)).await?.value()?;
    let mut all: Vec<Declared> = list["items"].as_array().into_iter().flatten().map(of_object).collect();
    all.sort_by(|a, b| (&a.namespace, &a.object, &a.version).cmp(&(&b.namespace, &b.object, &b.version)));
    Ok(all)
}

/// Every role that a schema names.
pub(in super::super) async fn known_roles(
    cluster: &Cluster,
    namespace: Option<&str>,
) -> Outcome<BTreeSet<String>> {
    let all = declared(cluster, namespace).await?;
    Ok(all.into_iter().flat_map(|schema| schema.roles.into_keys()).collect())
}

/// Tolerant: a schema that is wrong is the operator's to refuse, and hides no other here.
fn of_object(object: &Value) -> Declared {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let access = &object["spec"]["access"];
    let mut roles: BTreeMap<String, Rights> = BTreeMap::new();
    for (operation, holders) in access["roles"].as_object().into_iter().flatten() {
        for role in words(holders) {
            roles.entry(role).or_default().operations.push(operation.clone());
        }
    }
    for rights in roles.values_mut() {
        let order = velocity_schema::schema::Operation::ALL;
        rights.operations.sort_by_key(|word| order.iter().position(|known| known.as_str() == word));
    }
    for filter in access["rowFilter"].as_array().into_iter().flatten() {
        let role = text(&filter["role"]);
        // A filter for everyone names no role that anybody could hold.
        if role != "*" {
            roles.entry(role).or_default().filtered = true;
        }
    }
    for rule in access["fieldAccess"].as_array().into_iter().flatten() {
        for role in words(&rule["read"]).chain(words(&rule["write"])) {
            roles.entry(role).or_default().fields.insert(text(&rule["field"]));
        }
    }
    Declared {
        namespace: text(&object["metadata"]["namespace"]),
        object: text(&object["spec"]["object"]),
        version: text(&object["spec"]["version"]),
        roles,
    }
}

fn words(value: &Value) -> impl Iterator<Item = String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_role_is_known_wherever_a_schema_names_it() {
        let schema = of_object(&json!({
            "metadata": { "namespace": "a-b-c" },
            "spec": { "object": "order", "version": "v1", "access": {
                "roles": { "update": ["w"], "read": ["w", "r"], "create": ["w"] },
                "rowFilter": [{ "role": "m", "condition": "true" }, { "role": "*", "condition": "true" }],
                "fieldAccess": [{ "field": "pay", "read": ["p", "w"], "write": ["p"] }],
            } },
        }));
        let rights = |operations: &[&str], filtered, fields: &[&str]| Rights {
            operations: operations.iter().map(|&word| word.to_owned()).collect(),
            filtered,
            fields: fields.iter().map(|&word| word.to_owned()).collect(),
        };
        let expected = [
            ("m", rights(&[], true, &[])),
            ("p", rights(&[], false, &["pay"])),
            ("r", rights(&["read"], false, &[])),
            ("w", rights(&["create", "read", "update"], false, &["pay"])),
        ];
        let expected: BTreeMap<_, _> =
            expected.into_iter().map(|(role, rights)| (role.to_owned(), rights)).collect();
        assert_eq!(schema.roles, expected);
        assert!(of_object(&json!({ "spec": { "access": { "roles": "nonsense" } } })).roles.is_empty());
    }
}
