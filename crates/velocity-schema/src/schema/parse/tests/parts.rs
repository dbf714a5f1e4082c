use serde_json::{Value as Json, json};

use super::{problems, valid, with, with_fields};

#[test]
fn every_part_of_a_path_is_checked_and_named() {
    let spec = with(&json!({"org": "Acme", "app": "a--b", "domain": "-", "object": "a_b", "version": "v01"}));
    insta::assert_snapshot!(problems(&spec), @r"
    spec.org: `Acme` is not a name: use 1 to 63 lower-case letters, digits and single dashes, beginning and ending with a letter or digit
    spec.app: `a--b` contains `--`, which names may not: two paths could meet in one Postgres name
    spec.domain: `-` is not a name: use 1 to 63 lower-case letters, digits and single dashes, beginning and ending with a letter or digit
    spec.object: `a_b` is not a name: use 1 to 63 lower-case letters, digits and single dashes, beginning and ending with a letter or digit
    spec.version: `v01` is not a version: use v1, v2, …
    ");
}

#[test]
fn a_namespace_is_one_label() {
    let spec = |length: usize| with(&json!({"org": "o".repeat(length), "app": "app", "domain": "domain"}));
    valid(&spec(52));
    let found = problems(&spec(53));
    assert!(
        found.starts_with("spec: org, app and domain are at most 61 characters long together"),
        "{found}"
    );
}

#[test]
fn names_that_postgres_keeps_for_itself_are_refused() {
    for org in ["pg", "pg-catalog"] {
        assert!(
            problems(&with(&json!({"org": org}))).starts_with("spec.org: names that begin with `pg`"),
            "{org}"
        );
    }
    valid(&with(&json!({"org": "pgx", "app": "pg", "domain": "pg-x"})));
}

#[test]
fn all_parts_report_at_once() {
    let mut spec = with_fields(&json!([
        {"name": "code", "type": "string", "maxLength": 1, "minLength": 2},
        {"name": "amount", "type": "number"},
        {"name": "notes", "type": "json"},
    ]));
    spec["version"] = json!("1");
    spec["uniqueConstraints"] =
        json!([{"fields": ["cod"]}, {"fields": ["notes"]}, {"fields": ["code", "code"]}]);
    spec["indexes"] = json!([{"fields": ["-amont"]}, {"fields": ["code"], "where": "record.amount >"}]);
    spec["validation"] = json!({"rules": [{"rule": "self.amout > 0", "message": " ", "field": "amoun"}]});
    spec["access"] = json!({"roles": {"read": ["a b", "r", "r"]},
        "rowFilter": [{"role": "reader", "condition": "record.code == 1"}, {"role": "platform-admin", "condition": "true"}]});
    spec["audit"] = json!({"requireReason": ["read", "dlete", "update", "update"], "reasonPattern": "("});
    spec["auth"] = json!({"strategyRef": {"name": "No Name", "namespace": "a.b"}});
    spec["search"] = json!({"tier": 1});
    insta::assert_snapshot!(problems(&spec));
}

#[test]
fn what_is_unique_already_needs_no_constraint_and_two_equal_ones_are_one_too_many() {
    let spec = |constraints: Json| {
        let mut spec = with_fields(&json!([
            {"name": "code", "type": "string", "unique": true}, {"name": "region", "type": "string"}
        ]));
        spec["uniqueConstraints"] = constraints;
        spec
    };
    valid(&spec(json!([{"fields": ["code", "region"]}, {"fields": ["region"]}])));
    for (constraints, expected) in [
        (json!([{"fields": ["code"]}]), "spec.uniqueConstraints[0].fields: `code` is unique already"),
        (json!([{"fields": ["id"]}]), "spec.uniqueConstraints[0].fields: `id` is unique already"),
        (
            json!([{"fields": ["code", "region"]}, {"fields": ["region", "code"]}]),
            "spec.uniqueConstraints[1].fields: the same fields are constrained already",
        ),
        (json!([{"fields": []}]), "spec.uniqueConstraints[0].fields: is empty"),
    ] {
        let found = problems(&spec(constraints));
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn equal_indexes_are_refused_and_different_ones_are_not() {
    let spec = |indexes: Json| with(&json!({"indexes": indexes}));
    valid(&spec(json!([
        {"fields": ["code"]}, {"fields": ["-code"]}, {"fields": ["code", "region"]}, {"fields": ["region", "code"]},
        {"fields": ["code"], "where": "record.amount > 1"}, {"fields": ["code"], "where": "record.amount > 2"},
    ])));
    let found = problems(&spec(json!([{"fields": ["code"]}, {"fields": ["code"]}])));
    assert_eq!(found, "spec.indexes[1]: the same index is there already");
    let found =
        problems(&spec(json!([{"fields": ["code", "-code"]}, {"fields": ["notes"]}, {"fields": []}])));
    insta::assert_snapshot!(found, @r"
    spec.indexes[2].fields: is empty; it needs at least one entry
    spec.indexes[0].fields[1]: `code` is there already
    spec.indexes[1].fields[0]: a json field has an index of its own when it is filterable, and cannot be part of another
    ");
}

#[test]
fn an_index_knows_no_actor() {
    let found =
        problems(&with(&json!({"indexes": [{"fields": ["code"], "where": "record.code == actor.id"}]})));
    assert!(found.starts_with("spec.indexes[0].where: "), "{found}");
}

#[test]
fn texts_and_lists_have_the_bounds_of_the_crd() {
    let long = |n: usize| "x".repeat(n);
    let roles: Vec<String> = (0..101).map(|n| format!("r{n}")).collect();
    let fields: Vec<Json> = (0..501).map(|n| json!({"name": format!("f{n}"), "type": "string"})).collect();
    let values: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
    let mut spec = with(&json!({"displayName": long(201), "description": long(4097)}));
    spec["access"] = json!({"roles": {"read": roles}});
    spec["fields"][0]["pattern"] = json!(long(1025));
    spec["fields"][1] = json!({"name": "amount", "type": "enum", "enum": values});
    insta::assert_snapshot!(problems(&spec), @r"
    spec.displayName: has more than 200 characters
    spec.description: has more than 4096 characters
    spec.fields[0].pattern: has more than 1024 characters
    spec.fields[1].enum: has 1001 entries; there may be 1000
    spec.access.roles.read: has 101 entries; there may be 100
    ");
    assert_eq!(problems(&with_fields(&json!(fields))), "spec.fields: has 501 entries; there may be 500");
    valid(&with_fields(&json!(fields[..500])));
    assert_eq!(problems(&with_fields(&json!([]))), "spec.fields: is empty; it needs at least one entry");
}

#[test]
fn a_row_filter_is_for_a_role_that_may_do_something() {
    let spec = |role: &str| {
        with(&json!({"access": {"roles": {"read": ["reader", "manager"]},
            "rowFilter": [{"role": role, "condition": "record.region == actor.attributes.region"}]}}))
    };
    valid(&spec("manager"));
    valid(&spec("*"));
    assert_eq!(
        problems(&spec("manger")),
        "spec.access.rowFilter[0].role: no operation of access.roles lists `manger` (did you mean `manager`?)"
    );
    assert!(problems(&spec("platform-admin")).contains("sees every record"));
}
