//! Bodies as clients send them, good and bad.

use serde_json::json;
use uuid::Uuid;

use super::{
    Change, InputError, NewRecord, Patch, Replacement, check_rules, parse_create, parse_id, parse_patch,
    parse_replace, parse_replace_keeping, read_state, sent,
};
use crate::lineage::{Fate, FieldChange, Lineage};
use crate::schema::Schema;
use crate::spec::SchemaDefinitionSpec;
use crate::value::Value;

const ORDER: &str = r#"
org: a
app: b
domain: c
object: order
version: v1
fields:
  - {name: supplier, type: string, required: true, maxLength: 5}
  - {name: amount, type: number, precision: 30, scale: 20}
  - {name: count, type: integer, min: 0}
  - {name: status, type: enum, enum: [draft, approved], required: true, default: draft}
  - {name: token, type: uuid, autoPopulated: true}
  - {name: extra, type: json}
  - {name: tags, type: array, items: string}
  - {name: data, type: bytes}
  - {name: seen, type: timestamp}
validation:
  rules:
    - {rule: "self.count < 10", message: too many, field: count}
    - {rule: "self.supplier != 'x'", message: not x}
    - {rule: "self.count >= oldSelf.count", message: never fewer}
    - {rule: "10 / self.count > 0", message: divides}
"#;

fn schema() -> Schema {
    let json: serde_json::Value = serde_saphyr::from_str(ORDER).unwrap();
    Schema::parse(&SchemaDefinitionSpec::from_json(&json).unwrap()).unwrap()
}

fn fixed() -> Uuid {
    Uuid::from_u128(7)
}

fn create(body: &str) -> Result<NewRecord, InputError> {
    parse_create(&schema(), body.as_bytes(), &mut fixed)
}

fn patch(body: &str) -> Result<Patch, InputError> {
    parse_patch(&schema(), &Value::Uuid(fixed()), body.as_bytes())
}

fn replace(body: &str) -> Result<Replacement, InputError> {
    parse_replace(&schema(), &Value::Uuid(fixed()), body.as_bytes(), &mut Uuid::nil)
}

