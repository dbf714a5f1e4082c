//! What masks show, by example and for any value.

use proptest::prelude::*;

use super::*;
use crate::spec::SchemaDefinitionSpec;
use crate::{Schema, time};

const KEY: [u8; 32] = [7; 32];

fn schema() -> Schema {
    let fields = serde_json::json!([
        {"name": "code", "type": "string"}, {"name": "other", "type": "string"},
        {"name": "amount", "type": "number", "scale": 2}, {"name": "count", "type": "integer"},
        {"name": "doc", "type": "json"}, {"name": "list", "type": "array", "items": "number"},
        {"name": "at", "type": "timestamp"}, {"name": "yes", "type": "boolean"}, {"name": "key", "type": "uuid"},
        {"name": "blob", "type": "bytes"},
    ]);
    let spec = serde_json::json!({"org": "acme", "app": "shop", "domain": "sales", "object": "order", "version": "v1",
        "fields": fields});
    Schema::parse(&SchemaDefinitionSpec::from_json(&spec).unwrap()).unwrap()
}

fn mask(field: &str, mask: &Mask) -> FieldMask {
    let schema = schema();
    FieldMask::new(mask, &MaskKey::new(KEY), schema.path(), schema.field(field).unwrap())
}

fn shown(field: &str, how: &Mask, value: &Value) -> String {
    mask(field, how).apply(value).unwrap()
}

