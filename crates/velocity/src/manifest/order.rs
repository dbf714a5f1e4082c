//! What must be applied before what.

use std::collections::HashMap;

use super::Document;

/// The documents in an order in which each finds what it needs: namespaces, definitions of kinds, secrets, strategies,
/// other kinds, then schemas, those first that others refer to, then bindings, whose domain the first schema makes. Otherwise
/// they stay as they were.
pub(crate) fn in_order(mut documents: Vec<Document>) -> Vec<Document> {
    documents.sort_by_key(rank);
    let first_schema =
        documents.iter().position(|document| rank(document) == SCHEMA).unwrap_or(documents.len());
    let mut schemas = documents.split_off(first_schema);
    let after = schemas.iter().position(|document| rank(document) > SCHEMA).unwrap_or(schemas.len());
    let bindings = schemas.split_off(after);
    documents.extend(targets_first(schemas));
    documents.extend(bindings);
    documents
}

const SCHEMA: u8 = 5;

fn rank(document: &Document) -> u8 {
    match document.kind() {
        "Namespace" => 0,
        "CustomResourceDefinition" => 1,
        "Secret" | "ConfigMap" => 2,
        "AuthStrategy" => 3,
        "SchemaDefinition" => SCHEMA,
        "RoleBinding" if document.is_ours("RoleBinding") => SCHEMA + 1,
        _ => 4,
    }
}

/// Depth first over the references. A circle is left as it stands: the operator waits for targets anyway.
fn targets_first(schemas: Vec<Document>) -> Vec<Document> {
    let by_path: HashMap<String, usize> =
        schemas.iter().enumerate().map(|(index, schema)| (path_of(schema), index)).collect();
    let mut order = Vec::with_capacity(schemas.len());
    let mut seen = vec![false; schemas.len()];
    // A stack of our own: a long chain of references must not be a deep recursion.
    for start in 0..schemas.len() {
        let mut stack = vec![(start, false)];
        while let Some((index, targets_done)) = stack.pop() {
            if targets_done {
                order.push(index);
            } else if !std::mem::replace(&mut seen[index], true) {
                stack.push((index, true));
                let targets = targets(&schemas[index]);
                stack.extend(
                    targets.iter().rev().filter_map(|path| by_path.get(path)).map(|index| (*index, false)),
                );
            }
        }
    }
    let mut schemas: Vec<Option<Document>> = schemas.into_iter().map(Some).collect();
    order.into_iter().filter_map(|index| schemas[index].take()).collect()
}

fn path_of(schema: &Document) -> String {
    ["org", "app", "domain", "object", "version"].map(|part| schema.text(&["spec", part])).join("/")
}

fn targets(schema: &Document) -> Vec<String> {
    let fields = schema.value["spec"]["fields"].as_array().into_iter().flatten();
    let references = fields.map(|field| &field["ref"]).filter(|reference| reference.is_object());
    references
        .map(|reference| {
            let own = |part: &str| {
                reference[part].as_str().unwrap_or_else(|| schema.text(&["spec", part])).to_owned()
            };
            ["org", "app", "domain", "object", "version"].map(own).join("/")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(kind: &str, object: &str, targets: &[&str]) -> Document {
        let fields: Vec<_> =
            targets.iter().map(|target| json!({ "ref": { "object": target, "version": "v1" } })).collect();
        let spec = json!({ "org": "a", "app": "b", "domain": "c", "object": object, "version": "v1", "fields": fields });
        Document {
            file: String::new(),
            value: json!({ "kind": kind, "metadata": { "name": object }, "spec": spec }),
            lines: HashMap::new(),
        }
    }

    fn names(documents: Vec<Document>) -> Vec<String> {
        in_order(documents).iter().map(|document| document.name().to_owned()).collect()
    }

    #[test]
    fn targets_come_before_what_refers_to_them() {
        let mut binding = document("RoleBinding", "ravi", &[]);
        binding.value["apiVersion"] = json!(velocity_contract::API_VERSION);
        let documents = vec![
            binding,
            document("SchemaDefinition", "flights", &["airports", "planes"]),
            document("SchemaDefinition", "planes", &["airlines"]),
            document("Namespace", "ns", &[]),
            document("SchemaDefinition", "airports", &[]),
            document("AuthStrategy", "jwt", &[]),
            document("SchemaDefinition", "airlines", &[]),
        ];
        assert_eq!(names(documents), ["ns", "jwt", "airports", "airlines", "planes", "flights", "ravi"]);
    }

    #[test]
    fn circles_and_self_references_end() {
        let documents =
            vec![document("SchemaDefinition", "a", &["b"]), document("SchemaDefinition", "b", &["a", "b"])];
        assert_eq!(names(documents), ["b", "a"]);
    }
}