/// `path rule` of every violation.
fn violations<T: std::fmt::Debug>(outcome: Result<T, InputError>) -> Vec<String> {
    match outcome {
        Err(InputError::Invalid(all)) => all.iter().map(|v| format!("{} {}", v.path, v.rule)).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_create_fills_in_defaults_and_uuids_and_leaves_the_rest_null() {
    let record = create(r#"{"supplier": "s"}"#).unwrap();
    let schema = schema();
    let value = |name: &str| &record.values[schema.position(name).unwrap()];
    assert_eq!(record.values.len(), schema.fields().len());
    assert_eq!(record.id(), &Value::Uuid(fixed()));
    assert_eq!(value("token"), &Value::Uuid(fixed()));
    assert_eq!(value("status"), &Value::String("draft".into()));
    assert!(value("amount").is_null() && value("version").is_null() && value("created_at").is_null());
}

#[test]
fn an_explicit_null_is_no_value_and_gets_no_default() {
    let schema = schema();
    let record = create(r#"{"supplier": "s", "token": null}"#).unwrap();
    assert!(record.values[schema.position("token").unwrap()].is_null());
    assert_eq!(violations(create(r#"{"supplier": "s", "status": null}"#)), ["status required"]);
}

#[test]
fn everything_that_is_wrong_is_reported_at_once() {
    let body = r#"{"suplier": 1, "amount": 1e-21, "count": -1, "status": "aproved", "version": 1,
        "created_by": "me", "tags": [1, null], "count": 3, "data": "%%", "token": "x"}"#;
    assert_eq!(
        violations(create(body)),
        [
            "suplier unknownField",
            "amount scale",
            "count min",
            "status enum",
            "version readOnly",
            "created_by readOnly",
            "tags type",
            "count duplicateKey",
            "data type",
            "token type",
            "supplier required",
        ]
    );
    let Err(error) = create(r#"{"suplier": "s", "supplier": "s"}"#) else { panic!("accepted") };
    assert!(error.to_string().contains("did you mean `supplier`?"), "{error}");
}

#[test]
fn a_key_is_the_same_however_it_is_escaped() {
    assert_eq!(violations(create(r#"{"supplier": "a", "su\u0070plier": "b"}"#)), ["supplier duplicateKey"]);
    assert_eq!(
        violations(create(r#"{"supplier": "a", "extra": {"a": [{"b": 1, "\u0062": 2}]}}"#)),
        ["extra duplicateKey"]
    );
}

#[test]
fn numbers_keep_every_digit() {
    let schema = schema();
    let amount = |body: &str| create(body).unwrap().values[schema.position("amount").unwrap()].to_text();
    assert_eq!(amount(r#"{"supplier": "s", "amount": 0.12345678901234567890}"#), "0.12345678901234567890");
    assert_eq!(
        amount(r#"{"supplier": "s", "amount": "9999999999.00000000000000000001"}"#),
        "9999999999.00000000000000000001"
    );
    assert_eq!(violations(create(r#"{"supplier": "s", "amount": 1e400}"#)), ["amount precision"]);
}

#[test]
fn texts_that_no_database_holds_are_the_callers_error() {
    assert_eq!(violations(create(r#"{"supplier": "a\u0000"}"#)), ["supplier type"]);
    assert_eq!(violations(create(r#"{"supplier": "\ud800"}"#)), ["supplier type"]);
    assert_eq!(violations(create(r#"{"supplier": "s", "extra": {"a\u0000": 1}}"#)), ["extra type"]);
    assert_eq!(
        violations(create("{\"supplier\": \"s\", \"a\u{0}\": 1}".replace('\0', "\\u0000").as_str())),
        ["a\0 unknownField"]
    );
}

#[test]
fn a_body_of_a_hundred_thousand_levels_is_refused_without_recursion() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    for inner in [deep("[", "]"), deep("{\"a\":", "}").replace(":}", ":1}")] {
        for field in ["extra", "tags", "supplier", "nothing"] {
            let body = format!("{{\"supplier\": \"s\", \"{field}\": {inner}}}");
            assert!(matches!(create(&body), Err(InputError::Invalid(_))), "{field}");
            assert!(matches!(patch(&body), Err(InputError::Invalid(_))), "{field}");
        }
        assert!(matches!(create(&inner), Err(InputError::Invalid(_) | InputError::Malformed(_))));
    }
    assert!(matches!(create(&"[".repeat(100_000)), Err(InputError::Malformed(_))));
}

#[test]
fn malformed_json_is_told_from_json_that_does_not_fit() {
    for body in [
        "",
        "null",
        "[]",
        "\"x\"",
        "{",
        "{\"a\": }",
        "{\"a\": 01}",
        "{'a': 1}",
        "{\"a\": NaN}",
        "{} {}",
        "{\"a\": 1,}",
    ] {
        assert!(matches!(create(body), Err(InputError::Malformed(_))), "{body}");
        assert!(matches!(patch(body), Err(InputError::Malformed(_))), "{body}");
    }
}

#[test]
fn a_patch_holds_what_it_names_and_nothing_else() {
    let schema = schema();
    let at = |name: &str| schema.position(name).unwrap();
    let changes = patch(r#"{"count": 3, "amount": null, "extra": {"a": null}, "version": 7}"#).unwrap();
    assert_eq!(changes.expected_version, Some(7));
    assert_eq!(
        changes.changes,
        [
            (at("amount"), Change::Set(Value::Null)),
            (at("count"), Change::Set(Value::Integer(3))),
            (at("extra"), Change::Merge(r#"{"a": null}"#.into())),
        ]
    );
    assert!(changes.needs_current());
    let mut current = vec![Value::Null; schema.fields().len()];
    current[at("extra")] = Value::Json(r#"{"a":1,"b":2}"#.into());
    current[at("supplier")] = Value::String("kept".into());
    let after = changes.apply(&current);
    assert_eq!(after[at("extra")], Value::Json(r#"{"b":2}"#.into()));
    assert_eq!(after[at("supplier")], Value::String("kept".into()));
    assert!(!patch("{}").unwrap().needs_current());
    assert_eq!(
        patch(r#"{"extra": [1]}"#).unwrap().changes,
        [(at("extra"), Change::Set(Value::Json("[1]".into())))]
    );
}

#[test]
fn a_patch_cannot_take_required_values_away_nor_touch_what_is_not_the_clients() {
    assert_eq!(
        violations(patch(r#"{"supplier": null, "updated_at": "2026-01-01T00:00:00Z"}"#)),
        ["updated_at readOnly", "supplier required"]
    );
    for version in ["0", "-1", "\"x\"", "1.5", "null", "9223372036854775808"] {
        assert_eq!(violations(patch(&format!("{{\"version\": {version}}}"))), ["version type"], "{version}");
    }
}

#[test]
fn the_id_in_a_body_is_that_of_the_url_or_an_error() {
    let same = format!("{{\"supplier\": \"s\", \"id\": \"{}\"}}", fixed());
    assert!(patch(&same).is_ok());
    assert_eq!(replace(&same).unwrap().record.id(), &Value::Uuid(fixed()));
    let other = format!("{{\"supplier\": \"s\", \"id\": \"{}\"}}", Uuid::nil());
    assert_eq!(violations(patch(&other)), ["id immutable"]);
    assert_eq!(violations(replace(&other)), ["id immutable"]);
    assert_eq!(create(&other).unwrap().id(), &Value::Uuid(Uuid::nil()));
}

#[test]
fn a_replacement_is_whole() {
    let replacement = replace(r#"{"supplier": "s", "version": 2}"#).unwrap();
    assert_eq!((replacement.expected_version, replacement.record.id()), (Some(2), &Value::Uuid(fixed())));
    assert_eq!(violations(replace(r#"{"count": 1}"#)), ["supplier required"]);
}

#[test]
fn an_id_that_no_record_can_have_is_named() {
    assert!(parse_id(&schema(), "0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f").is_ok());
    for bad in ["", "7", "0190c8a57b1e7c3a9f001a2b3c4d5e6f", "../x", "a\0"] {
        let violation = parse_id(&schema(), bad).unwrap_err();
        assert_eq!((violation.path.as_str(), violation.rule), ("id", "type"));
    }
}

#[test]
fn all_rules_that_do_not_hold_are_reported_and_one_without_an_answer_does_not_hold() {
    let schema = schema();
    let values = |body: &str| create(body).unwrap().values;
    let broken = |values: &[Value], old: Option<&[Value]>| match check_rules(&schema, values, old) {
        Ok(()) => Vec::new(),
        Err(all) => all.iter().map(|v| format!("{}: {}", v.path, v.message)).collect::<Vec<_>>(),
    };
    let good = values(r#"{"supplier": "s", "count": 3}"#);
    assert_eq!(broken(&good, None), Vec::<String>::new());
    let bad = values(r#"{"supplier": "x", "count": 12}"#);
    assert_eq!(broken(&bad, None)[..2], ["count: too many", ": not x"]);
    let fewer = values(r#"{"supplier": "s", "count": 2}"#);
    assert_eq!(broken(&fewer, Some(&good)), [": never fewer"]);
    let zero = values(r#"{"supplier": "s", "count": 0}"#);
    assert_eq!(broken(&zero, None), [": divides (the rule could not be evaluated on this record)"]);
}

#[test]
fn an_earlier_state_is_read_through_todays_fields() {
    let schema = schema();
    let state = json!({
        "id": fixed().to_string(), "supplier": "longer than today", "amount": 1, "gone": 1, "count": "seven",
        "data": "\\x00ff", "seen": "2026-05-19T14:00:00.5+00:00", "extra": {"a": [1]}, "tags": ["x"], "version": 3
    });
    let values = read_state(&schema, &Lineage::default(), 1, &state.to_string()).unwrap();
    let value = |name: &str| &values[schema.position(name).unwrap()];
    assert_eq!(value("supplier"), &Value::String("longer than today".into()));
    assert_eq!(value("data"), &Value::Bytes(vec![0, 255]));
    assert_eq!(value("seen").to_text(), "2026-05-19T14:00:00.5Z");
    assert_eq!(value("extra"), &Value::Json(r#"{"a":[1]}"#.into()));
    assert_eq!((value("tags").to_text(), value("version")), (r#"["x"]"#.to_owned(), &Value::Integer(3)));
    assert!(value("token").is_null() && value("status").is_null());
    assert_eq!(
        value("count"),
        &Value::Json(r#""seven""#.into()),
        "what the type cannot hold is as it was recorded"
    );
    assert!(read_state(&schema, &Lineage::default(), 1, "[]").is_err());
}

#[test]
fn an_earlier_state_shows_its_values_under_the_names_of_today() {
    let change = |field: &str, fate| FieldChange { seq: 5, step: 1, field: field.to_owned(), fate };
    let lineage = Lineage::new([
        change("vendor", Fate::Renamed("supplier".to_owned())),
        change("supplier", Fate::Renamed("token".to_owned())),
        change("count", Fate::Dropped),
    ]);
    let schema = schema();
    let state = json!({ "vendor": "v", "supplier": fixed().to_string(), "count": 3 }).to_string();
    let read = |seq| read_state(&schema, &lineage, seq, &state).unwrap();
    let value = |values: &[Value], name: &str| values[schema.position(name).unwrap()].clone();
    let before = read(5);
    assert_eq!(value(&before, "supplier"), Value::String("v".into()));
    assert_eq!(value(&before, "token"), Value::Uuid(fixed()));
    assert!(value(&before, "count").is_null(), "the field of today is another one");
    let after = read(6);
    assert_eq!(
        (value(&after, "supplier").to_text(), value(&after, "count")),
        (fixed().to_string(), Value::Integer(3))
    );
}

/// The names of fields by position.
fn names(positions: &[usize]) -> Vec<String> {
    positions.iter().map(|position| schema().fields()[*position].name.to_string()).collect()
}

#[test]
fn what_the_caller_named_is_known_apart_from_what_was_filled_in() {
    let body = r#"{"status": "draft", "supplier": "s", "amount": null}"#;
    assert_eq!(names(create(body).unwrap().sent()), ["supplier", "amount", "status"]);
    assert_eq!(names(patch(body).unwrap().sent()), ["supplier", "amount", "status"]);
    assert_eq!(names(replace(body).unwrap().sent()), ["supplier", "amount", "status"]);
    let whole = format!(r#"{{"id": "{}", "supplier": "s", "version": 3}}"#, fixed());
    assert_eq!(names(replace(&whole).unwrap().sent()), ["id", "supplier", "version"]);
}

#[test]
fn what_a_body_names_is_known_before_anything_else_is_said_about_it() {
    let schema = schema();
    let of = |body: &str| sent(&schema, body.as_bytes()).map(|positions| names(&positions));
    assert_eq!(of(r#"{"count": "many", "nope": 1, "status": 7, "count": 2}"#).unwrap(), ["count", "status"]);
    assert!(of("[]").is_err() && of("{").is_err());
}

#[test]
fn a_replace_keeps_what_its_caller_may_not_set() {
    let schema = schema();
    let kept =
        |position: usize| ["supplier", "count", "token"].contains(&schema.fields()[position].name.as_str());
    let id = Value::Uuid(fixed());
    let read = |body: &str| parse_replace_keeping(&schema, &id, body.as_bytes(), &kept, &mut Uuid::nil);
    let record = read(r#"{"amount": 1, "count": 3}"#).unwrap().record;
    assert_eq!(names(&record.generated), ["supplier", "token"], "what is named is not kept");
    assert_eq!(names(&record.sent), ["amount", "count"]);
    assert_eq!(violations(read(r#"{"status": null}"#)), ["status required"]);
}

#[test]
fn problems_of_hidden_fields_do_not_name_them() {
    use crate::violation::{Violation, Violations};
    let all = Violations(vec![
        Violation::new("count", "max", "must be at most 5"),
        Violation::new("amount", "rule", "amount and count go together"),
        Violation::new("cuont", "unknownField", "is not a field of this schema (did you mean `count`?)"),
        Violation::new("amuont", "unknownField", "is not a field of this schema (did you mean `amount`?)"),
        Violation::new("seen", "min", "recount is too early"),
    ]);
    let schema = schema();
    let hidden = schema.position("count").unwrap();
    let told = all.clone().without_fields(&schema, &|position| position == hidden);
    let told: Vec<String> = told.iter().map(|one| format!("{one} [{}]", one.rule)).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    a field that you may not see is not as the schema demands [rule]
    amount: a field that you may not see is not as the schema demands [rule]
    cuont: is not a field of this schema [unknownField]
    amuont: is not a field of this schema (did you mean `amount`?) [unknownField]
    seen: recount is too early [min]
    ");
    assert_eq!(all.clone().without_fields(&schema, &|_| false), all);
}
