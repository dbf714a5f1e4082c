//! Texts that become values of another type: in SQL as in the API.

use bigdecimal::BigDecimal;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use velocity_schema::{FieldType, Value};
use velocity_testkit::{PLATFORM, TestDatabase};

const CASES: usize = 1_500;

/// Texts that are nearly of a form: of it, with one character changed, or anything.
fn texts(form: &'static str) -> impl Strategy<Value = String> {
    let valid = || prop::string::string_regex(form).unwrap();
    let changed =
        (valid(), any::<prop::sample::Index>(), "[0-9a-zA-Z:. +\\-\n\tü]?").prop_map(|(text, at, new)| {
            let mut all: Vec<char> = text.chars().collect();
            let at = at.index(all.len().max(1));
            all.splice(at..(at + 1).min(all.len()), new.chars());
            all.into_iter().collect()
        });
    prop_oneof![4 => valid(), 3 => changed, 1 => "[^\\x00]{0,12}"]
}

struct Case {
    kind: FieldType,
    /// From `value text` to a text that both sides write alike.
    sql: &'static str,
    form: &'static str,
    special: &'static [&'static str],
}

fn cases() -> Vec<Case> {
    vec![
        Case {
            kind: FieldType::Integer { min: None, max: None },
            sql: "platform.to_bigint(value)::text",
            form: "-?(0|[1-9][0-9]{0,19})",
            special: &[
                "-0",
                "00",
                "+1",
                " 1",
                "1\n",
                "9223372036854775807",
                "9223372036854775808",
                "-9223372036854775808",
                "-9223372036854775809",
                "1e3",
                "1.0",
                "",
            ],
        },
        Case {
            kind: FieldType::Number { precision: 1_000, scale: 400, min: None, max: None },
            sql: "platform.to_numeric(value, 1000, 400)::text",
            form: "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?([eE][+\\-]?[0-9]{1,3})?",
            special: &[
                "-0",
                "-0.0",
                "1e2000",
                "1e-2000",
                "1e2001",
                "1e1000000000",
                "1e00000000000000000000000005",
                "NaN",
                "Infinity",
                ".5",
                "1.",
                "1e",
                "0x10",
                "1_000",
            ],
        },
        Case {
            kind: FieldType::Number { precision: 6, scale: 2, min: None, max: None },
            sql: "platform.to_numeric(value, 6, 2)::text",
            form: "-?(0|[1-9][0-9]{0,4})(\\.[0-9]{1,3})?",
            special: &["9999.99", "10000", "0.001", "1.100", "1e3", "1e4", "9999.995", "-9999.99"],
        },
        Case {
            kind: FieldType::Number { precision: 2, scale: 2, min: None, max: None },
            sql: "platform.to_numeric(value, 2, 2)::text",
            form: "-?(0|1)(\\.[0-9]{1,3})?",
            special: &["0.99", "1.00", "0", "0.999"],
        },
        Case {
            kind: FieldType::Boolean,
            sql: "platform.to_boolean(value)::text",
            form: "true|false|t|f|TRUE|yes|1|0",
            special: &["true ", ""],
        },
        Case {
            kind: FieldType::Date,
            sql: "(platform.to_date(value) - date '1970-01-01')::text",
            form: "[0-9]{4}-[01][0-9]-[0-3][0-9]",
            special: &[
                "2024-02-29",
                "2023-02-29",
                "1900-02-29",
                "2000-02-29",
                "0000-01-01",
                "0001-01-01",
                "9999-12-31",
                "today",
                "infinity",
                "2024-04-31",
                "20240101",
            ],
        },
        Case {
            kind: FieldType::Time,
            sql: "(extract(epoch from platform.to_time(value)) * 1000000)::bigint::text",
            form: "[0-2][0-9]:[0-5][0-9](:[0-6][0-9](\\.[0-9]{1,6}0{0,3})?)?",
            special: &[
                "24:00",
                "23:59:59.999999",
                "23:59:59.9999999",
                "23:59:59.999999000",
                "23:59:59.9999990000",
                "05:17",
                "now",
                "12:00:00.",
                "12:00+01",
            ],
        },
        Case {
            kind: FieldType::Timestamp,
            sql: "(extract(epoch from platform.to_timestamp(value)) * 1000000)::bigint::text",
            form: "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6}0{0,3})?([Zz]|[+\\-][0-2][0-9]:[0-5][0-9])",
            special: &[
                "2023-01-01T00:00:00",
                "0001-01-01T00:00:00+00:01",
                "0001-01-01T00:00:00-00:01",
                "9999-12-31T23:59:59-01:00",
                "9999-12-31T23:59:59.999999Z",
                "2023-02-29T00:00:00Z",
                "2023-01-01T00:00Z",
                "2023-01-01T00:00:00+24:00",
                "now",
                "2023-01-01T00:00:00.000000000000000000000Z",
            ],
        },
        Case {
            kind: FieldType::Uuid,
            sql: "platform.to_uuid(value)::text",
            form: "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
            special: &[
                "0190c8a57b1e7c3a9f001a2b3c4d5e6f",
                "{0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f}",
                "0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6",
            ],
        },
    ]
}

/// What the API makes of a text, as the SQL above writes it.
fn expected(kind: &FieldType, text: &str) -> Option<String> {
    Some(match kind.read_text(text).ok()? {
        Value::Date(days) => days.to_string(),
        Value::Time(micros) | Value::Timestamp(micros) => micros.to_string(),
        other => other.to_text(),
    })
}

fn same(kind: &FieldType, one: Option<&str>, other: Option<&str>) -> bool {
    match (kind, one, other) {
        (FieldType::Number { .. }, Some(one), Some(other)) => {
            one.parse::<BigDecimal>().unwrap() == other.parse::<BigDecimal>().unwrap()
        }
        _ => one == other,
    }
}

#[tokio::test]
async fn a_text_becomes_what_the_api_would_read_and_nothing_where_it_would_refuse_it() {
    let database = TestDatabase::create_from(&PLATFORM).await;
    let owner = database.owner().await;
    // Whatever the session says: the conversions are immutable.
    owner.batch_execute("set timezone = 'Asia/Kathmandu'; set datestyle = 'SQL, DMY'").await.unwrap();
    let mut runner = TestRunner::default();
    for case in cases() {
        let strategy = texts(case.form);
        let mut all: Vec<String> = case.special.iter().map(|text| (*text).to_owned()).collect();
        all.extend((0..CASES).map(|_| strategy.new_tree(&mut runner).unwrap().current()));
        let sql =
            format!("select {} from unnest($1::text[]) with ordinality as t (value, n) order by n", case.sql);
        let rows = owner.query(&sql, &[&all]).await.unwrap_or_else(|e| panic!("{}: {e:?}", case.sql));
        let mut read = 0;
        for (text, row) in all.iter().zip(&rows) {
            let (ours, theirs) = (row.get::<_, Option<&str>>(0), expected(&case.kind, text));
            assert!(
                same(&case.kind, ours, theirs.as_deref()),
                "{} of {text:?}: {ours:?}, the API {theirs:?}",
                case.sql
            );
            read += usize::from(ours.is_some());
        }
        assert!(read > CASES / 20 && read < all.len(), "{}: {read} of {} were values", case.sql, all.len());
    }
}
