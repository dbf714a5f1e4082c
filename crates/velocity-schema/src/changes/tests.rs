use serde_json::{Value, json};

use super::*;

fn schema(more: &Value) -> Schema {
    let mut spec = json!({ "org": "acme", "app": "shop", "domain": "sales", "object": "order", "version": "v1",
        "fields": [{ "name": "note", "type": "string" }] });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    Schema::from_json(&spec).unwrap().1
}

fn fields(fields: &Value) -> Schema {
    schema(&json!({ "fields": fields }))
}

fn told(old: &Schema, new: &Schema) -> String {
    let lines: Vec<String> = changes(Some(old), new).iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn nothing_is_told_of_a_schema_that_stayed() {
    let all = json!({ "displayName": "Order", "description": "What is sold",
        "fields": [{ "name": "a", "type": "enum", "enum": ["x", "y"], "default": "x", "filterable": true },
            { "name": "b", "type": "array", "items": "number", "maxItems": 3 }],
        "uniqueConstraints": [{ "fields": ["a", "created_by"] }], "indexes": [{ "fields": ["a", "-created_at"] }],
        "validation": { "rules": [{ "rule": "self.a != 'y'", "message": "no" }] },
        "access": { "roles": { "read": ["r"] }, "rowFilter": [{ "role": "r", "condition": "record.a == 'x'" }] } });
    let (old, new) = (schema(&all), schema(&all));
    assert_eq!((changes(Some(&old), &new), access_changes(Some(&old), &new)), (Vec::new(), Vec::new()));
}

#[test]
fn fields_come_go_and_get_other_names() {
    let old =
        fields(&json!([{ "name": "note", "type": "string" }, { "name": "supplier", "type": "string" }]));
    let new = fields(&json!([
        { "name": "supplier_code", "type": "string", "renamedFrom": "supplier", "required": true },
        { "name": "gate", "type": "enum", "enum": ["a", "b"], "default": "a" },
        { "name": "of", "type": "string", "ref": { "object": "customer", "version": "v1" } },
    ]));
    insta::assert_snapshot!(told(&old, &new), @r#"
    ~ field supplier_code: renamed from supplier
    ~ field supplier_code: now required
    + field gate: enum, values a | b, default "a"
    + field of: string, points to acme/shop/sales/customer/v1.id
    - field note: string
    "#);
}

#[test]
fn a_rename_whose_source_is_still_declared_is_a_new_field() {
    let old = fields(&json!([{ "name": "a", "type": "string" }]));
    let new = fields(&json!([{ "name": "a", "type": "string" }, { "name": "b", "type": "string" }]));
    assert_eq!(told(&old, &new), "+ field b: string");
}

#[test]
fn every_property_of_a_field_is_told_when_it_changes() {
    let old = fields(&json!([
        { "name": "a", "type": "integer", "min": 1, "required": true, "unique": true },
        { "name": "n", "type": "number", "max": 10 },
        { "name": "s", "type": "string", "maxLength": 5, "default": "x" },
        { "name": "e", "type": "enum", "enum": ["x", "y"] },
        { "name": "l", "type": "array", "items": "string", "maxItems": 3 },
    ]));
    let new = fields(&json!([
        { "name": "a", "type": "string", "filterable": true },
        { "name": "n", "type": "number", "precision": 20, "scale": 4, "max": 11.5, "sensitivity": "financial" },
        { "name": "s", "type": "string", "minLength": 1, "pattern": "^x", "description": "more", "deprecated": true },
        { "name": "e", "type": "enum", "enum": ["y", "z"] },
        { "name": "l", "type": "array", "items": "string", "maxItems": 4, "uniqueItems": true },
    ]));
    insta::assert_snapshot!(told(&old, &new), @r#"
    ~ field a: type integer → string
    ~ field a: min 1 → none
    ~ field a: no longer required
    ~ field a: no longer unique
    ~ field a: now filterable
    ~ field n: type number(18,2) → number(20,4)
    ~ field n: max 10 → 11.5
    ~ field n: sensitivity none → financial
    ~ field s: minLength none → 1
    ~ field s: maxLength 5 → none
    ~ field s: pattern none → ^x
    ~ field s: now deprecated
    ~ field s: default "x" → none
    ~ field s: description none → more
    ~ field e: enum gains z
    ~ field e: enum loses x
    ~ field l: maxItems 3 → 4
    ~ field l: uniqueItems none → yes
    "#);
}

#[test]
fn what_belongs_to_the_schema_as_a_whole_is_told_too() {
    let old = schema(&json!({ "displayName": "Order", "indexes": [{ "fields": ["note"] }],
        "validation": { "rules": [{ "rule": "self.note != 'a'", "message": "not a" }] } }));
    let new = schema(&json!({ "uniqueConstraints": [{ "fields": ["note", "created_by"] }],
        "indexes": [{ "fields": ["note"], "where": "record.note != 'x'" }],
        "validation": { "rules": [{ "rule": "self.note != 'a'", "message": "never a", "field": "note" }] },
        "search": { "tier": 2, "fields": ["note"] }, "audit": { "requireReason": ["delete"] },
        "auth": { "strategyRef": { "name": "jwt", "namespace": "platform" } } }));
    insta::assert_snapshot!(told(&old, &new), @r"
    + unique note, created_by
    ~ index note: none → where record.note != 'x'
    ~ rule self.note != 'a': not a → never a (on note)
    + search: tier 2 (simple) over note
    + required reasons: delete
    + auth strategy: platform/jwt
    - display name: Order
    ");
}

#[test]
fn without_an_earlier_schema_all_of_it_is_new() {
    let new = schema(&json!({ "access": { "roles": { "read": ["r"] } } }));
    assert_eq!(changes(None, &new).len(), 1, "the system fields are no news");
    assert_eq!(access_changes(None, &new)[0].change, "gains");
}

fn access(old: &Value, new: &Value) -> String {
    let of = |access: &Value| schema(&json!({ "access": access }));
    let shown = |filter: &Option<String>| filter.clone().unwrap_or_else(|| "-".to_owned());
    let lines: Vec<String> = access_changes(Some(&of(old)), &of(new))
        .iter()
        .map(|one| {
            let (before, after) = (shown(&one.before), shown(&one.after));
            format!("{} {} {} [{before} > {after}]", one.role, one.change, one.operation)
        })
        .collect();
    lines.join("\n")
}

#[test]
fn roles_gain_and_lose_operations() {
    let old = json!({ "roles": { "read": ["a", "b"], "update": ["a"] } });
    let new = json!({ "roles": { "read": ["b", "c"], "update": ["a"], "export": ["a"] } });
    insta::assert_snapshot!(access(&old, &new), @r"
    a loses read [- > -]
    a gains export [- > -]
    c gains read [- > -]
    ");
}

#[test]
fn a_row_filter_counts_for_each_operation_of_its_role() {
    let roles = json!({ "read": ["a", "b"], "update": ["a"] });
    let filter = |role: &str, condition: &str| json!({ "role": role, "condition": condition });
    let old = json!({ "roles": roles, "rowFilter": [filter("a", "record.note == 'x'")] });
    let new = json!({ "roles": roles, "rowFilter": [filter("a", "record.note == 'y'"), filter("b", "record.note == 'z'"),
        filter("*", "record.note != 'q'")] });
    insta::assert_snapshot!(access(&old, &new), @r"
    * row filter added read [- > record.note != 'q']
    * row filter added update [- > record.note != 'q']
    a row filter changed read [record.note == 'x' > record.note == 'y']
    a row filter changed update [record.note == 'x' > record.note == 'y']
    b row filter added read [- > record.note == 'z']
    ");
}

#[test]
fn the_order_of_a_roles_filters_means_nothing() {
    let roles = json!({ "read": ["a"] });
    let of = |conditions: [&str; 2]| {
        let filters: Vec<Value> =
            conditions.iter().map(|condition| json!({ "role": "a", "condition": condition })).collect();
        json!({ "roles": roles, "rowFilter": filters })
    };
    let (one, other) = ("record.note == 'x'", "record.note == 'y'");
    assert_eq!(access(&of([one, other]), &of([other, one])), "");
}
