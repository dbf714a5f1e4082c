use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::super::Schema;
use super::{EXAMPLE, yaml};
use crate::spec::SchemaDefinitionSpec;

/// Any JSON of a few levels, with words of the contract among its texts.
fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_map(|number| json!(number)),
        "\\PC{0,12}".prop_map(Json::from),
        word().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::vec((word(), inner), 0..6)
                .prop_map(|entries| Json::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "org",
            "fields",
            "name",
            "type",
            "string",
            "number",
            "enum",
            "array",
            "items",
            "json",
            "uuid",
            "min",
            "max",
            "precision",
            "scale",
            "default",
            "ref",
            "object",
            "version",
            "v1",
            "id",
            "field",
            "unique",
            "pattern",
            "indexes",
            "where",
            "rule",
            "rules",
            "roles",
            "read",
            "rowFilter",
            "role",
            "condition",
            "record.a == 1",
            "self.a > 0",
            "*",
            "created_at",
            "-id",
            "(",
            "[a-z]{1,9}",
            "restrict",
            "audit",
            "access",
            "abac",
            "operations",
            "fieldAccess",
            "write",
            "masking",
            "strategy",
            "range",
            "rangeSize",
            "visibleChars",
            "sensitiveReads",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,6}",
    ]
}

/// Every place in a document.
fn places(json: &Json, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match json {
        Json::Object(map) => map.iter().for_each(|(key, value)| {
            let key = key.replace('~', "~0").replace('/', "~1");
            places(value, &format!("{at}/{key}"), all);
        }),
        Json::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| places(value, &format!("{at}/{index}"), all));
        }
        _ => {}
    }
}

fn put(spec: &mut Json, place: prop::sample::Index, value: Json) {
    let mut all = Vec::new();
    places(spec, "", &mut all);
    *spec.pointer_mut(place.get::<String>(&all)).unwrap() = value;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_json_is_read_or_refused(json in any_json()) {
        if let Err(violations) = Schema::from_json(&json) {
            prop_assert!(!violations.is_empty());
        }
    }

    #[test]
    fn the_example_with_anything_in_any_of_its_places_is_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any_json()), 1..4)
    ) {
        let mut spec = yaml(EXAMPLE);
        for (place, value) in changes {
            put(&mut spec, place, value);
        }
        let outcome = Schema::from_json(&spec);
        if let Ok((read, schema)) = &outcome {
            prop_assert_eq!(schema.hash(), &read.hash());
        }
        if let Err(violations) = &outcome {
            prop_assert!(!violations.is_empty());
            prop_assert!(violations.iter().all(|violation| !violation.message.is_empty()));
        }
    }

    #[test]
    fn a_spec_that_is_written_and_read_again_is_the_same(value in any_json(), place in any::<prop::sample::Index>()) {
        let mut spec = yaml(EXAMPLE);
        put(&mut spec, place, value);
        if let Ok(read) = SchemaDefinitionSpec::from_json(&spec) {
            let again = SchemaDefinitionSpec::from_json(&serde_json::to_value(&read).unwrap()).unwrap();
            prop_assert_eq!(again.hash(), read.hash());
            prop_assert_eq!(again, read);
        }
    }
}
