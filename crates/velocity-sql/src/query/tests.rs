//! The texts of statements, as they are sent.

mod reading;
mod search;

use insta::assert_snapshot;
use velocity_schema::Schema;
use velocity_schema::spec::SchemaDefinitionSpec;

use super::{
    CursorKey, Existing, HistoryPlan, HistoryRequest, ListPlan, ListRequest, OnConflict, Reading, TableSql,
};
use crate::fragment::Rendered;

fn schema() -> Schema {
    let spec = serde_json::json!({
        "org": "a", "app": "b", "domain": "c", "object": "order", "version": "v1",
        "fields": [
            {"name": "name", "type": "string", "required": true, "filterable": true, "sortable": true},
            {"name": "amount", "type": "number", "filterable": true, "sortable": true},
            {"name": "extra", "type": "json", "filterable": true},
            {"name": "tags", "type": "array", "items": "string", "filterable": true},
            {"name": "code", "type": "string", "required": true, "unique": true, "sortable": true},
        ],
    });
    Schema::parse(&SchemaDefinitionSpec::from_json(&spec).unwrap()).unwrap()
}

fn key() -> CursorKey {
    CursorKey::new([1; 32])
}

fn plan(pairs: &[(&str, &str)], after: Option<&[&str]>) -> ListPlan {
    let schema = schema();
    let request = ListRequest::parse(pairs.iter().copied()).unwrap();
    let plan = ListPlan::plan(&schema, &request, &key(), &Reading::whole()).unwrap();
    let Some(after) = after else { return plan };
    let values: Vec<_> = plan
        .keys()
        .iter()
        .zip(after)
        .map(|(key, text)| match *text {
            "null" => velocity_schema::Value::Null,
            text => schema.fields()[key.position].kind.read_operand(text).unwrap(),
        })
        .collect();
    let cursor = plan.cursor_after(&key(), &values);
    ListPlan::plan(&schema, &ListRequest { cursor, ..request }, &key(), &Reading::whole()).unwrap()
}

/// The text, clause by clause, then what is bound.
fn shown(rendered: &Rendered) -> String {
    let mut text = rendered.sql.clone();
    for clause in [" from ", " where ", " and ", " order by ", " union all ", " returning "] {
        text = text.replace(clause, &format!("\n {clause}").replace("  ", " "));
    }
    let binds: Vec<String> = rendered
        .binds
        .iter()
        .map(|bind| format!("{} {}", bind.sql_type.sql(), bind.value.to_text()))
        .collect();
    format!("{text}\n{}", binds.join("; "))
}

fn page(pairs: &[(&str, &str)], after: Option<&[&str]>) -> String {
    shown(&plan(pairs, after).render(&TableSql::new(&schema())))
}

const ID: &str = "0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f";

#[test]
fn a_plain_page_is_by_id() {
    assert_snapshot!(page(&[("fields", "name")], None));
}

#[test]
fn numbers_are_bound_as_the_column_is_declared() {
    assert_snapshot!(page(&[("fields", "id"), ("filter[amount][gte]", "10")], None));
}

#[test]
fn a_page_behind_a_value_is_one_range_and_the_nulls_behind_it() {
    assert_snapshot!(page(&[("fields", "id"), ("sort", "amount"), ("limit", "20")], Some(&["5", ID])));
}

#[test]
fn a_page_behind_a_null_in_descending_order_is_the_other_nulls_and_then_the_values() {
    assert_snapshot!(page(&[("fields", "id"), ("sort", "-amount"), ("limit", "20")], Some(&["null", ID])));
}

#[test]
fn mixed_directions_are_one_range_for_each_run() {
    assert_snapshot!(page(
        &[("fields", "id"), ("sort", "name,-amount"), ("limit", "20")],
        Some(&["a", "5", ID])
    ));
}

#[test]
fn a_unique_key_needs_no_id_behind_it() {
    assert_snapshot!(page(&[("fields", "id"), ("sort", "-code"), ("limit", "3")], Some(&["x"])));
}

#[test]
fn conditions_inside_json_use_containment_where_an_index_can() {
    assert_snapshot!(page(
        &[
            ("fields", "id"),
            ("filter[extra.a.b]", "7"),
            ("filter[extra.n][gt]", "1"),
            ("filter[extra.list.0]", "x")
        ],
        None
    ));
}

#[test]
fn counts_are_bounded_unless_they_are_exact() {
    let table = TableSql::new(&schema());
    let count = |pairs: &[(&str, &str)]| shown(&plan(pairs, None).render_count(&table).unwrap());
    assert_snapshot!(
        [
            count(&[("count", "exact"), ("filter[name]", "a")]),
            count(&[("count", "estimated"), ("filter[name]", "a")]),
            count(&[("count", "estimated")]),
        ]
        .join("\n\n")
    );
}

#[test]
fn the_statements_of_records() {
    let table = TableSql::new(&schema());
    let all = [
        table.read(),
        table.insert(),
        table.update(&[2], Existing::Any),
        table.update(&[1, 2], Existing::Version),
        table.replace(&[]),
        table.delete(Existing::Any),
        table.delete(Existing::Version),
        table.undelete(Existing::Any),
        table.undelete(Existing::Version),
        table.read_deleted(),
        table.insert_many(&OnConflict::Fail),
        table.insert_many(&OnConflict::Skip(vec![vec![0], vec![5]])),
        table.insert_many(&OnConflict::Update(vec![0])),
    ];
    let function = format!("{}()", table.names().shape_function(schema().hash().as_str()).quoted());
    for shape in &all {
        assert!(shape.sql.contains(&function), "{}", shape.sql);
        let highest = shape.slots.len();
        assert!(
            shape.sql.contains(&format!("${highest}")) && !shape.sql.contains(&format!("${}", highest + 1))
        );
    }
    let text = |shape: &super::Shape| shown(&Rendered { sql: shape.sql.clone(), binds: Vec::new() });
    assert_snapshot!(all.iter().map(text).collect::<Vec<_>>().join("\n"));
}

#[test]
fn history_is_read_by_record_and_version() {
    let schema = schema();
    let id = schema.id().kind.read_operand(ID).unwrap();
    let plan =
        HistoryPlan::plan(&schema, &id, &HistoryRequest::default(), &key(), &Reading::whole()).unwrap();
    let cursor = plan.cursor_after(&key(), 7);
    let next =
        HistoryPlan::plan(&schema, &id, &HistoryRequest { limit: 5, cursor }, &key(), &Reading::whole())
            .unwrap();
    let table = TableSql::new(&schema);
    let pages = [shown(&HistoryPlan::render_changes(&table)), shown(&next.render(&table))];
    assert_snapshot!(pages.join("\n\n"));
    for (pairs, code) in [
        (&[("at", "2026-01-01T00:00:00Z")][..], super::PlanCode::ValidationError),
        (&[("limi", "5")], super::PlanCode::ValidationError),
        (&[("limit", "5"), ("limit", "6")], super::PlanCode::MalformedRequest),
    ] {
        assert_eq!(HistoryRequest::parse(pairs.iter().copied()).unwrap_err().code, code);
    }
}
