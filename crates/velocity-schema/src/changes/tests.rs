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

/// The differences in rights of fields and in conditions.
fn rights(old: &Value, new: &Value) -> String {
    let fields = json!([{ "name": "note", "type": "string" }, { "name": "pay", "type": "number" }]);
    let of = |access: &Value| schema(&json!({ "access": access, "fields": fields }));
    let words = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let lines: Vec<String> = access_changes(Some(&of(old)), &of(new))
        .iter()
        .map(|one| {
            let field = one.field.as_deref().map_or_else(String::new, |field| format!(" {field}"));
            let (before, after) = (words(&one.before), words(&one.after));
            format!("{} {}{field} ({}) [{before} > {after}]", one.role, one.change, one.operation)
        })
        .collect();
    lines.join("\n")
}

#[test]
fn roles_gain_and_lose_fields() {
    let with = |rules: Value| {
        json!({ "roles": { "read": ["clerk", "boss"], "update": ["boss"], "create": ["clerk"], "delete": ["cleaner"] },
            "fieldAccess": rules })
    };
    let open = with(json!([]));
    let partial = json!({ "strategy": "partial" });
    let masked =
        with(json!([{ "field": "pay", "read": ["boss", "auditor"], "write": ["boss"], "masking": partial }]));
    let hidden = with(json!([{ "field": "pay", "read": ["boss"], "write": [] }]));
    insta::assert_snapshot!(rights(&open, &masked), @r"
    clerk sees masked pay (read) [in clear > masked by partial (the last 4 characters stay)]
    clerk loses write of field pay (create) [- > -]
    ");
    insta::assert_snapshot!(rights(&masked, &hidden), @r"
    auditor loses read of field pay (read) [in clear > nothing]
    clerk loses read of field pay (read) [masked by partial (the last 4 characters stay) > nothing]
    boss loses write of field pay (update) [- > -]
    ");
    insta::assert_snapshot!(rights(&hidden, &open), @r"
    clerk gains read of field pay (read) [nothing > in clear]
    boss gains write of field pay (update) [- > -]
    clerk gains write of field pay (create) [- > -]
    ");
    assert_eq!(rights(&masked, &masked), "");
    let banded = with(json!([{ "field": "pay", "read": ["boss", "auditor"], "write": ["boss"],
        "masking": { "strategy": "range", "rangeSize": 1000 } }]));
    insta::assert_snapshot!(rights(&masked, &banded), @r"
    clerk sees masked pay (read) [masked by partial (the last 4 characters stay) > masked by range (of 1000)]
    ");
}

#[test]
fn rights_of_a_field_without_any_role_of_its_own_are_everyones() {
    let of = |rules: Value| json!({ "fieldAccess": rules });
    let closed = of(json!([{ "field": "pay", "read": [], "write": [] }]));
    insta::assert_snapshot!(rights(&of(json!([])), &closed), @r"
    * loses read of field pay (read) [in clear > nothing]
    * loses write of field pay (update) [- > -]
    ");
}

#[test]
fn a_new_field_is_gained_and_a_renamed_one_keeps_its_rights() {
    let of = |fields: Value, rules: Value| {
        schema(
            &json!({ "fields": fields, "access": { "roles": { "read": ["clerk"] }, "fieldAccess": rules } }),
        )
    };
    let old = of(json!([{ "name": "pay", "type": "number" }]), json!([{ "field": "pay", "read": ["boss"] }]));
    let renamed = json!([{ "name": "wage", "type": "number", "renamedFrom": "pay" }]);
    assert_eq!(
        access_changes(Some(&old), &of(renamed.clone(), json!([{ "field": "wage", "read": ["boss"] }]))),
        []
    );
    let lines = |new: &Schema| -> Vec<String> {
        let all = access_changes(Some(&old), new);
        all.iter().map(|one| format!("{} {} {}", one.role, one.change, one.field.clone().unwrap())).collect()
    };
    assert_eq!(lines(&of(renamed, json!([]))), ["clerk gains read of field wage"]);
    let more = json!([{ "name": "pay", "type": "number" }, { "name": "tax", "type": "number" }]);
    let new = of(more, json!([{ "field": "pay", "read": ["boss"] }, { "field": "tax", "read": ["boss"] }]));
    assert_eq!(lines(&new), ["boss gains read of field tax"]);
}

#[test]
fn conditions_come_go_and_change_for_each_operation() {
    let rule =
        |operations: &[&str], condition: &str| json!({ "operations": operations, "condition": condition });
    let of = |rules: Value| json!({ "abac": rules });
    let (a, b) = ("actor.id == 'a'", "actor.id == 'b'");
    insta::assert_snapshot!(
        rights(&of(json!([rule(&["read", "update"], a)])), &of(json!([rule(&["read"], a), rule(&["create"], b)]))),
        @r"
    * condition added (create) [- > actor.id == 'b']
    * condition removed (update) [actor.id == 'a' > -]
    "
    );
    insta::assert_snapshot!(rights(&of(json!([rule(&["read"], a)])), &of(json!([rule(&["read"], b)]))), @r"
    * condition changed (read) [actor.id == 'a' > actor.id == 'b']
    ");
    assert_eq!(
        rights(
            &of(json!([rule(&["read"], a), rule(&["read"], b)])),
            &of(json!([rule(&["read"], b), rule(&["read"], a)]))
        ),
        ""
    );
    let said = |message: &str| {
        schema(
            &json!({ "access": { "abac": [{ "operations": ["read"], "condition": a, "message": message }] } }),
        )
    };
    assert_eq!(told(&said("no"), &said("never")), "~ message of condition actor.id == 'a': no → never");
}

#[test]
fn the_records_of_a_role_are_known_before_and_after_where_they_differ() {
    let of = |access: &Value| schema(&json!({ "access": access }));
    let filter = |role: &str, condition: &str| json!({ "role": role, "condition": condition });
    let old = of(&json!({ "roles": { "read": ["a", "b", "c"], "update": ["d"] },
        "rowFilter": [filter("a", "record.note == 'x'"), filter("b", "record.note == actor.id"), filter("d", "record.note == 'd'")] }));
    let new = of(&json!({ "roles": { "read": ["a", "b", "e"], "update": ["d"] },
        "rowFilter": [filter("a", "record.note == 'z'"), filter("a", "record.note == 'y'"), filter("b", "record.note == actor.id")],
        "abac": [{ "operations": ["update"], "condition": "record.note != 'q'" }] }));
    let words = |rows: &Option<RowsSeen>| {
        rows.as_ref().map_or_else(|| "nothing".to_owned(), |rows| format!("{:?}", rows.sources()))
    };
    let lines = |old: &Schema, new: &Schema| -> String {
        let all = role_rows(Some(old), new);
        let line = |one: &RoleRows| format!("{}: {} > {}", one.role, words(&one.before), words(&one.after));
        all.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(lines(&old, &new), @r#"
    a: [["record.note == 'x'"], [], []] > [["record.note == 'y'", "record.note == 'z'"], [], []]
    c: [[], [], []] > nothing
    e: nothing > [[], [], []]
    "#);
    let wide = of(&json!({ "roles": { "read": ["a", "b", "e"] },
        "abac": [{ "operations": ["read"], "condition": "record.note != 'q'" }, { "operations": ["read"], "condition": "actor.id != 'q'" }],
        "rowFilter": [filter("*", "record.note != 'r'")] }));
    insta::assert_snapshot!(lines(&new, &wide), @r#"
    a: [["record.note == 'y'", "record.note == 'z'"], [], []] > [[], ["record.note != 'r'"], ["record.note != 'q'"]]
    b: [["record.note == actor.id"], [], []] > [[], ["record.note != 'r'"], ["record.note != 'q'"]]
    e: [[], [], []] > [[], ["record.note != 'r'"], ["record.note != 'q'"]]
    "#);
    let depends: Vec<bool> =
        role_rows(None, &new).iter().map(|one| one.after.as_ref().unwrap().depends_on_caller()).collect();
    assert_eq!(depends, [false, true, false]);
}
