//! What the API accepts, the table's checks accept too, and nothing more.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use velocity_schema::{FieldType, Value};
use velocity_sql::{Fragment, Ident, SqlType, TableNames};
use velocity_testkit::{PLATFORM, TestDatabase, provision, schema};

const LIMITS: &str = r#"
org: any
app: checks
domain: test
object: limits
version: v1
fields:
  - {name: text, type: string, minLength: 1, maxLength: 3}
  - {name: whole, type: integer, min: -2, max: 2}
  - {name: exact, type: number, precision: 4, scale: 2, min: -1.50, max: 12.25}
  - {name: tiny, type: number, precision: 2, scale: 2}
  - {name: word, type: enum, enum: ["a", "A", "ä", "a ", "it's", "\\"]}
  - {name: data, type: bytes, maxSize: 2}
  - {name: list, type: array, items: string, minItems: 1, maxItems: 2}
  - {name: numbers, type: array, items: number, precision: 3, scale: 1}
"#;

fn value(kind: &FieldType) -> BoxedStrategy<Value> {
    let text = || {
        prop::sample::select(vec![
            "",
            "a",
            "A",
            "ä",
            "a ",
            "a\u{308}",
            "abc",
            "äöü",
            "äöüß",
            "😀😀😀",
            "it's",
            "\\",
            "x\ny",
        ])
    };
    match kind {
        FieldType::String { .. } | FieldType::Enum { .. } => {
            text().prop_map(|text| Value::String(text.into())).boxed()
        }
        FieldType::Integer { .. } => prop_oneof![-4..5_i64, any::<i64>()].prop_map(Value::Integer).boxed(),
        FieldType::Number { scale, .. } => {
            // Of the column's scale: Postgres rounds what is finer, the API refuses it.
            let scale = i64::from(*scale);
            prop_oneof![-200..1300_i64, -20_000..20_000_i64]
                .prop_map(move |n| Value::Number(bigdecimal::BigDecimal::from_bigint(n.into(), scale)))
                .boxed()
        }
        FieldType::Bytes { .. } => prop::collection::vec(any::<u8>(), 0..5).prop_map(Value::Bytes).boxed(),
        FieldType::Array { items, .. } => {
            prop::collection::vec(value(items), 0..5).prop_map(Value::Array).boxed()
        }
        _ => unreachable!("the schema has no other types"),
    }
}

#[tokio::test]
async fn a_value_passes_the_tables_checks_exactly_when_it_passes_the_fields() {
    let database = TestDatabase::create_from(&PLATFORM).await;
    let schema = schema(LIMITS);
    provision(&database, &schema).await;
    let owner = database.owner().await;
    let table = TableNames::of(schema.path()).table_sql().inline();
    let mut runner = TestRunner::default();
    for field in schema.fields().iter().filter(|field| !field.system && field.name.as_str() != "id") {
        let (mut accepted, mut refused) = (0, 0);
        for _ in 0..60 {
            let value = value(&field.kind).new_tree(&mut runner).unwrap().current();
            let expected = field.kind.check(&value);
            let literal = Fragment::bind(SqlType::of(&field.kind), value.clone()).inline();
            let sql = format!(
                "begin; set local velocity.actor = 'me'; insert into {table} (id, {}) values (gen_random_uuid(), {literal}); rollback",
                Ident::from(&field.name)
            );
            let outcome = owner.batch_execute(&sql).await;
            assert_eq!(
                outcome.is_ok(),
                expected.is_ok(),
                "{}: {value:?}: {expected:?}, {outcome:?}",
                field.name
            );
            match outcome {
                Ok(()) => accepted += 1,
                Err(error) => {
                    refused += 1;
                    let code = error.code().unwrap().code().to_owned();
                    assert!(["23514", "22003"].contains(&code.as_str()), "{code}");
                    if let Some(constraint) = error.as_db_error().unwrap().constraint() {
                        // The check is named for the rule that the field names, or, where several fail, for one of them.
                        assert!(constraint.starts_with(field.name.as_str()), "{constraint}");
                    }
                    owner.batch_execute("rollback").await.unwrap();
                }
            }
        }
        assert!(accepted > 0 && refused > 0, "{}: {accepted} accepted, {refused} refused", field.name);
    }
}

#[tokio::test]
async fn no_element_of_an_array_is_null() {
    let database = TestDatabase::create_from(&PLATFORM).await;
    let schema = schema(LIMITS);
    provision(&database, &schema).await;
    let owner = database.owner().await;
    let table = TableNames::of(schema.path()).table_sql().inline();
    let sql = format!(
        "begin; set local velocity.actor = 'me'; insert into {table} (id, list) values (gen_random_uuid(), array['a', null]); commit"
    );
    let error = owner.batch_execute(&sql).await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().constraint(), Some("list_items_check"));
}
