use bigdecimal::BigDecimal;
use serde_json::{Value as Json, json};

use super::{EXAMPLE, problems, valid, with, with_fields, yaml};
use crate::schema::{Mask, Operation, Schema};

fn with_access(access: &Json) -> Json {
    with(&json!({ "access": access }))
}

/// A schema with one field of every type and this `fieldAccess`.
fn typed(rules: &Json) -> Json {
    let mut spec = with_fields(&json!([
        {"name": "text", "type": "string"},
        {"name": "count", "type": "integer"},
        {"name": "amount", "type": "number"},
        {"name": "whole", "type": "number", "scale": 0},
        {"name": "yes", "type": "boolean"},
        {"name": "at", "type": "timestamp"},
        {"name": "day", "type": "date"},
        {"name": "clock", "type": "time"},
        {"name": "doc", "type": "json"},
        {"name": "state", "type": "enum", "enum": ["a", "b"]},
        {"name": "key", "type": "uuid"},
        {"name": "blob", "type": "bytes"},
        {"name": "list", "type": "array", "items": "string"},
    ]));
    spec["access"] = json!({ "fieldAccess": rules });
    spec
}

/// The mask of a field that only `r` sees in clear.
fn masked(field: &str, masking: &Json) -> Json {
    json!({ "field": field, "read": ["r"], "masking": masking })
}

fn mask_of<'a>(schema: &'a Schema, name: &str) -> Option<&'a Mask> {
    schema.access().field_rule(schema.position(name)?)?.mask.as_ref()
}

#[test]
fn the_contracts_example_has_a_condition_and_a_field_with_rights() {
    let mut spec = yaml(EXAMPLE);
    spec["search"]["fields"] = json!(["supplier_code", "status"]);
    spec["timeMachine"] = json!({"enabled": true});
    for key in ["archive", "observability", "scaling"] {
        spec.as_object_mut().unwrap().remove(key);
    }
    let schema = valid(&spec);
    let [rule] = schema.access().abac() else { panic!("one condition") };
    assert_eq!(rule.operations, [Operation::Update]);
    assert_eq!(rule.message.as_deref(), Some("only procurement, in working hours"));
    assert!(!rule.condition.uses_record());
    assert_eq!(schema.access().abac_for(Operation::Update).count(), 1);
    assert_eq!(schema.access().abac_for(Operation::Read).count(), 0);
    assert_eq!(mask_of(&schema, "approved_by"), Some(&Mask::Partial { visible: 2 }));
    let rule = schema.access().field_rule(schema.position("approved_by").unwrap()).unwrap();
    assert_eq!(rule.read.as_ref().unwrap().len(), 2);
    assert_eq!(rule.write.as_ref().unwrap().len(), 1);
    assert!(schema.access().has_field_rules() && schema.access().field_rule(0).is_none());
    assert!(schema.audit().sensitive_reads);
}

