//! Plans for callers who do not see everything.

use insta::assert_snapshot;
use serde_json::json;
use velocity_schema::cel::{ActorView, Condition, RequestView};
use velocity_schema::schema::View;
use velocity_schema::{Schema, Value};

use super::{ID, key, shown};
use crate::query::{
    HistoryPlan, HistoryRequest, ListPlan, ListRequest, PlanCode, PlanError, Reading, TableSql,
};

/// `grade` is hidden and `amount` masked for all but `boss`; records are for the team that they belong to.
fn schema(search: &serde_json::Value) -> Schema {
    let spec = json!({
        "org": "a", "app": "b", "domain": "c", "object": "order", "version": "v1",
        "fields": [
            {"name": "title", "type": "string", "filterable": true, "sortable": true},
            {"name": "grade", "type": "string", "filterable": true, "sortable": true},
            {"name": "amount", "type": "number", "filterable": true, "sortable": true},
            {"name": "extra", "type": "json", "filterable": true},
            {"name": "note", "type": "string"},
        ],
        "search": search,
        "access": {
            "roles": {"read": ["reader"], "history": ["reader"]},
            "fieldAccess": [
                {"field": "grade", "read": ["boss"]},
                {"field": "extra", "read": ["boss"]},
                {"field": "amount", "read": ["boss"], "masking": {"strategy": "range", "rangeSize": 100}},
            ],
            "abac": [
                {"operations": ["read", "history"],
                 "condition": "record.title == actor.attributes.team && record.created_at < request.time"},
                {"operations": ["read"], "condition": "request.ip == '10.0.0.1' || 'guest' in actor.roles || record.amount > 5"},
            ],
        },
    });
    Schema::from_json(&spec).unwrap().1
}

fn words() -> serde_json::Value {
    json!({"tier": 2, "fields": ["title", "grade", "note"], "language": "english"})
}

fn reader(schema: &Schema) -> View {
    schema.view(&|role| role == "reader")
}

fn plan_of(schema: &Schema, pairs: &[(&str, &str)], view: &View) -> Result<ListPlan, PlanError> {
    let reading = Reading { view, ..Reading::whole() };
    ListPlan::plan(schema, &ListRequest::parse(pairs.iter().copied()).unwrap(), &key(), &reading)
}

fn conditions(schema: &Schema) -> Vec<&Condition> {
    schema.access().abac().iter().map(|rule| &rule.condition).collect()
}

const REQUEST: RequestView<'_> =
    RequestView { time: 1_700_000_000_000_000, operation: "read", ip: Some("10.0.0.9") };

#[test]
fn what_is_hidden_is_not_fetched_and_what_is_masked_is() {
    let schema = schema(&words());
    let plan = plan_of(&schema, &[], &reader(&schema)).unwrap();
    let names: Vec<&str> = plan.projection().iter().map(|at| schema.fields()[*at].name.as_str()).collect();
    assert!(names.contains(&"amount") && !names.contains(&"grade") && !names.contains(&"extra"), "{names:?}");
    let sql = plan.render(&TableSql::new(&schema)).sql;
    assert!(!sql.contains("grade") && !sql.contains("extra"), "{sql}");
    assert_eq!(plan.fetched(), plan.projection());
    assert_eq!(plan.keys().len(), 1);
}

#[test]
fn a_field_that_is_not_clear_is_refused_wherever_it_is_named() {
    let schema = schema(&words());
    let view = reader(&schema);
    for (parameter, value, field) in [
        ("fields", "title,grade", "grade"),
        ("fields", "amount", "amount"),
        ("sort", "title,-grade", "grade"),
        ("sort", "amount", "amount"),
        ("filter[grade]", "x", "grade"),
        ("filter[amount][gt]", "nonsense", "amount"),
        ("filter[extra.a.b]", "x", "extra"),
        ("filter[extra][exists]", "true", "extra"),
    ] {
        let error = plan_of(&schema, &[(parameter, value)], &view).unwrap_err();
        assert_eq!((error.code, error.parameter.as_str()), (PlanCode::FieldForbidden, parameter), "{error}");
        assert!(error.message.contains(&format!("`{field}`")), "{error}");
        assert!(
            plan_of(&schema, &[(parameter, value)], &View::whole()).is_ok_and(|_| true)
                != (value == "nonsense")
        );
    }
}

#[test]
fn a_name_that_is_wrong_is_told_no_name_that_the_caller_does_not_see() {
    let schema = schema(&words());
    let view = reader(&schema);
    let message = |name: &str, view: &View| plan_of(&schema, &[("sort", name)], view).unwrap_err().message;
    assert!(message("titel", &view).contains("did you mean `title`"));
    for (name, field) in [("grad", "grade"), ("amout", "amount")] {
        assert!(message(name, &View::whole()).contains(field));
        assert!(!message(name, &view).contains(&format!("`{field}`")), "{}", message(name, &view));
    }
}

