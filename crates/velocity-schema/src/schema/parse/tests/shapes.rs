use serde_json::{Value as Json, json};

use super::super::Schema;
use super::{problems, with, with_fields};
use crate::spec::SchemaDefinitionSpec;

#[test]
fn an_unknown_key_comes_with_the_nearest_of_its_place_and_all_that_there_are() {
    let mut spec = with_fields(&json!([
        {"name": "code", "type": "string", "maxLenght": 3},
        {"name": "supplier", "type": "string", "ref": {"object": "supplier", "version": "v1", "ondelete": "restrict"}},
    ]));
    spec["uniqueConstraint"] = json!([]);
    spec["access"] = json!({"roles": {"reed": ["a"]}, "zzz": 1});
    insta::assert_snapshot!(problems(&spec), @r"
    spec.uniqueConstraint: is not a field here (did you mean `uniqueConstraints`?); there are org, app, domain, object, version, displayName, description, fields, uniqueConstraints, indexes, validation, access, search, timeMachine, audit, archive, auth, observability, scaling
    spec.access.zzz: is not a field here; there are roles, abac, rowFilter, fieldAccess
    spec.access.roles.reed: is not a field here (did you mean `read`?); there are create, read, update, delete, restore, history, export
    spec.fields[0].maxLenght: is not a field here (did you mean `maxLength`?); there are name, type, description, required, unique, default, filterable, sortable, searchable, immutable, autoPopulated, sensitivity, renamedFrom, deprecated, ref, minLength, maxLength, pattern, min, max, precision, scale, enum, maxSize, items, minItems, maxItems, uniqueItems, schema
    spec.fields[1].ref.ondelete: is not a field here (did you mean `onDelete`?); there are org, app, domain, object, version, field, onDelete, enforce
    ");
}

#[test]
fn every_value_of_another_type_and_every_missing_key_is_reported_at_once() {
    let spec = json!({"app": 3, "domain": "d", "object": "o", "version": "v1",
        "fields": [
            {"name": "a", "type": "strng"},
            {"type": "string"},
            {"name": "c", "type": "string", "maxLength": "40", "required": "yes", "typo": 1},
            7,
            {"name": "d", "type": "string", "maxLength": -1},
            {"name": "e", "type": "string", "ref": {"object": "x"}},
            {"name": "f", "type": "enum", "enum": ["a", 1]},
        ],
        "indexes": {"fields": ["a"]}, "access": {"roles": {"read": "reader"}}, "audit": [],
    });
    insta::assert_snapshot!(problems(&spec), @r"
    spec.access.roles.read: must be a list, not text
    spec.app: must be text, not a number
    spec.audit: must be an object, not a list
    spec.fields[0].type: must be one of string, integer, number, boolean, timestamp, date, time, json, enum, uuid, bytes, array (did you mean `string`?)
    spec.fields[1].name: is required
    spec.fields[2].typo: is not a field here (did you mean `type`?); there are name, type, description, required, unique, default, filterable, sortable, searchable, immutable, autoPopulated, sensitivity, renamedFrom, deprecated, ref, minLength, maxLength, pattern, min, max, precision, scale, enum, maxSize, items, minItems, maxItems, uniqueItems, schema
    spec.fields[2].maxLength: must be a whole number from 0 to 4294967295, not text
    spec.fields[2].required: must be true or false, not text
    spec.fields[3]: must be an object, not a number
    spec.fields[4].maxLength: must be a whole number from 0 to 4294967295
    spec.fields[5].ref.version: is required
    spec.fields[6].enum[1]: must be text, not a number
    spec.indexes: must be a list, not an object
    spec.org: is required
    ");
}

#[test]
fn unknown_keys_do_not_hide_what_else_is_wrong() {
    let spec = with(&json!({"indexs": [], "object": "Order", "uniqueConstraints": [{"fields": ["cde"]}]}));
    insta::assert_snapshot!(problems(&spec).replace(", version, displayName, description, fields, uniqueConstraints, indexes, validation, access, search, timeMachine, audit, archive, auth, observability, scaling", ", …"), @r"
    spec.indexs: is not a field here (did you mean `indexes`?); there are org, app, domain, object, …
    spec.object: `Order` is not a name: use 1 to 63 lower-case letters, digits and single dashes, beginning and ending with a letter or digit
    spec.uniqueConstraints[0].fields[0]: there is no field `cde` (did you mean `code`?)
    ");
}

#[test]
fn what_is_no_object_at_all_is_one_violation() {
    for json in [Json::Null, json!("x"), json!(3), json!([]), json!([1, 2])] {
        let violations = SchemaDefinitionSpec::from_json(&json).unwrap_err();
        assert_eq!(violations.iter().count(), 1, "{violations}");
        assert_eq!(violations.0[0].path, "spec");
    }
}

#[test]
fn a_document_full_of_errors_is_answered_in_bounded_work_and_length() {
    let key = "k".repeat(100_000);
    let fields: Vec<Json> = (0..5_000).map(|_| json!({"name": 1, "type": 2, key.as_str(): 3})).collect();
    let violations = Schema::from_json(&with_fields(&json!(fields))).unwrap_err();
    assert!(violations.iter().count() < 10_200);
    assert!(violations.iter().all(|violation| violation.path.len() < 200));
}

#[test]
fn keys_that_look_like_paths_do_not_break_the_report() {
    let mut spec = with(&json!({}));
    spec["a.b[0]\n"] = json!(1);
    spec["fields"][0]["default"] = json!({"anything": {"goes": ["here"]}});
    let all = problems(&spec);
    assert!(all.starts_with("spec.a.b[0]\\n: is not a field here"), "{all}");
    assert!(all.contains("spec.fields[0].default: must be a string"), "{all}");
}
