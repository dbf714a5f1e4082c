use serde_json::{Value as Json, json};

use super::{problems, valid, with_fields};
use crate::schema::Tier;

fn searched(search: Json, searchable: &[&str]) -> Json {
    let mut spec = with_fields(&json!([
        {"name": "code", "type": "string"},
        {"name": "status", "type": "enum", "enum": ["open", "done"]},
        {"name": "amount", "type": "number"},
        {"name": "notes", "type": "json"},
    ]));
    if !search.is_null() {
        spec["search"] = search;
    }
    for field in spec["fields"].as_array_mut().unwrap() {
        if searchable.contains(&field["name"].as_str().unwrap()) {
            field["searchable"] = json!(true);
        }
    }
    spec
}

/// The tier, the language and the fields.
fn shown(spec: &Json) -> String {
    let schema = valid(spec);
    let Some(search) = schema.search() else { return "none".to_owned() };
    let language = match search.tier {
        Tier::Pieces => "",
        Tier::Words(language) => language.as_str(),
    };
    let fields: Vec<&str> = search.fields.iter().map(crate::FieldName::as_str).collect();
    format!("{} {language} {}", search.tier.number(), fields.join(","))
}

#[test]
fn fields_that_are_listed_or_searchable_are_searched_each_once() {
    let listed = |search: Json| shown(&searched(search, &["code"]));
    assert_eq!(listed(json!({"tier": 1, "fields": ["status"]})), "1  status,code");
    assert_eq!(listed(json!({"tier": 2, "fields": ["code", {"name": "status"}]})), "2 simple code,status");
    assert_eq!(listed(json!({"tier": 2, "language": "english"})), "2 english code");
    assert_eq!(listed(json!({"tier": 2, "fields": ["created_by", "code"]})), "2 simple created_by,code");
}

#[test]
fn searchable_fields_alone_are_searched_by_words_of_any_language() {
    assert_eq!(shown(&searched(json!(null), &["status", "code"])), "2 simple code,status");
    assert_eq!(shown(&searched(json!(null), &[])), "none");
}

#[test]
fn what_cannot_be_searched_is_refused_where_it_stands_with_a_way_out() {
    let spec = searched(
        json!({"tier": 2, "fields": ["cod", "amount", "code", "code",
            {"name": "status", "facet": true, "weight": 2}], "language": "englisch"}),
        &["notes", "code"],
    );
    insta::assert_snapshot!(problems(&spec), @r"
    spec.search.fields[0]: there is no field `cod` (did you mean `code`?)
    spec.search.fields[1]: `amount` is a number field; only string and enum fields are searched: leave it out
    spec.search.fields[3]: `code` is there already
    spec.search.fields[4].facet: facets are not supported yet; leave it out
    spec.search.fields[4].weight: weights of fields are not supported yet; leave it out
    spec.fields[3].searchable: `notes` is a json field; only string and enum fields are searched: leave it out
    spec.search.language: `englisch` is not a language of Postgres (did you mean `english`?); use one of simple, arabic, armenian, basque, catalan, danish, dutch, english, finnish, french, german, greek, hindi, hungarian, indonesian, irish, italian, lithuanian, nepali, norwegian, portuguese, romanian, russian, serbian, spanish, swedish, tamil, turkish, yiddish
    ");
    for (search, searchable, expected) in [
        (json!({"tier": 1}), &[][..], "spec.search.fields: names no field to search; list some"),
        (json!({"tier": 2, "fields": []}), &[], "spec.search.fields: names no field to search; list some"),
        (
            json!({"tier": 3, "fields": ["code"]}),
            &[],
            "spec.search.tier: tier 3 is not supported yet; use tier 1",
        ),
        (json!({"tier": 0, "fields": ["code"]}), &[], "spec.search.tier: is 1 (pieces of text) or 2"),
        (json!({"tier": 4, "fields": ["code"]}), &[], "spec.search.tier: is 1 (pieces of text) or 2"),
        (
            json!({"tier": 1, "fields": ["code"], "language": "english"}),
            &[],
            "spec.search.language: has no effect on tier 1",
        ),
        (
            json!({"tier": 2, "fields": ["code"], "language": "English"}),
            &[],
            "spec.search.language: `English` is not a language",
        ),
        (json!(null), &["amount"], "spec.fields[2].searchable: `amount` is a number field"),
        (
            json!({"tier": 2, "fields": ["code", {"name": "status", "facet": false}], "rank": 1}),
            &[],
            "spec.search.rank: ",
        ),
    ] {
        let found = problems(&searched(search, searchable));
        assert!(found.starts_with(expected) && found.lines().count() == 1, "{found}");
    }
}

#[test]
fn at_most_32_fields_are_searched() {
    let spec = |count: usize| {
        let fields: Vec<Json> = (0..count)
            .map(|n| json!({"name": format!("f{n}"), "type": "string", "searchable": true}))
            .collect();
        with_fields(&json!(fields))
    };
    valid(&spec(32));
    assert_eq!(problems(&spec(33)), "spec.search.fields: 33 fields are searched; there may be 32");
}
