use serde_json::{Value as Json, json};

use super::{problems, valid, with_fields};
use crate::field::FieldType;
use crate::value::Value;

/// The violations of one field, with `spec.fields[0]` taken off.
fn of(field: &Json) -> String {
    problems(&with_fields(&json!([field]))).replace("spec.fields[0].", ".").replace("spec.fields[0]", "")
}

#[test]
fn every_type_parses_with_its_constraints() {
    let fields = json!([
        {"name": "s", "type": "string", "minLength": 1, "maxLength": 9, "pattern": "^a", "default": "ab", "unique": true},
        {"name": "i", "type": "integer", "min": -5, "max": 5, "default": 0},
        {"name": "n", "type": "number", "precision": 6, "scale": 3, "min": 0.001, "max": 999.999, "default": 1.5},
        {"name": "plain", "type": "number"},
        {"name": "fine", "type": "number", "scale": 30},
        {"name": "b", "type": "boolean", "default": false},
        {"name": "t", "type": "timestamp", "immutable": true, "default": "2026-01-01T00:00:00Z"},
        {"name": "d", "type": "date", "default": "2026-01-01"},
        {"name": "c", "type": "time", "default": "10:00"},
        {"name": "j", "type": "json", "filterable": true, "default": {"a": [1, null]}},
        {"name": "e", "type": "enum", "enum": ["x", "ü 'y'"], "default": "x"},
        {"name": "u", "type": "uuid", "autoPopulated": true},
        {"name": "y", "type": "bytes", "maxSize": 3, "default": "AAEC"},
        {"name": "a", "type": "array", "items": "number", "precision": 4, "scale": 1, "minItems": 1, "maxItems": 2,
            "uniqueItems": true, "default": [1.5, 2]},
        {"name": "w", "type": "array", "items": "string"},
        {"name": "old", "type": "string", "renamedFrom": "older", "deprecated": true, "sensitivity": "confidential",
            "description": "d", "searchable": false},
    ]);
    let schema = valid(&with_fields(&fields));
    assert!(matches!(schema.field("plain").unwrap().kind, FieldType::Number { precision: 18, scale: 2, .. }));
    assert!(matches!(schema.field("fine").unwrap().kind, FieldType::Number { precision: 30, scale: 30, .. }));
    assert_eq!(schema.field("y").unwrap().default, Some(Value::Bytes(vec![0, 1, 2])));
    assert_eq!(schema.field("c").unwrap().default, Some(Value::Time(36_000_000_000)));
    assert!(schema.field("t").unwrap().immutable && schema.field("old").unwrap().deprecated);
}

