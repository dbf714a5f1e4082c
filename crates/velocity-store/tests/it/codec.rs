//! Binary formats against Postgres itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use velocity_schema::{Value, decimal};
use velocity_sql::SqlType;
use velocity_store::codec::{Numbers, decode_value, push_batch, push_value, write_json_value};
use velocity_store::wire::{Config, Exclusive, ExclusiveLimits, Params, Pipeline, Session, Statement};
use velocity_testkit::TestDatabase;

fn text() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| text.replace('\0', ""))
}

fn scalar(sql_type: SqlType) -> BoxedStrategy<Value> {
    const YEAR_1: i64 = -62_135_596_800_000_000;
    const YEAR_9999: i64 = 253_402_300_799_999_999;
    match sql_type {
        SqlType::Text => text().prop_map(Value::String).boxed(),
        SqlType::Int8 => any::<i64>().prop_map(Value::Integer).boxed(),
        SqlType::Numeric => "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?"
            .prop_map(|text| Value::Number(decimal::parse(&text).unwrap()))
            .boxed(),
        SqlType::Bool => any::<bool>().prop_map(Value::Boolean).boxed(),
        SqlType::Timestamptz => (YEAR_1..YEAR_9999).prop_map(Value::Timestamp).boxed(),
        SqlType::Date => (-719_162..2_932_896_i32).prop_map(Value::Date).boxed(),
        SqlType::Time => (0..86_400_000_000_i64).prop_map(Value::Time).boxed(),
        SqlType::Uuid => any::<u128>().prop_map(|n| Value::Uuid(uuid::Uuid::from_u128(n))).boxed(),
        SqlType::Bytea => any::<Vec<u8>>().prop_map(Value::Bytes).boxed(),
        SqlType::Jsonb => prop_oneof![
            text().prop_map(|text| serde_json::to_string(&text).unwrap()),
            Just("{\"a\": [1, 2.50, null, true]}".to_owned()),
            Just("123456789012345678901234567890.1234567890".to_owned()),
        ]
        .prop_map(Value::Json)
        .boxed(),
        array => prop::collection::vec(scalar(array.element().unwrap()), 0..5).prop_map(Value::Array).boxed(),
    }
}

const SCALARS: [SqlType; 10] = [
    SqlType::Text,
    SqlType::Int8,
    SqlType::Numeric,
    SqlType::Bool,
    SqlType::Timestamptz,
    SqlType::Date,
    SqlType::Time,
    SqlType::Uuid,
    SqlType::Bytea,
    SqlType::Jsonb,
];

fn lane(database: &TestDatabase) -> Exclusive {
    let config: Config = database.owner_url().parse().unwrap();
    Exclusive::new(config, ExclusiveLimits::default())
}

async fn run(lane: &Exclusive, sql: String, params: Params) -> velocity_store::wire::ResultSet {
    let pipeline = Pipeline::one(Session::login(), Statement::new(sql, params));
    lane.pipeline(pipeline).await.unwrap().remove(0)
}

/// What the value is once Postgres has had it: numerically equal, whatever JSON's spaces.
fn same(sent: &Value, got: &Value) -> bool {
    match (sent, got) {
        (Value::Json(sent), Value::Json(got)) => {
            sent.replace(' ', "") == got.replace(' ', "")
                || serde_json::from_str::<serde_json::Value>(sent).unwrap()
                    == serde_json::from_str::<serde_json::Value>(got).unwrap()
        }
        (Value::Array(sent), Value::Array(got)) => {
            sent.len() == got.len() && sent.iter().zip(got).all(|(sent, got)| same(sent, got))
        }
        (Value::Number(sent), Value::Number(got)) => decimal::to_text(sent) == decimal::to_text(got),
        (sent, got) => sent == got,
    }
}