fn s(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn n(text: &str) -> Value {
    Value::Number(decimal::parse(text).unwrap())
}

fn every_mask() -> [Mask; 5] {
    let range = Mask::Range { size: BigDecimal::from(10) };
    [Mask::Partial { visible: 4 }, Mask::Hash, range, Mask::Redact, Mask::Tokenise]
}

#[test]
fn partial_keeps_the_end_and_never_more_than_half() {
    for (visible, text, expected) in [
        (4, "DE89370400440532013000", "******************3000"),
        (2, "Lovelace", "******ce"),
        (4, "Ada", "**a"),
        (4, "Adas", "**as"),
        (100, "secret", "***ret"),
        (4, "a", "*"),
        (4, "", ""),
        (0, "abcd", "****"),
        (2, "größe", "***ße"),
        (1, "🦀🦀🦀", "**🦀"),
    ] {
        assert_eq!(shown("code", &Mask::Partial { visible }, &s(text)), expected, "{text}");
    }
}

#[test]
fn partial_shows_the_end_of_what_the_others_see() {
    let end = Mask::Partial { visible: 4 };
    assert_eq!(shown("amount", &end, &n("12345.6")), "****5.60");
    assert_eq!(shown("amount", &end, &n("12345.600")), "****5.60");
    assert_eq!(
        shown("amount", &end, &n("1.2345")),
        "***345",
        "what was recorded under a larger scale stays whole"
    );
    assert_eq!(shown("count", &end, &Value::Integer(-123_456)), "****456");
    let at = Value::Timestamp(time::parse_timestamp("2026-05-19T14:00:00Z").unwrap());
    assert!(shown("at", &end, &at).ends_with("*:00Z"));
    let key = Value::Uuid("0190c8a5-7b1e-7c3a-9f00-1A2B3C4D5E6F".parse().unwrap());
    assert!(shown("key", &end, &key).ends_with("*5e6f"));
}

#[test]
fn hash_is_the_start_of_an_hmac_under_the_installations_key() {
    // Made with Python's hmac and hashlib.
    assert_eq!(shown("code", &Mask::Hash, &s("grüße")), "19c24cc6dab2765b");
    assert_eq!(shown("amount", &Mask::Hash, &n("1.5")), "994fcb0282b6d639");
    assert_eq!(shown("yes", &Mask::Hash, &Value::Boolean(true)), "497752e3f177fa84");
    assert_eq!(shown("other", &Mask::Hash, &s("grüße")), shown("code", &Mask::Hash, &s("grüße")));
}

#[test]
fn equal_values_have_equal_hashes_however_they_are_written() {
    for how in [Mask::Hash, Mask::Tokenise] {
        let same = |field: &str, one: &Value, other: &Value| {
            assert_eq!(shown(field, &how, one), shown(field, &how, other), "{one:?} {other:?}");
        };
        same("amount", &n("1.5"), &n("1.5000"));
        same("amount", &n("1e3"), &n("1000.00"));
        same("amount", &n("-0"), &n("0.00"));
        same("list", &Value::Array(vec![n("1.50")]), &Value::Array(vec![n("1.5")]));
        let json = |text: &str| Value::Json(text.to_owned());
        same("doc", &json(r#"{"b": [1, null], "a": 1.50}"#), &json(r#"{"\u0061":1.5,"b":[1.0,null]}"#));
        for (one, other) in [(n("1.5"), n("1.51")), (n("1"), n("-1")), (n("10"), n("1"))] {
            assert_ne!(shown("amount", &how, &one), shown("amount", &how, &other));
        }
        assert_ne!(shown("doc", &how, &json("[1,2]")), shown("doc", &how, &json("[2,1]")));
        assert_ne!(shown("doc", &how, &json("\"1\"")), shown("doc", &how, &json("1")));
    }
}

#[test]
fn a_token_belongs_to_one_field_of_one_schema_of_one_installation() {
    let schema = schema();
    let token = |key: [u8; 32], path: &str, field: &str| {
        let field = schema.field(field).unwrap();
        let mask = FieldMask::new(&Mask::Tokenise, &MaskKey::new(key), &path.parse().unwrap(), field);
        mask.apply(&s("grüße")).unwrap()
    };
    let own = token(KEY, "acme/shop/sales/order/v1", "code");
    assert_eq!(own, "tok_dc66ba5f3164124a0844d090675f60ad");
    assert_eq!(own, token(KEY, "acme/shop/sales/order/v1", "code"));
    for other in [
        token([8; 32], "acme/shop/sales/order/v1", "code"),
        token(KEY, "acme/shop/sales/order/v2", "code"),
        token(KEY, "acme/shop/sales/order/v1", "other"),
    ] {
        assert_ne!(own, other);
    }
}

#[test]
fn range_is_the_half_open_band_around_zero() {
    for (size, value, expected) in [
        ("1000", "1234.56", "1000..2000"),
        ("1000", "1000", "1000..2000"),
        ("1000", "999.99", "0..1000"),
        ("1000", "0", "0..1000"),
        ("1000", "-0.01", "-1000..0"),
        ("1000", "-1000", "-1000..0"),
        ("1000", "-1000.01", "-2000..-1000"),
        ("0.25", "1.30", "1.25..1.5"),
        ("2.5", "10", "10..12.5"),
        ("1e3", "123456789012345678901234.5", "123456789012345678901000..123456789012345678902000"),
    ] {
        let size = Mask::Range { size: decimal::parse(size).unwrap().normalized() };
        assert_eq!(shown("amount", &size, &n(value)), expected, "{value}");
    }
    let whole = Mask::Range { size: BigDecimal::from(10) };
    assert_eq!(
        shown("count", &whole, &Value::Integer(i64::MIN)),
        "-9223372036854775810..-9223372036854775800"
    );
    assert_eq!(shown("count", &whole, &Value::Integer(i64::MAX)), "9223372036854775800..9223372036854775810");
}

#[test]
fn what_a_mask_has_no_answer_for_is_redacted() {
    let end = Mask::Partial { visible: 4 };
    let [_, _, range, ..] = every_mask();
    for value in [
        Value::Json(r#""as it was recorded""#.into()),
        Value::Array(vec![s("abcdefgh")]),
        Value::Bytes(b"abcdefgh".to_vec()),
        Value::Boolean(true),
    ] {
        assert_eq!(
            [shown("code", &end, &value), shown("amount", &range, &value)],
            [REDACTED; 2],
            "{value:?}"
        );
    }
    assert_eq!(shown("amount", &range, &s("1234")), REDACTED);
    let broken = Mask::Range { size: BigDecimal::from(0) };
    assert_eq!(shown("amount", &broken, &n("1")), REDACTED);
}

#[test]
fn no_value_stays_no_value() {
    for how in every_mask() {
        assert_eq!(mask("code", &how).apply(&Value::Null), None);
        assert_eq!(mask("doc", &how).apply(&Value::Json("null".into())), None);
    }
}

#[test]
fn the_key_is_not_shown() {
    assert_eq!(format!("{:?}", MaskKey::new(KEY)), "MaskKey(…)");
    assert_eq!(format!("{:?}", mask("code", &Mask::Hash)), "FieldMask(hash)");
}

fn any_number() -> impl Strategy<Value = BigDecimal> {
    (any::<i64>(), 0_i64..8).prop_map(|(digits, scale)| BigDecimal::new(digits.into(), scale))
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(Value::String),
        any::<i64>().prop_map(Value::Integer),
        any_number().prop_map(Value::Number),
        any::<bool>().prop_map(Value::Boolean),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bytes),
        (-60_000_000_000_000_000_i64..200_000_000_000_000_000).prop_map(Value::Timestamp),
        any::<u128>().prop_map(|bits| Value::Uuid(uuid::Uuid::from_u128(bits))),
        any::<String>().prop_map(|text| {
            let mut json = String::new();
            write_json_string(&text, &mut json);
            Value::Json(format!("{{\"a\": [{json}, 1.0]}}"))
        }),
        prop::collection::vec(any::<String>().prop_map(Value::String), 0..4).prop_map(Value::Array),
    ]
}

proptest! {
    #[test]
    fn partial_never_shows_more_than_it_may(text in any::<String>(), visible in 0_usize..40) {
        let masked = shown("code", &Mask::Partial { visible }, &s(&text));
        let (was, is): (Vec<char>, Vec<char>) = (text.chars().collect(), masked.chars().collect());
        prop_assert_eq!(was.len(), is.len());
        let kept = visible.min(was.len() / 2);
        prop_assert!(is[..was.len() - kept].iter().all(|c| *c == '*'));
        prop_assert_eq!(&is[was.len() - kept..], &was[was.len() - kept..]);
    }

    #[test]
    fn a_band_holds_its_number_and_no_other_band_does(number in any_number(), size in 1_i64..1_000_000, scale in 0_i64..5) {
        let size = BigDecimal::new(size.into(), scale);
        let band = shown("amount", &Mask::Range { size: size.clone() }, &Value::Number(number.clone()));
        let (from, to) = band.split_once("..").unwrap();
        let (from, to) = (decimal::parse(from).unwrap(), decimal::parse(to).unwrap());
        prop_assert!(from <= number && number < to, "{} in {}", number, band);
        prop_assert_eq!(&to - &from, size.clone());
        prop_assert!((&from / &size).is_integer() && (from % size) == 0);
    }

    #[test]
    fn integers_and_numbers_lie_in_the_same_bands(number in any::<i64>(), size in 2_i64..1_000_000) {
        let range = Mask::Range { size: BigDecimal::from(size) };
        let as_number = Value::Number(BigDecimal::new(number.into(), 0).with_scale(2));
        prop_assert_eq!(shown("count", &range, &Value::Integer(number)), shown("amount", &range, &as_number));
    }

    #[test]
    fn digests_have_one_form_and_redacting_says_nothing(value in any_value()) {
        let hex = |text: &str, digits: usize| {
            text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let hash = shown("code", &Mask::Hash, &value);
        prop_assert!(hex(&hash, 16));
        let token = shown("code", &Mask::Tokenise, &value);
        prop_assert!(hex(token.strip_prefix("tok_").unwrap(), 32));
        prop_assert!(!token.contains(&hash));
        prop_assert_eq!(shown("code", &Mask::Redact, &value), REDACTED);
    }

    #[test]
    fn texts_are_masked_alike_as_values_and_as_texts(text in any::<String>()) {
        for how in every_mask() {
            let mask = mask("code", &how);
            let mut out = String::from("before ");
            mask.apply_to_text(&text, &mut out);
            prop_assert_eq!(out, format!("before {}", mask.apply(&s(&text)).unwrap()));
        }
    }
}
