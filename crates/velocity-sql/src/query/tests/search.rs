use serde_json::json;
use velocity_schema::Schema;

use super::{key, shown};
use crate::query::{ListPlan, ListRequest, PlanCode, Reading, TableSql};

fn schema(search: serde_json::Value) -> Schema {
    let mut spec = json!({
        "org": "a", "app": "b", "domain": "c", "object": "order", "version": "v1",
        "fields": [
            {"name": "title", "type": "string", "filterable": true, "sortable": true},
            {"name": "note", "type": "string"},
        ],
    });
    if !search.is_null() {
        spec["search"] = search;
    }
    Schema::from_json(&spec).unwrap().1
}

fn plan(schema: &Schema, pairs: &[(&str, &str)]) -> Result<ListPlan, crate::query::PlanError> {
    ListPlan::plan(schema, &ListRequest::parse(pairs.iter().copied()).unwrap(), &key(), &Reading::whole())
}

#[test]
fn every_word_is_in_some_field_or_all_are_words_of_the_language() {
    let pairs = [("fields", "id"), ("filter[title]", "t"), ("q", " 50%_\\ 'Grün'\t漢字 ")];
    let page = |search| {
        let schema = schema(search);
        shown(&plan(&schema, &pairs).unwrap().render(&TableSql::new(&schema)))
    };
    insta::assert_snapshot!(
        [
            page(json!({"tier": 1, "fields": ["title", "note"]})),
            page(json!({"tier": 2, "fields": ["title", "note"], "language": "german"})),
        ]
        .join("\n\n")
    );
}

#[test]
fn a_search_is_never_light_and_never_counted_from_statistics() {
    let schema = schema(json!({"tier": 2, "fields": ["note"]}));
    assert!(plan(&schema, &[]).unwrap().is_light());
    assert!(!plan(&schema, &[("q", "x")]).unwrap().is_light());
    let count = plan(&schema, &[("q", "x"), ("count", "estimated")]).unwrap();
    let sql = count.render_count(&TableSql::new(&schema)).unwrap().sql;
    assert!(sql.contains("null::bigint") && !sql.contains("reltuples"), "{sql}");
}

#[test]
fn a_schema_that_is_not_searched_says_how_it_would_be() {
    let error = plan(&schema(json!(null)), &[("q", "x")]).unwrap_err();
    assert_eq!((error.code, error.parameter.as_str()), (PlanCode::ValidationError, "q"));
    assert!(error.message.contains("searchable: true") && error.message.contains("spec.search"), "{error}");
}

#[test]
fn pieces_are_at_most_32_and_words_as_many_as_there_are() {
    let text = |count: usize| vec!["x"; count].join(" ");
    let (pieces, words) =
        (schema(json!({"tier": 1, "fields": ["note"]})), schema(json!({"tier": 2, "fields": ["note"]})));
    assert!(plan(&pieces, &[("q", &text(32))]).is_ok());
    assert_eq!(plan(&pieces, &[("q", &text(33))]).unwrap_err().rule, "maxItems");
    assert!(plan(&words, &[("q", &text(500))]).is_ok());
}

#[test]
fn a_cursor_belongs_to_its_search() {
    let schema = schema(json!({"tier": 1, "fields": ["note"]}));
    let id = "0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f".parse().unwrap();
    let values = [velocity_schema::Value::Uuid(id)];
    let cursor = plan(&schema, &[("q", "one")]).unwrap().cursor_after(&key(), &values).unwrap();
    assert!(plan(&schema, &[("q", "one"), ("cursor", &cursor)]).is_ok());
    for other in [&[("q", "two"), ("cursor", cursor.as_str())][..], &[("cursor", &cursor)]] {
        let error = plan(&schema, other).unwrap_err();
        assert!(error.message.contains("another query"), "{error}");
    }
}