#[test]
fn conditions_are_refused_where_they_are_wrong() {
    let long = "x".repeat(1025);
    let found = problems(&with_access(&json!({"abac": [
        {"operations": [], "condition": "true"},
        {"operations": ["read", "reed", "read"], "condition": "actor.id == 'a'"},
        {"operations": ["update"], "condition": "record.nope == 'a'", "message": " "},
        {"operations": ["update"], "condition": "request.path == 'a'"},
        {"operations": ["update"], "condition": "request.operation == 'updat'"},
        {"operations": ["update"], "condition": "request.time"},
        {"operations": ["update"], "condition": "self.code == 'a'", "message": long},
    ]})));
    insta::assert_snapshot!(found, @r"
    spec.access.abac[6].message: has more than 1024 characters
    spec.access.abac[0].operations: names the operations that it is asked for
    spec.access.abac[1].operations[1]: `reed` is not an operation (did you mean `read`?); there are create, read, update, delete, restore, history, export
    spec.access.abac[1].operations[2]: `read` is there already
    spec.access.abac[2].message: says what the caller is told when the condition is not true; without it a message is made
    spec.access.abac[2].condition: `record` has no field `nope`; there are id, code, amount, region, notes, version, created_at, created_by, updated_at, updated_by (line 1, column 8)
    spec.access.abac[3].condition: `request` has no field `path`; there are time, operation, ip (line 1, column 9)
    spec.access.abac[4].condition: `request.operation` is never 'updat' (did you mean `update`?); its values are create, read, update, delete, restore, history, export (line 1, column 22)
    spec.access.abac[5].condition: true or false is expected here, this is of type timestamp (line 1, column 9)
    spec.access.abac[6].condition: `self` is not known; there is record, actor, request (line 1, column 1)
    ");
}

#[test]
fn a_condition_on_the_records_of_a_list_has_an_equal_in_sql() {
    let of = |operations: Json, condition: &str| {
        with_access(&json!({"abac": [{"operations": operations, "condition": condition}]}))
    };
    let pattern = "record.code.matches('^a') && actor.id != 'x'";
    for operation in ["read", "history", "export"] {
        let found = problems(&of(json!(["update", operation]), pattern));
        assert_eq!(
            found,
            format!(
                "spec.access.abac[0].condition: cannot be compiled to SQL: `matches`; use `startsWith`, `endsWith`, \
                 `contains` or `in` (line 1, column 13); for {operation} a condition over `record` is the database's \
                 to check: split it at `&&` into rules of their own, or leave {operation} out"
            )
        );
    }
    let rule = |spec: &Json| valid(spec).access().abac()[0].clone();
    assert!(rule(&of(json!(["create", "update", "delete", "restore"]), pattern)).condition.uses_record());
    assert!(!rule(&of(json!(["read"]), "actor.id.matches('^a')")).condition.is_in_sql());
    let both = rule(&of(json!(["read"]), "record.region == actor.attributes.region && request.ip != '::1'"));
    assert!(both.condition.uses_record() && both.condition.is_in_sql());
}

#[test]
fn field_rights_are_refused_where_they_are_wrong() {
    let many: Vec<String> = (0..101).map(|n| format!("r{n}")).collect();
    let found = problems(&with_access(&json!({"fieldAccess": [
        {"field": "coed", "read": ["r"]},
        {"field": "code", "read": ["r"]},
        {"field": "code", "write": ["r"]},
        {"field": "amount"},
        {"field": "region", "read": ["r", "two words", "r"], "write": many},
        {"field": "notes", "write": ["r"], "masking": {"strategy": "redact"}},
        {"field": "id", "read": ["r"]},
        {"field": "version", "read": ["r"]},
        {"field": "created_at", "read": []},
        {"field": "updated_at", "write": []},
    ]})));
    insta::assert_snapshot!(found, @r"
    spec.access.fieldAccess[0].field: there is no field `coed` (did you mean `code`?)
    spec.access.fieldAccess[2].field: `code` has its rights already, as spec.access.fieldAccess[1]
    spec.access.fieldAccess[3]: restricts nothing: say who sees the field in `read`, who sets it in `write`, or leave it out
    spec.access.fieldAccess[4].read[1]: a role is 1 to 128 letters, digits and any of - _ . : / @
    spec.access.fieldAccess[4].read[2]: `r` is there already
    spec.access.fieldAccess[4].write: has 101 entries; there may be 100
    spec.access.fieldAccess[5].masking: would mask nothing, since everyone sees the field in clear; list in `read` who does (`[]`: platform-admin only)
    spec.access.fieldAccess[6].field: `id` tells records and their states apart and cannot be restricted
    spec.access.fieldAccess[7].field: `version` tells records and their states apart and cannot be restricted
    spec.access.fieldAccess[8].field: `created_at` tells records and their states apart and cannot be restricted
    spec.access.fieldAccess[9].field: `updated_at` tells records and their states apart and cannot be restricted
    ");
}

#[test]
fn who_created_a_record_and_who_changed_it_is_hidden_together() {
    let of = |rules: Json| with_access(&json!({ "fieldAccess": rules }));
    let (created, updated) =
        (json!({"field": "created_by", "read": ["a"]}), json!({"field": "updated_by", "read": ["a"]}));
    valid(&of(json!([updated, created])));
    let redact = json!({"strategy": "redact"});
    for (rules, index, other) in [
        (json!([created]), 0, "updated_by"),
        (json!([updated]), 0, "created_by"),
        (json!([created, {"field": "updated_by", "read": ["b"]}]), 1, "updated_by"),
        (json!([created, {"field": "updated_by", "read": ["a"], "masking": redact}]), 1, "updated_by"),
    ] {
        assert_eq!(
            problems(&of(rules)),
            format!(
                "spec.access.fieldAccess[{index}]: one of `created_by` and `updated_by` tells the other; give \
                 `{other}` the same `read` and `masking`"
            )
        );
    }
    let writes = of(json!([created, {"field": "updated_by", "read": ["a"], "write": ["a"]}]));
    assert_eq!(
        problems(&writes),
        "spec.access.fieldAccess[1].write: `updated_by` is set by the platform alone; leave this out"
    );
}

#[test]
fn every_mask_fits_the_types_that_it_hides_something_of() {
    let fits = |fields: &[&str], masking: &Json| {
        let rules: Vec<Json> = fields.iter().map(|field| masked(field, masking)).collect();
        valid(&typed(&json!(rules)))
    };
    let scalars = ["text", "count", "amount", "at", "day", "clock", "state", "key"];
    let all = [&scalars[..], &["yes", "doc", "blob", "list"]].concat();
    for strategy in ["redact", "hash", "tokenise"] {
        fits(&all, &json!({ "strategy": strategy }));
    }
    let schema = fits(&scalars, &json!({"strategy": "partial"}));
    assert_eq!(mask_of(&schema, "key"), Some(&Mask::Partial { visible: 4 }));
    let schema = fits(&["count", "amount", "whole"], &json!({"strategy": "range", "rangeSize": 1000}));
    assert_eq!(mask_of(&schema, "amount"), Some(&Mask::Range { size: BigDecimal::from(1000) }));
}

#[test]
fn masks_are_refused_where_they_would_hide_nothing_or_make_no_sense() {
    let found = problems(&typed(&json!([
        masked("yes", &json!({"strategy": "partial"})),
        masked("doc", &json!({"strategy": "partial", "visibleChars": 2})),
        masked("blob", &json!({"strategy": "partial", "rangeSize": 2})),
        masked("list", &json!({"strategy": "hash", "visibleChars": 2})),
        masked("text", &json!({"strategy": "range", "rangeSize": 2})),
        masked("count", &json!({"strategy": "range"})),
        masked("amount", &json!({"strategy": "range", "rangeSize": 0})),
    ])));
    insta::assert_snapshot!(found, @r"
    spec.access.fieldAccess[0].masking.strategy: the length of true and false tells which it is; use redact, hash or tokenise
    spec.access.fieldAccess[1].masking.strategy: json values have no end that could stay; use redact, hash or tokenise
    spec.access.fieldAccess[2].masking.rangeSize: belongs to the strategy range; leave it out
    spec.access.fieldAccess[2].masking.strategy: bytes values have no end that could stay; use redact, hash or tokenise
    spec.access.fieldAccess[3].masking.visibleChars: belongs to the strategy partial; leave it out
    spec.access.fieldAccess[4].masking.strategy: string values lie in no range; only integer and number do. Use redact, hash or tokenise
    spec.access.fieldAccess[5].masking.rangeSize: says how wide the ranges are, as in 1000
    spec.access.fieldAccess[6].masking.rangeSize: must be more than 0
    ");
    let of = |field: &str, size: Json| {
        problems(&typed(&json!([masked(field, &json!({"strategy": "range", "rangeSize": size}))])))
    };
    let nothing = "spec.access.fieldAccess[0].masking.rangeSize: would mask nothing: every range has room for one \
                   value only; make it wider";
    assert_eq!([of("count", json!(1)), of("amount", json!(0.01)), of("whole", json!(1))], [nothing; 3]);
    let whole =
        "spec.access.fieldAccess[0].masking.rangeSize: must be a whole number, as the field's values are";
    assert_eq!([of("count", json!(2.5)), of("whole", json!(0.5))], [whole; 2]);
    assert_eq!(of("amount", json!(-5)), "spec.access.fieldAccess[0].masking.rangeSize: must be more than 0");
    assert_eq!([of("count", json!(2)), of("amount", json!(0.02)), of("whole", json!(2))], [""; 3]);
}

#[test]
fn recording_sensitive_reads_needs_a_field_that_is_sensitive() {
    let of = |sensitivity: &str| {
        let mut spec = with_fields(&json!([{"name": "a", "type": "string", "sensitivity": sensitivity}]));
        spec["audit"] = json!({"sensitiveReads": true});
        spec
    };
    for sensitivity in ["pii", "financial", "confidential"] {
        assert!(valid(&of(sensitivity)).audit().sensitive_reads);
    }
    for sensitivity in ["none", "internal"] {
        assert_eq!(
            problems(&of(sensitivity)),
            "spec.audit.sensitiveReads: would record nothing: no field has the sensitivity pii, financial or \
             confidential; give it to one, or leave this out"
        );
    }
}
