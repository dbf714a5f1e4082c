use super::*;

fn read(kind: &FieldType, json: &str) -> Result<Value, &'static str> {
    kind.read_json(&RawValue::from_string(json.to_owned()).unwrap()).map_err(|e| e.rule)
}

fn number() -> FieldType {
    FieldType::Number { precision: 6, scale: 2, min: None, max: None }
}

#[test]
fn numbers_are_exact_and_never_rounded() {
    assert!(read(&number(), "1234.50").is_ok());
    assert!(read(&number(), "\"1234.5\"").is_ok());
    assert_eq!(read(&number(), "0.001"), Err("scale"));
    assert_eq!(read(&number(), "12345"), Err("precision"));
    assert_eq!(read(&number(), "1e400"), Err("precision"));
    assert_eq!(read(&number(), "1e999999999999"), Err("precision"));
    assert_eq!(read(&number(), "true"), Err("type"));
}

#[test]
fn integers_do_not_overflow() {
    let kind = FieldType::Integer { min: None, max: None };
    assert_eq!(read(&kind, "9223372036854775807"), Ok(Value::Integer(i64::MAX)));
    for bad in ["9223372036854775808", "1.5", "1e2", "\"x\"", "[]", "\"\""] {
        assert_eq!(read(&kind, bad), Err("type"), "{bad}");
    }
}