#[test]
fn constraints_of_another_type_are_refused() {
    insta::assert_snapshot!(of(&json!({"name": "a", "type": "boolean", "minLength": 1, "maxLength": 1, "pattern": "x",
        "min": 1, "max": 1, "precision": 1, "scale": 1, "enum": ["x"], "maxSize": 1, "items": "string", "minItems": 1,
        "maxItems": 1, "uniqueItems": true, "schema": {}})), @r"
    .schema: a JSON Schema for json fields is not supported yet; leave it out
    .minLength: does not belong to a field of type boolean
    .maxLength: does not belong to a field of type boolean
    .pattern: does not belong to a field of type boolean
    .min: does not belong to a field of type boolean
    .max: does not belong to a field of type boolean
    .precision: does not belong to a field of type boolean
    .scale: does not belong to a field of type boolean
    .enum: does not belong to a field of type boolean
    .maxSize: does not belong to a field of type boolean
    .items: does not belong to a field of type boolean
    .minItems: does not belong to a field of type boolean
    .maxItems: does not belong to a field of type boolean
    .uniqueItems: does not belong to a field of type boolean
    .schema: does not belong to a field of type boolean
    ");
}

#[test]
fn contradictions_are_refused_where_they_stand() {
    let cases = [
        json!({"name": "a", "type": "string", "minLength": 3, "maxLength": 2}),
        json!({"name": "a", "type": "string", "pattern": "(?=x)"}),
        json!({"name": "a", "type": "string", "pattern": "(a{1000}){1000}"}),
        json!({"name": "a", "type": "integer", "min": 2, "max": 1}),
        json!({"name": "a", "type": "integer", "min": 0.5, "max": 1e300}),
        json!({"name": "a", "type": "number", "precision": 2, "scale": 3}),
        json!({"name": "a", "type": "number", "precision": 0}),
        json!({"name": "a", "type": "number", "precision": 1001}),
        json!({"name": "a", "type": "number", "precision": 3, "scale": 1, "min": 100, "max": 0.25}),
        json!({"name": "a", "type": "number", "min": 2, "max": 1}),
        json!({"name": "a", "type": "enum"}),
        json!({"name": "a", "type": "enum", "enum": ["x", "x", "", "a\u{0}"]}),
        json!({"name": "a", "type": "array"}),
        json!({"name": "a", "type": "array", "items": "json"}),
        json!({"name": "a", "type": "array", "items": "string", "minItems": 2, "maxItems": 1, "unique": true, "sortable": true}),
        json!({"name": "a", "type": "bytes", "filterable": true, "sortable": true, "unique": true}),
        json!({"name": "a", "type": "string", "autoPopulated": true}),
        json!({"name": "a", "type": "uuid", "autoPopulated": true, "default": "0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f"}),
        json!({"name": "a", "type": "string", "renamedFrom": "a"}),
        json!({"name": "a", "type": "string", "renamedFrom": "created_by"}),
        json!({"name": "a", "type": "string", "renamedFrom": "not a name"}),
    ];
    let all: Vec<String> = cases.iter().map(of).collect();
    assert!(all.iter().all(|text| !text.is_empty()), "{all:#?}");
    insta::assert_snapshot!(all.join("\n--\n"));
}

#[test]
fn defaults_fit_every_constraint_of_their_field() {
    let cases = [
        (json!({"type": "string", "maxLength": 2, "default": "abc"}), "must have at most 2 characters"),
        (json!({"type": "string", "pattern": "^a", "default": "b"}), "must match ^a"),
        (json!({"type": "string", "default": 3}), "must be a string"),
        (json!({"type": "integer", "max": 2, "default": 3}), "must be at most 2"),
        (json!({"type": "integer", "default": 1.5}), "must be a whole number"),
        (
            json!({"type": "number", "scale": 1, "default": 1.25}),
            "at most 17 digits before and 1 after the point",
        ),
        (json!({"type": "number", "default": "NaN"}), "must be a number"),
        (json!({"type": "enum", "enum": ["draft"], "default": "drafft"}), "did you mean `draft`"),
        (json!({"type": "timestamp", "default": "2026-02-30T00:00:00Z"}), "RFC 3339"),
        (json!({"type": "boolean", "default": "true"}), "true or false"),
        (json!({"type": "json", "default": {"a": "\u{0}"}}), "U+0000"),
        (json!({"type": "bytes", "maxSize": 1, "default": "AAEC"}), "at most 1 byte"),
        (json!({"type": "array", "items": "integer", "minItems": 2, "default": [1]}), "at least 2 elements"),
    ];
    for (mut field, expected) in cases {
        field["name"] = json!("a");
        let found = of(&field);
        assert!(found.starts_with(".default: ") && found.contains(expected), "{field}: {found}");
    }
    assert!(of(&json!({"name": "a", "type": "string", "default": null})).is_empty(), "null is no default");
}

#[test]
fn system_fields_may_be_described_and_made_filterable_and_nothing_else() {
    let schema = valid(&with_fields(&json!([
        {"name": "created_at", "type": "timestamp", "filterable": true, "sortable": true, "description": "when"},
        {"name": "version", "type": "integer", "required": true, "deprecated": true},
        {"name": "title", "type": "string"},
    ])));
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["id", "title", "version", "created_at", "created_by", "updated_at", "updated_by"]);
    let created = schema.field("created_at").unwrap();
    assert!(created.system && created.required && created.filterable && created.description.is_some());
    for change in [
        json!({"name": "created_at", "type": "string"}),
        json!({"name": "version", "type": "number"}),
        json!({"name": "created_by", "type": "string", "maxLength": 3}),
        json!({"name": "created_by", "type": "string", "default": "me"}),
        json!({"name": "updated_by", "type": "string", "unique": true}),
        json!({"name": "updated_at", "type": "timestamp", "immutable": true}),
        json!({"name": "version", "type": "integer", "min": 1}),
        json!({"name": "created_by", "type": "string", "ref": {"object": "user", "version": "v1", "enforce": false}}),
    ] {
        assert!(of(&change).contains("is a system field"), "{change}: {}", of(&change));
    }
}