#[tokio::test]
async fn every_type_goes_there_and_back_unchanged() {
    let database = TestDatabase::create().await;
    let lane = lane(&database);
    let mut runner = TestRunner::default();
    for sql_type in SCALARS.into_iter().chain(SCALARS.map(SqlType::array)) {
        let strategy = scalar(sql_type);
        for _ in 0..25 {
            let value = strategy.new_tree(&mut runner).unwrap().current();
            let mut params = Params::new();
            push_value(&mut params, sql_type, &value);
            push_value(&mut params, sql_type, &Value::Null);
            let sql = format!("select $1::{t}, $2::{t}, pg_typeof($1)::text", t = sql_type.sql());
            let result = run(&lane, sql, params).await;
            let row = result.rows().get(0).unwrap();
            let back = decode_value(sql_type, row.get(0)).unwrap();
            assert!(same(&value, &back), "{sql_type:?}: {value:?} came back as {back:?}");
            assert_eq!(row.get(1), None);
            assert_eq!(row.get(2).unwrap(), sql_type.sql().as_bytes());
        }
    }
}

#[tokio::test]
async fn postgres_reads_the_binary_forms_as_the_texts_say() {
    let database = TestDatabase::create().await;
    let lane = lane(&database);
    let mut runner = TestRunner::default();
    for sql_type in SCALARS {
        let strategy = scalar(sql_type);
        for _ in 0..25 {
            let value = strategy.new_tree(&mut runner).unwrap().current();
            let text = match &value {
                Value::Bytes(bytes) => STANDARD.encode(bytes),
                other => other.to_text(),
            };
            let mut params = Params::new();
            push_value(&mut params, sql_type, &value);
            params.text(&text);
            let read = if sql_type == SqlType::Bytea { "decode($2, 'base64')" } else { "$2::text" };
            let sql = format!("select $1 = ({read})::{}", sql_type.sql());
            let result = run(&lane, sql, params).await;
            assert_eq!(result.rows().get(0).unwrap().get(0), Some(&[1][..]), "{sql_type:?}: {text}");
        }
    }
}

#[tokio::test]
async fn batches_of_columns_come_apart_as_the_rows_they_were() {
    let database = TestDatabase::create().await;
    let lane = lane(&database);
    let mut runner = TestRunner::default();
    for sql_type in SCALARS.into_iter().chain(SCALARS.map(SqlType::array)) {
        if matches!(sql_type, SqlType::JsonbArray | SqlType::ByteaArray) {
            continue; // no field is an array of these
        }
        let strategy =
            prop::collection::vec(prop_oneof![4 => scalar(sql_type), 1 => Just(Value::Null)], 0..8);
        for _ in 0..10 {
            let values = strategy.new_tree(&mut runner).unwrap().current();
            let mut params = Params::new();
            push_batch(&mut params, sql_type, values.iter());
            let sql =
                format!("select u::{} from unnest($1) with ordinality as g(u, n) order by n", sql_type.sql());
            let result = run(&lane, sql, params).await;
            let back: Vec<Value> =
                result.rows().iter().map(|row| decode_value(sql_type, row.get(0)).unwrap()).collect();
            assert_eq!(back.len(), values.len());
            for (sent, got) in values.iter().zip(&back) {
                assert!(same(sent, got), "{sql_type:?}: {sent:?} came back as {got:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_no_field_holds_is_still_json() {
    let database = TestDatabase::create().await;
    let lane = lane(&database);
    let sql = "select 'NaN'::numeric, 'infinity'::timestamptz, '-infinity'::date";
    let result = run(&lane, sql.to_owned(), Params::new()).await;
    let row = result.rows().get(0).unwrap();
    for (at, sql_type) in [SqlType::Numeric, SqlType::Timestamptz, SqlType::Date].into_iter().enumerate() {
        assert_eq!(decode_value(sql_type, row.get(at)).unwrap(), Value::Null);
    }
    let mut json = String::new();
    write_json_value(&Value::Integer(i64::MAX), Numbers::Strings, &mut json);
    assert_eq!(json, "\"9223372036854775807\"");
}