#[test]
fn text_that_no_database_holds_is_a_callers_error() {
    let kind = FieldType::plain_string();
    assert_eq!(read(&kind, r#""a\u0000b""#), Err("type"));
    assert_eq!(read(&kind, r#""\ud800""#), Err("type"));
    assert_eq!(read(&FieldType::Json, r#"{"a":"\u0000"}"#), Err("type"));
    assert_eq!(read(&FieldType::Json, r#"{"a":["\udc00"]}"#), Err("type"));
    assert_eq!(read(&FieldType::Json, r#"{"a":1e1000000}"#), Err("type"));
    assert!(read(&FieldType::Json, r#"{"a":"\\u0000"}"#).is_ok());
}

#[test]
fn deep_json_is_refused_and_wide_json_is_not() {
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    assert_eq!(read(&FieldType::Json, &deep), Err("depth"));
    assert!(read(&FieldType::Json, &format!("{}{}", "[".repeat(64), "]".repeat(64))).is_ok());
    assert!(read(&FieldType::Json, "[[],[],\"[[[[\\\"[[[[\"]").is_ok());
}

#[test]
fn lengths_count_characters() {
    let kind = FieldType::String { min_length: Some(2), max_length: Some(3), pattern: None };
    assert!(read(&kind, "\"éé\"").is_ok());
    assert_eq!(read(&kind, "\"é\""), Err("minLength"));
    assert_eq!(read(&kind, "\"éééé\""), Err("maxLength"));
}

#[test]
fn arrays_hold_no_nulls_and_no_twins_where_unique() {
    let kind = FieldType::Array {
        items: Box::new(number()),
        min_items: None,
        max_items: Some(2),
        unique_items: true,
    };
    assert!(read(&kind, "[1, 2]").is_ok());
    assert_eq!(read(&kind, "[1.0, 1.00]"), Err("uniqueItems"));
    assert_eq!(read(&kind, "[1, null]"), Err("items"));
    assert_eq!(read(&kind, "[1,2,3]"), Err("maxItems"));
    assert_eq!(read(&kind, "{\"a\":1}"), Err("type"));
}

#[test]
fn an_enum_error_names_the_nearest_value() {
    let kind = FieldType::Enum { values: vec!["draft".into(), "approved".into()] };
    let error = kind.read_text("aproved").unwrap_err();
    assert!(error.message.contains("did you mean `approved`"), "{}", error.message);
}

#[test]
fn space_around_a_value_is_not_part_of_it() {
    assert_eq!(read(&FieldType::Integer { min: None, max: None }, " \n 5\t"), Ok(Value::Integer(5)));
    assert_eq!(read(&FieldType::Boolean, " null "), Ok(Value::Null));
    assert_eq!(read(&FieldType::Json, " {\"a\" : 1} "), Ok(Value::Json("{\"a\" : 1}".into())));
    let kind =
        FieldType::Array { items: Box::new(number()), min_items: None, max_items: None, unique_items: false };
    assert!(matches!(read(&kind, "[ 1 ,\n2 ]"), Ok(Value::Array(items)) if items.len() == 2));
    assert_eq!(read(&FieldType::plain_string(), "\" a \""), Ok(Value::String(" a ".into())));
}

#[test]
fn every_form_of_a_json_number_is_read_exactly() {
    let kind = FieldType::Number { precision: 10, scale: 4, min: None, max: None };
    for (json, text) in [
        ("-0", "0"),
        ("-0.0", "0.0"),
        ("1E5", "100000"),
        ("1e+5", "100000"),
        ("15e-1", "1.5"),
        ("0.00001e1", "0.000100"),
        ("\"1E2\"", "100"),
    ] {
        let value = read(&kind, json).unwrap_or_else(|rule| panic!("{json}: {rule}"));
        assert_eq!(value, Value::Number(decimal::parse(text).unwrap()), "{json}");
        assert!(!value.to_text().contains(['e', 'E']), "{json}: {}", value.to_text());
    }
    for (json, rule) in [
        ("1e-5", "scale"),
        ("1e10", "precision"),
        ("1e-2000", "scale"),
        ("1e2000", "precision"),
        ("1e-99999999999", "precision"),
        ("\"+1\"", "type"),
        ("\" 1\"", "type"),
        ("\"0x1\"", "type"),
        ("\"Infinity\"", "type"),
    ] {
        assert_eq!(read(&kind, json), Err(rule), "{json}");
    }
    let whole = FieldType::Integer { min: None, max: None };
    assert_eq!(read(&whole, "-0"), Ok(Value::Integer(0)));
    assert_eq!(read(&whole, "-9223372036854775808"), Ok(Value::Integer(i64::MIN)));
    for bad in ["1E5", "1.0", "-9223372036854775809", "\"\"", "\"-\"", "\"007\""] {
        assert_eq!(read(&whole, bad), Err("type"), "{bad}");
    }
}

#[test]
fn text_forms_have_exactly_one_meaning() {
    let text = |kind: &FieldType, text: &str| kind.read_text(text).map_err(|misfit| misfit.rule);
    assert_eq!(text(&FieldType::Boolean, "true"), Ok(Value::Boolean(true)));
    for bad in ["TRUE", "1", "yes", "", " true", "null"] {
        assert_eq!(text(&FieldType::Boolean, bad), Err("type"), "{bad}");
    }
    assert_eq!(text(&FieldType::plain_string(), "null"), Ok(Value::String("null".into())));
    assert_eq!(text(&FieldType::plain_string(), ""), Ok(Value::String(String::new())));
    assert_eq!(text(&FieldType::Integer { min: Some(1), max: None }, "0"), Err("min"));
    assert_eq!(
        text(&FieldType::Uuid, "0190C8A5-7B1E-7C3A-9F00-1A2B3C4D5E6F").map(|v| v.to_text()),
        Ok("0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f".into())
    );
    for bad in ["{0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f}", "0190c8a57b1e7c3a9f001a2b3c4d5e6f", "urn:uuid:x"] {
        assert_eq!(text(&FieldType::Uuid, bad), Err("type"), "{bad}");
    }
    assert_eq!(text(&FieldType::Bytes { max_size: Some(2) }, "AAEC"), Err("maxSize"));
    assert_eq!(text(&FieldType::Bytes { max_size: None }, "AA=\n="), Err("type"));
    let list = FieldType::Array {
        items: Box::new(FieldType::Boolean),
        min_items: None,
        max_items: None,
        unique_items: false,
    };
    assert_eq!(text(&list, "[true]"), Ok(Value::Array(vec![Value::Boolean(true)])));
    for bad in ["true", "", "[1]", "[true", "null"] {
        assert!(text(&list, bad).is_err(), "{bad}");
    }
    assert!(text(&FieldType::Json, "{").is_err());
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,30}", json in "[-+0-9.eE\"\\[\\]{},:a-z]{0,12}") {
        let kinds = [
            FieldType::plain_string(), FieldType::Integer { min: None, max: None }, number(), FieldType::Boolean,
            FieldType::Timestamp, FieldType::Date, FieldType::Time, FieldType::Json, FieldType::Uuid,
            FieldType::Bytes { max_size: None }, FieldType::Enum { values: vec!["a".into()] },
            FieldType::Array { items: Box::new(number()), min_items: None, max_items: None, unique_items: true },
        ];
        for kind in &kinds {
            let _ = kind.read_text(&text);
            let _ = kind.read_operand(&json);
            // What is accepted reads back as itself from its JSON.
            if let Ok(raw) = RawValue::from_string(json.clone())
                && let Ok(value) = kind.read_json(&raw)
            {
                let mut out = String::new();
                value.write_json(&mut out);
                let again = kind.read_json(&RawValue::from_string(out).unwrap());
                proptest::prop_assert_eq!(again, Ok(value));
            }
        }
    }
}