#[test]
fn ids_are_strings_integers_or_uuids_without_defaults() {
    for kind in ["string", "integer", "uuid"] {
        let schema =
            valid(&with_fields(&json!([{"name": "a", "type": "string"}, {"name": "id", "type": kind}])));
        assert_eq!(schema.fields()[0].name.as_str(), "id", "id comes first, wherever it is declared");
        assert_eq!(schema.id().auto_populated, kind == "uuid");
        assert!(schema.id().required && schema.id().filterable && !schema.id().system);
    }
    let schema = valid(&with_fields(&json!([{"name": "a", "type": "string"}])));
    assert!(matches!(schema.id().kind, FieldType::Uuid) && schema.id().auto_populated);
    insta::assert_snapshot!(of(&json!({"name": "id", "type": "date", "default": "2026-01-01",
        "ref": {"object": "x", "version": "v1"}})), @r"
    .type: `id` is a string, an integer or a uuid
    .default: `id` takes no default: two records would have the same id
    .ref: `id` is no reference; declare a field of its own for it
    ");
}

#[test]
fn names_that_postgres_or_the_platform_need_are_refused() {
    for name in [
        "deleted_at",
        "Deleted_At",
        "xmin",
        "ctid",
        "tableoid",
        "CMAX",
        "ID",
        "Created_At",
        "_x",
        "a-b",
        "",
        "é",
    ] {
        let found = of(&json!({"name": name, "type": "string"}));
        assert!(found.starts_with(".name: "), "{name}: {found}");
    }
    // Words of SQL are names like any other: every identifier is quoted.
    for name in ["select", "user", "table", "actor", "record_id", "oid", "order"] {
        valid(&with_fields(&json!([{"name": name, "type": "string"}])));
    }
}

#[test]
fn names_that_differ_by_case_only_are_one_name() {
    let found = problems(&with_fields(&json!([
        {"name": "code", "type": "string"}, {"name": "Code", "type": "string"}, {"name": "code", "type": "string"}
    ])));
    insta::assert_snapshot!(found, @r"
    spec.fields[1].name: `Code` is declared already, as spec.fields[0] (case does not tell names apart)
    spec.fields[2].name: `code` is declared already, as spec.fields[1] (case does not tell names apart)
    ");
}

#[test]
fn a_rename_leaves_no_field_of_the_old_name() {
    let found = problems(&with_fields(&json!([
        {"name": "old", "type": "string"},
        {"name": "new", "type": "string", "renamedFrom": "old"},
        {"name": "b", "type": "string", "renamedFrom": "a"},
        {"name": "c", "type": "string", "renamedFrom": "a"},
    ])));
    insta::assert_snapshot!(found, @r"
    spec.fields[1].renamedFrom: `old` is still a field; a rename leaves no field of the old name
    spec.fields[3].renamedFrom: `a` became spec.fields[2] already
    ");
}

#[test]
fn references_point_to_one_record_of_their_own_domain() {
    let target = |extra: Json| {
        let mut reference = json!({"object": "supplier", "version": "v1"});
        for (key, value) in extra.as_object().unwrap() {
            reference[key] = value.clone();
        }
        json!({"name": "a", "type": "string", "ref": reference})
    };
    let schema = valid(&with_fields(&json!([
        target(json!({"field": "code"})),
        {"name": "b", "type": "uuid", "ref": {"org": "acme", "app": "hr", "domain": "people", "object": "person", "version": "v2", "enforce": false}},
    ])));
    let reference = schema.field("b").unwrap().reference.clone().unwrap();
    assert_eq!(
        (reference.target.to_string().as_str(), reference.field.as_str()),
        ("acme/hr/people/person/v2", "id")
    );
    let cases = [
        target(json!({"domain": "sales"})),
        target(json!({"onDelete": "cascade"})),
        target(json!({"onDelete": "setNull"})),
        target(json!({"onDelete": "cascade", "enforce": false})),
        target(json!({"object": "Supplier", "version": "1", "field": "a-b", "app": "--"})),
        json!({"name": "a", "type": "array", "items": "string", "ref": {"object": "supplier", "version": "v1"}}),
        json!({"name": "a", "type": "string", "required": true, "ref": {"object": "supplier", "version": "v1", "onDelete": "setNull"}}),
    ];
    let all: Vec<String> = cases.iter().map(of).collect();
    insta::assert_snapshot!(all.join("\n--\n"));
}

#[test]
fn references_to_the_own_object_are_checked_at_once() {
    let own = |kind: &str, field: &str| json!({"name": "parent", "type": kind, "ref": {"object": "order", "version": "v1", "field": field}});
    let other = json!({"name": "code", "type": "string", "unique": true});
    let plain = json!({"name": "note", "type": "string"});
    valid(&with_fields(&json!([own("uuid", "id"), other, plain])));
    valid(&with_fields(&json!([own("string", "code"), other, plain])));
    for (kind, field, expected) in [
        ("string", "id", "`id` is of type uuid"),
        ("string", "note", "`note` is not unique"),
        ("string", "cod", "did you mean `code`"),
    ] {
        let found = problems(&with_fields(&json!([own(kind, field), other, plain])));
        assert!(found.starts_with("spec.fields[0].ref.field: ") && found.contains(expected), "{found}");
    }
}

#[test]
fn one_wrong_field_does_not_make_the_rest_of_the_spec_wrong() {
    let mut spec = with_fields(&json!([{"name": "amount", "type": "number", "precision": 2, "scale": 5}]));
    spec["indexes"] = json!([{"fields": ["amount"]}]);
    spec["validation"] = json!({"rules": [{"rule": "self.amount > 0", "message": "m", "field": "amount"}]});
    assert_eq!(problems(&spec), "spec.fields[0].scale: is larger than precision");
}
