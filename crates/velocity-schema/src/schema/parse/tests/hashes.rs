use serde_json::{Value as Json, json};

use super::{EXAMPLE, with_fields, yaml};
use crate::spec::SchemaDefinitionSpec;

fn hash(spec: &Json) -> String {
    SchemaDefinitionSpec::from_json(spec).unwrap_or_else(|e| panic!("{e}")).hash().to_string()
}

/// The same document with the keys of every object in the opposite order.
fn reversed(json: &Json) -> Json {
    match json {
        Json::Object(map) => {
            let entries: Vec<String> = map
                .iter()
                .rev()
                .map(|(key, value)| format!("{}:{}", Json::from(key.as_str()), reversed(value)))
                .collect();
            serde_json::from_str(&format!("{{{}}}", entries.join(","))).unwrap()
        }
        Json::Array(items) => items.iter().map(reversed).collect(),
        other => other.clone(),
    }
}

#[test]
fn the_order_of_keys_does_not_count() {
    let spec = yaml(EXAMPLE);
    assert_eq!(hash(&spec), hash(&reversed(&spec)));
    assert!(hash(&spec).starts_with("sha256:") && hash(&spec).len() == 71);
}

#[test]
fn what_holds_anyway_does_not_count_when_it_is_said() {
    let short = with_fields(&json!([
        {"name": "code", "type": "string", "ref": {"object": "x", "version": "v1"}},
        {"name": "amount", "type": "number"},
        {"name": "parts", "type": "array", "items": "number"},
    ]));
    let mut long = with_fields(&json!([
        {"name": "code", "type": "string", "required": false, "unique": false, "filterable": false, "sortable": false,
            "searchable": false, "immutable": false, "autoPopulated": false, "deprecated": false, "sensitivity": "none",
            "default": null, "description": null,
            "ref": {"org": "acme", "app": "supply-chain", "domain": "procurement", "object": "x", "version": "v1",
                "field": "id", "onDelete": "restrict", "enforce": true}},
        {"name": "amount", "type": "number", "precision": 18, "scale": 2, "enum": []},
        {"name": "parts", "type": "array", "items": "number", "precision": 18, "scale": 2, "uniqueItems": false},
    ]));
    for (key, value) in [
        ("uniqueConstraints", json!([])),
        ("indexes", json!([])),
        ("validation", json!({"rules": []})),
        ("access", json!({"roles": {"create": []}, "abac": [], "rowFilter": []})),
        ("timeMachine", json!({"enabled": true})),
        ("audit", json!({"requireReason": [], "sensitiveReads": false})),
        ("observability", json!({"slos": []})),
        ("scaling", json!({})),
        ("search", json!(null)),
    ] {
        long[key] = value;
    }
    assert_eq!(hash(&short), hash(&long));
    let mut named = short.clone();
    named["auth"] = json!({"strategyRef": {"name": "jwt"}});
    let mut placed = short.clone();
    placed["auth"] = json!({"strategyRef": {"name": "jwt", "namespace": "acme-supply-chain-procurement"}});
    assert_eq!(hash(&named), hash(&placed));
    assert_ne!(hash(&short), hash(&named));
}

#[test]
fn access_that_means_the_same_counts_as_the_same() {
    let of = |access: Json| {
        let mut spec =
            with_fields(&json!([{"name": "a", "type": "string"}, {"name": "b", "type": "number"}]));
        spec["access"] = access;
        hash(&spec)
    };
    let masked =
        |masking: Json| of(json!({"fieldAccess": [{"field": "a", "read": ["r"], "masking": masking}]}));
    let rule = |more: Json| {
        let mut rule = json!({"operations": ["read"], "condition": "actor.id == 'a'"});
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        of(json!({"abac": [rule], "roles": {}, "rowFilter": []}))
    };
    assert_eq!(
        masked(json!({"strategy": "partial"})),
        masked(json!({"visibleChars": 4, "strategy": "partial"}))
    );
    let range = |size: Json| masked(json!({"strategy": "range", "rangeSize": size}));
    assert_eq!(range(json!(1000)), range(json!(1000.0)));
    assert_eq!(rule(json!({})), rule(json!({"message": null})));
    let mut different = vec![
        of(json!({})),
        of(json!({"fieldAccess": [{"field": "a", "read": []}]})),
        of(json!({"fieldAccess": [{"field": "a", "write": []}]})),
        of(json!({"fieldAccess": [{"field": "b", "read": []}]})),
        of(json!({"fieldAccess": [{"field": "a", "read": ["r"]}]})),
        masked(json!({"strategy": "partial"})),
        masked(json!({"strategy": "partial", "visibleChars": 3})),
        masked(json!({"strategy": "redact"})),
        range(json!(1000)),
        range(json!(1000.5)),
        rule(json!({})),
        rule(json!({"message": "no"})),
        rule(json!({"operations": ["read", "history"]})),
        rule(json!({"condition": "actor.id == 'b'"})),
    ];
    let count = different.len();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), count);
}

#[test]
fn every_difference_counts() {
    let base = with_fields(&json!([{"name": "a", "type": "json"}, {"name": "b", "type": "number"}]));
    let change = |pointer: &str, value: Json| {
        let mut spec = base.clone();
        match pointer.rsplit_once('/') {
            Some((parent, key)) => spec.pointer_mut(parent).unwrap()[key] = value,
            None => unreachable!(),
        }
        hash(&spec)
    };
    let mut all = vec![
        hash(&base),
        change("/fields/0/default", json!({})),
        change("/fields/0/default", json!([])),
        change("/fields/0/required", json!(true)),
        change("/fields/1/precision", json!(17)),
        change("/fields/1/scale", json!(3)),
        change("/fields/1/min", json!(0)),
        change("/fields/0/name", json!("c")),
        change("/description", json!("d")),
        change("/timeMachine", json!({"enabled": false})),
        change("/fields", json!([{"name": "b", "type": "number"}, {"name": "a", "type": "json"}])),
    ];
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}
