//! Whatever parses, Postgres accepts; and a second plan finds nothing to do.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value as Json, json};
use velocity_schema::Schema;
use velocity_sql::TableNames;
use velocity_testkit::{PLATFORM, TestDatabase};

use crate::planned::migrate;

/// How many schemas; each takes about a tenth of a second.
const CASES: usize = 60;

/// Names that mean something to SQL, plpgsql or the generated code, and names as long as they can be.
fn field_name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-zA-Z][a-zA-Z0-9_]{0,8}",
        1 => "[a-z]{62}[a-c]",
        2 => prop::sample::select(vec![
            "select", "user", "order", "group", "actor", "n", "o", "e", "t", "r", "new", "old", "operation", "changed",
            "previous", "record_id", "state", "hash", "seq", "xid", "new_rows", "old_rows", "oid", "tg_op", "role",
        ])
        .prop_map(str::to_owned),
    ]
}

/// Texts that try to leave their quotes.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        prop::sample::select(vec![
            "it's",
            "\\'",
            "\"; drop table x; --",
            "ü€😀",
            "$$",
            "$1",
            " ",
            "E'\\n",
            "%s",
            "null"
        ])
        .prop_map(str::to_owned),
    ]
}

pub(crate) fn kind() -> impl Strategy<Value = Json> {
    prop_oneof![
        (prop::option::of(0..5_u32), prop::option::of(5..2_000_000_000_u32), prop::option::of(text())).prop_map(
            |(min, max, default)| json!({"type": "string", "minLength": min.map(|n| n.min(1)), "maxLength": max, "default": default,
                "pattern": default.as_ref().map(|_| "^.*'?$")})
        ),
        (any::<bool>(), -5..5_i64).prop_map(|(bounds, n)| if bounds {
            json!({"type": "integer", "min": n, "max": n + 3, "default": n + 1})
        } else {
            json!({"type": "integer", "min": i64::MIN, "max": i64::MAX})
        }),
        (1..60_u32, 0..60_u32, any::<bool>()).prop_map(|(precision, scale, bounds)| {
            let scale = scale.min(precision);
            let mut field = json!({"type": "number", "precision": precision, "scale": scale});
            if bounds && scale < precision {
                field["min"] = json!(-9);
                field["max"] = json!(9);
                field["default"] = json!(1);
            }
            field
        }),
        Just(json!({"type": "number", "precision": 1000, "scale": 1000})),
        any::<bool>().prop_map(|value| json!({"type": "boolean", "default": value})),
        Just(json!({"type": "timestamp", "default": "0001-01-01T00:00:00.000001Z"})),
        Just(json!({"type": "date", "default": "9999-12-31"})),
        Just(json!({"type": "time", "default": "23:59:59.999999"})),
        text().prop_map(|text| json!({"type": "json", "filterable": true, "default": {text.as_str(): [null, 1.5, text]}})),
        prop::collection::btree_set(text(), 1..6).prop_map(|values| {
            let values: Vec<String> = values.into_iter().collect();
            json!({"type": "enum", "enum": values, "default": values[0]})
        }),
        any::<bool>().prop_map(|auto| json!({"type": "uuid", "autoPopulated": auto})),
        (0..9_u32).prop_map(|size| json!({"type": "bytes", "maxSize": size, "default": ""})),
        (prop::sample::select(vec!["string", "integer", "number", "boolean", "timestamp", "date", "time", "uuid"]), 0..3_u32)
            .prop_map(|(items, least)| json!({"type": "array", "items": items, "minItems": least, "maxItems": least + 1,
                "uniqueItems": true, "filterable": true})),
        Just(json!({"type": "array", "items": "string", "default": ["it's", "\\", "{a,b}", "null", ""]})),
    ]
}

fn fields() -> impl Strategy<Value = Vec<Json>> {
    let field = (field_name(), kind(), any::<[bool; 5]>());
    prop::collection::vec(field, 1..9).prop_map(|all| {
        all.into_iter()
            .map(|(name, mut field, [filterable, sortable, unique, immutable, required])| {
                let compound = ["json", "bytes", "array"].contains(&field["type"].as_str().unwrap());
                field["name"] = json!(name);
                field["immutable"] = json!(immutable);
                field["required"] = json!(required && !field["default"].is_null());
                if !compound {
                    field["filterable"] = json!(filterable);
                    field["sortable"] = json!(sortable);
                    field["unique"] = json!(unique && field["default"].is_null());
                }
                let map = field.as_object_mut().unwrap();
                map.retain(|_, value| !value.is_null());
                field
            })
            .collect()
    })
}