#[test]
fn a_cursor_goes_on_under_the_view_that_it_was_made_for_only() {
    let schema = schema(&words());
    let view = reader(&schema);
    let id = schema.id().kind.read_operand(ID).unwrap();
    let narrower = view.narrowed(&schema, |position| schema.fields()[position].name.as_str() != "note");
    let cursor_of = |view: &View| {
        let plan = plan_of(&schema, &[("sort", "title")], view).unwrap();
        plan.cursor_after(&key(), &[Value::String("t".into()), id.clone()]).unwrap()
    };
    let views = [View::whole(), view, narrower];
    for (at, made) in views.iter().enumerate() {
        let cursor = cursor_of(made);
        for (other, used) in views.iter().enumerate() {
            let opened = plan_of(&schema, &[("sort", "title"), ("cursor", &cursor)], used);
            assert_eq!(opened.is_ok(), at == other, "{at} {other}");
            assert!(opened.is_ok() || opened.unwrap_err().message.contains("another query"));
        }
    }
    let history = |view: &View, cursor: Option<String>| {
        let reading = Reading { view, ..Reading::whole() };
        HistoryPlan::plan(&schema, &id, &HistoryRequest { limit: 5, cursor }, &key(), &reading)
    };
    let cursor = history(&views[1], None).unwrap().cursor_after(&key(), 3);
    assert!(history(&views[1], cursor.clone()).is_ok());
    assert!(history(&views[0], cursor).is_err());
}

#[test]
fn a_search_decides_by_clear_fields_and_uses_the_index_for_what_follows_from_them() {
    let page = |search| {
        let schema = schema(&search);
        let plan = plan_of(&schema, &[("fields", "id"), ("q", "red -blue")], &reader(&schema)).unwrap();
        shown(&plan.render(&TableSql::new(&schema)))
    };
    assert_snapshot!(
        [page(words()), page(json!({"tier": 1, "fields": ["title", "grade", "note"]}))].join("\n\n")
    );
}

#[test]
fn a_search_of_nothing_but_fields_that_are_not_clear_is_refused() {
    for tier in [1, 2] {
        let schema = schema(&json!({"tier": tier, "fields": ["grade"]}));
        let error = plan_of(&schema, &[("q", "x")], &reader(&schema)).unwrap_err();
        assert_eq!((error.code, error.parameter.as_str()), (PlanCode::FieldForbidden, "q"), "{error}");
        assert!(!error.message.contains("grade"), "{error}");
        assert!(plan_of(&schema, &[("q", "x")], &View::whole()).is_ok());
    }
}

#[test]
fn conditions_pass_records_over_in_pages_counts_and_histories() {
    let schema = schema(&words());
    let (table, view, conditions) = (TableSql::new(&schema), reader(&schema), conditions(&schema));
    let roles = ["reader".to_owned(), "guest".to_owned()];
    let actor = ActorView { id: "mia", actor_type: "user", roles: &roles, attributes: "{\"team\": \"red\"}" };
    let reading = Reading { view: &view, conditions: &conditions, actor, request: REQUEST };
    let list = |pairs: &[(&str, &str)]| {
        ListPlan::plan(&schema, &ListRequest::parse(pairs.iter().copied()).unwrap(), &key(), &reading)
            .unwrap()
    };
    let id = schema.id().kind.read_operand(ID).unwrap();
    let reading = Reading { conditions: &conditions[..1], ..reading };
    let history = HistoryPlan::plan(&schema, &id, &HistoryRequest::default(), &key(), &reading).unwrap();
    let count = list(&[("count", "estimated")]).render_count(&table).unwrap();
    assert!(count.sql.contains("null::bigint") && !count.sql.contains("reltuples"), "{}", count.sql);
    assert_snapshot!(
        [
            shown(&list(&[("fields", "id"), ("filter[title]", "x")]).render(&table)),
            shown(&list(&[("fields", "id"), ("count", "exact")]).render_count(&table).unwrap()),
            shown(&list(&[("fields", "id")]).render_all(&table)),
            shown(&history.render(&table)),
        ]
        .join("\n\n")
    );
}

#[test]
fn a_list_with_conditions_is_not_light() {
    let schema = schema(&words());
    let conditions = conditions(&schema);
    let light = |conditions| {
        let reading = Reading { conditions, ..Reading::whole() };
        ListPlan::plan(&schema, &ListRequest::default(), &key(), &reading).unwrap().is_light()
    };
    assert!(light(&[]) && !light(&conditions));
}
