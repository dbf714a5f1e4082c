use super::{fields, full, record, s};
use crate::cel::{ActorView, EvaluationError, RequestView, compile_condition};
use crate::time;
use crate::value::Value;

fn request<'a>() -> RequestView<'a> {
    let time = time::parse_timestamp("2026-05-19T08:30:00.25Z").unwrap();
    RequestView { time, operation: "update", ip: Some("192.0.2.7") }
}

fn allows(
    condition: &str,
    record: Option<&[Value]>,
    request: RequestView<'_>,
) -> Result<bool, EvaluationError> {
    let roles = ["clerk".to_owned()];
    let actor = ActorView {
        id: "ada",
        actor_type: "user",
        roles: &roles,
        attributes: r#"{"department":"procurement","limit":100}"#,
    };
    compile_condition(condition, &fields(), false).unwrap().evaluate(record, actor, request)
}

#[test]
fn conditions_ask_about_the_actor_the_request_and_the_record() {
    for condition in [
        "actor.attributes.department == 'procurement' && request.time.getHours() >= 8",
        "request.time < timestamp('2026-05-19T08:30:01Z')",
        "request.time - record.due > duration('1h')",
        "request.operation in ['update', 'delete']",
        "request.ip.startsWith('192.0.2.')",
        "request.ip != '192.0.2.8' && 'clerk' in actor.roles",
        "record.amount <= actor.attributes.limit",
        "record.tags.exists(tag, tag.matches('^r'))",
    ] {
        assert_eq!(allows(condition, Some(&full()), request()), Ok(true), "{condition}");
    }
    for condition in ["request.time.getHours() >= 9", "request.operation == 'read'", "record.amount > 100"] {
        assert_eq!(allows(condition, Some(&full()), request()), Ok(false), "{condition}");
    }
}

#[test]
fn what_is_unknown_does_not_allow() {
    for condition in ["request.ip != '192.0.2.7'", "!request.ip.startsWith('10.')"] {
        assert_eq!(
            allows(condition, Some(&full()), RequestView { ip: None, ..request() }),
            Ok(false),
            "{condition}"
        );
    }
    for condition in ["record.region != 'EU'", "!(record.region == 'EU')", "actor.attributes.nothing != 'x'"]
    {
        assert_eq!(allows(condition, Some(&record(&[])), request()), Ok(false), "{condition}");
        assert_eq!(allows(condition, None, request()), Ok(false), "{condition}");
    }
    assert_eq!(allows("!has(request.ip)", None, RequestView { ip: None, ..request() }), Ok(true));
}

#[test]
fn what_fails_or_runs_over_is_told_from_what_is_not_true() {
    let outcome = allows("record.quantity / (record.quantity - 7) == 1", Some(&full()), request());
    assert!(matches!(outcome, Err(EvaluationError::Failed(_))), "{outcome:?}");
    let notes = Value::Array((0..200_000).map(|n| s(&n.to_string())).collect());
    let outcome =
        allows("record.notes.all(note, note != 'x')", Some(&record(&[("notes", notes)])), request());
    assert_eq!(outcome, Err(EvaluationError::BudgetExceeded));
}

#[test]
fn a_condition_for_lists_answers_as_the_database_does() {
    let condition = |text: &str| compile_condition(text, &fields(), true).unwrap();
    let of_record = condition("record.quantity / (record.quantity - 7) == 1 || request.operation == 'read'");
    assert!(
        of_record.is_in_sql()
            && of_record.uses_record()
            && of_record.uses_request()
            && !of_record.uses_actor()
    );
    let actor = ActorView { id: "ada", actor_type: "user", roles: &[], attributes: "{}" };
    assert_eq!(
        of_record.evaluate(Some(&full()), actor, request()),
        Ok(false),
        "a row cannot make a query fail"
    );
    let apart = condition("actor.id.matches('^a') && request.time.getHours() == 8");
    assert!(!apart.is_in_sql() && !apart.uses_record() && apart.uses_actor());
    assert_eq!(apart.evaluate(None, actor, request()), Ok(true));
    let error = compile_condition("record.region.matches('^a')", &fields(), true).unwrap_err();
    assert_eq!((error.line, error.column), (1, 15));
}

#[test]
fn the_request_has_its_own_names_and_filters_and_rules_have_none_of_them() {
    for (condition, expected) in [
        (
            "request.user == 'a'",
            "`request` has no field `user`; there are time, operation, ip (line 1, column 9)",
        ),
        (
            "request == 'a'",
            "`request` alone is no value; name one of its fields, `request.…` (line 1, column 1)",
        ),
        ("now() > request.time", "there is no function `now`; the time is `request.time`"),
        ("has(request.time)", "`has` takes a field or a part of json"),
    ] {
        let error = compile_condition(condition, &fields(), false).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(crate::cel::compile_filter("request.ip == 'a'", &fields(), true).is_err());
    assert!(crate::cel::compile_rule("request.ip == 'a'", &fields()).is_err());
}