fn spec() -> impl Strategy<Value = Json> {
    let id = prop::sample::select(vec!["uuid", "string", "integer"]);
    (prop_oneof!["[a-z][a-z0-9]{0,12}", "[a-z]{62}[a-c]"], id, fields(), any::<[bool; 3]>()).prop_map(
        |(object, id, mut fields, [own, index, filter])| {
            let mut spec = json!({"org": "any", "app": "schema", "domain": "test", "object": object, "version": "v123456789",
                "access": {"roles": {"create": ["w"], "read": ["w", "r"], "update": ["w"]}}});
            let simple: Vec<String> = fields
                .iter()
                .filter(|field| !["json", "bytes", "array"].contains(&field["type"].as_str().unwrap()))
                .map(|field| field["name"].as_str().unwrap().to_owned())
                .collect();
            if index && !simple.is_empty() {
                spec["indexes"] = json!([{"fields": simple}, {"fields": [format!("-{}", simple[0]), "updated_at"],
                    "where": "record.version > 1"}]);
            }
            if index && simple.len() > 1 {
                spec["uniqueConstraints"] = json!([{"fields": simple}]);
            }
            if filter {
                spec["access"]["rowFilter"] =
                    json!([{"role": "r", "condition": "record.created_by == actor.id || record.version > 7"}, {"role": "*", "condition": "record.version > 0"}]);
            }
            if own {
                let object = &spec["object"];
                fields.push(json!({"name": "parent_of_this", "type": id, "ref": {"object": object, "version": "v123456789"}}));
            }
            fields.push(json!({"name": "id", "type": id}));
            spec["fields"] = json!(fields);
            spec
        },
    )
}

/// A record that says only what it must.
async fn write_and_check(owner: &tokio_postgres::Client, schema: &Schema) {
    let names = TableNames::of(schema.path());
    let (table, history) = (names.table_sql().inline(), names.history_sql().inline());
    let id = match schema.id().kind.name() {
        "uuid" => "'0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f'",
        "integer" => "7",
        _ => "'it''s'",
    };
    let first = schema.fields()[1].name.as_str();
    let sql = format!(
        "begin; set local velocity.actor = 'me'; insert into {table} (id) values ({id}); update {table} set \"{first}\" = \"{first}\"; commit"
    );
    owner.batch_execute(&sql).await.unwrap_or_else(|e| panic!("{:?} {sql}", e.as_db_error()));
    let row = owner
        .query_one(
            &format!(
                "select count(*), bool_and(version <> 2 or h.state = (select to_jsonb(_row) - array['deleted_at', '_head_hash'] from {table} _row)),
                   bool_and(h.hash = platform.event_hash($1, prev_hash, record_id, version, occurred_at, operation, actor, actor_type,
                     strategy, request_id, trace_id, reason, changed, state::text)) from {history} h"
            ),
            &[&names.display()],
        )
        .await;
    let row = row.unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(row.get::<_, i64>(0), 2);
    assert!(row.get::<_, bool>(1), "the last event has the record");
    assert!(row.get::<_, bool>(2), "every hash is genuine");
}

#[tokio::test]
async fn whatever_parses_is_provisioned_once_and_works() {
    let database = TestDatabase::create_from(&PLATFORM).await;
    let mut owner = database.owner().await;
    let mut runner = TestRunner::default();
    let (mut made, mut tried) = (0, 0);
    while made < CASES {
        tried += 1;
        assert!(tried < 20 * CASES, "too few of the specs are valid: {made} of {tried}");
        let spec = spec().new_tree(&mut runner).unwrap().current();
        let Ok((_, schema)) = Schema::from_json(&spec) else { continue };
        let shown = serde_json::to_string_pretty(&spec).unwrap();
        println!("{shown}"); // seen only where the test fails
        migrate(&mut owner, &schema).await;
        write_and_check(&owner, &schema).await;
        let names = TableNames::of(schema.path());
        let drop = format!("drop table {}, {}", names.table_sql().inline(), names.history_sql().inline());
        owner.batch_execute(&drop).await.unwrap();
        made += 1;
    }
}

#[tokio::test]
async fn five_hundred_fields_are_a_table_like_any_other() {
    let fields: Vec<Json> = (0..500)
        .map(|n| match n % 4 {
            0 => json!({"name": format!("{}{n:03}", "f".repeat(60)), "type": "string", "maxLength": 9, "immutable": true}),
            1 => json!({"name": format!("n{n}"), "type": "number", "min": 0, "default": n}),
            2 => json!({"name": format!("b{n}"), "type": "boolean", "filterable": n < 100}),
            _ => json!({"name": format!("e{n}"), "type": "enum", "enum": ["a", "b"], "default": "a", "required": true}),
        })
        .collect();
    let spec = json!({"org": "any", "app": "schema", "domain": "wide", "object": "wide", "version": "v1", "fields": fields});
    let (_, schema) = Schema::from_json(&spec).unwrap_or_else(|e| panic!("{e}"));
    let database = TestDatabase::create_from(&PLATFORM).await;
    let mut owner = database.owner().await;
    migrate(&mut owner, &schema).await;
    write_and_check(&owner, &schema).await;
}
