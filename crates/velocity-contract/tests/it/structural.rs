//! The rules of structural schemas, as the Kubernetes documentation states them.

use serde_json::{Map, Value};
use velocity_contract::crd;

/// Calls `visit` with the path and the keywords of every node of the object's schema.
fn walk(node: &Value, path: &str, visit: &mut dyn FnMut(&str, &Map<String, Value>)) {
    let Some(keywords) = node.as_object() else { panic!("{path} is no schema") };
    visit(path, keywords);
    for (name, child) in keywords.get("properties").and_then(Value::as_object).into_iter().flatten() {
        walk(child, &format!("{path}.{name}"), visit);
    }
    if let Some(items) = keywords.get("items") {
        walk(items, &format!("{path}[]"), visit);
    }
    if let Some(values) = keywords.get("additionalProperties") {
        walk(values, &format!("{path}{{}}"), visit);
    }
}

fn every_node(visit: &mut dyn FnMut(&str, &Map<String, Value>)) {
    for (file, crd) in crd::all() {
        walk(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &file, visit);
    }
}

#[test]
fn every_node_has_a_type_or_takes_anything() {
    every_node(&mut |path, node| {
        let any = node.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
        assert!(node.get("type").is_some_and(Value::is_string) || any, "{path}");
    });
}

#[test]
fn nothing_that_a_structural_schema_forbids_is_there() {
    every_node(&mut |path, node| {
        for forbidden in [
            "$ref",
            "$schema",
            "$defs",
            "definitions",
            "const",
            "oneOf",
            "anyOf",
            "allOf",
            "not",
            "nullable",
            "uniqueItems",
            "title",
            "examples",
            "deprecated",
            "patternProperties",
        ] {
            assert!(!node.contains_key(forbidden), "{path} has {forbidden}");
        }
        assert!(!(node.contains_key("properties") && node.contains_key("additionalProperties")), "{path}");
        assert_ne!(node.get("default"), Some(&Value::Null), "{path}");
    });
}

#[test]
fn every_text_and_list_of_a_spec_is_bounded() {
    every_node(&mut |path, node| {
        if !path.contains(".spec.") || path.contains(".keys[].") {
            return;
        }
        let bounded = |keyword: &str| node.contains_key(keyword);
        match node.get("type").and_then(Value::as_str) {
            Some("string") => assert!(bounded("maxLength") || bounded("enum"), "{path}"),
            Some("array") => assert!(bounded("maxItems"), "{path}"),
            Some("object") if bounded("additionalProperties") => assert!(bounded("maxProperties"), "{path}"),
            _ => {}
        }
    });
}

#[test]
fn only_values_of_any_shape_escape_the_schema() {
    let mut open = Vec::new();
    every_node(&mut |path, node| {
        if node.contains_key("x-kubernetes-preserve-unknown-fields") {
            open.push(path.split_once(".yaml").unwrap().1.to_owned());
        }
    });
    open.sort();
    assert_eq!(
        open,
        [
            ".spec.attributes",
            ".spec.fields[].default",
            ".spec.fields[].schema",
            ".spec.jwt.issuers[].audience",
            ".spec.jwt.issuers[].jwks.keys[]",
            ".spec.search.fields[]",
        ]
    );
}

#[test]
fn lists_with_keys_demand_them_of_every_item() {
    let mut maps = 0;
    every_node(&mut |path, node| {
        let Some(keys) = node.get("x-kubernetes-list-map-keys").and_then(Value::as_array) else { return };
        maps += 1;
        assert_eq!(node["x-kubernetes-list-type"], "map", "{path}");
        for key in keys {
            assert!(node["items"]["required"].as_array().unwrap().contains(key), "{path}");
        }
    });
    assert_eq!(maps, 6);
}
