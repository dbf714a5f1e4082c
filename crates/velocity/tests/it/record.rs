use serde_json::json;
use velocity_contract::{Code, FieldError, Problem};

use crate::fake_api::{FakeApi, SCHEMA};
use crate::harness::Home;

fn record(id: &str) -> serde_json::Value {
    json!({ "id": id, "amount": 10, "note": null, "paid": true, "version": 1, "created_at": "2026-01-01T00:00:00Z" })
}

#[test]
fn values_take_the_type_of_their_field() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    api.can(&format!("POST /api/{SCHEMA}"), 201, json!({ "data": record("O-1") }));
    let run = home.run(r#"record create order O-1 --set amount=10.50 --set note=007 --set paid=true --set 'tags=["a"]' --reason why"#);
    assert_eq!(run.ok(), "order O-1 created (version 1)\n");
    let seen = api.seen(&format!("POST /api/{SCHEMA}"));
    assert_eq!(seen.body, r#"{"id":"O-1","amount":10.50,"note":"007","paid":true,"tags":["a"]}"#);
    assert_eq!(seen.headers["x-reason"], "why");
    assert!(seen.headers.contains_key("idempotency-key"));
}

#[test]
fn a_file_is_the_base_and_set_goes_on_top() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    api.can(&format!("PATCH /api/{SCHEMA}/a%2Fb"), 200, json!({ "data": record("a/b") }));
    let run = home.run_with_input(
        "record update order a/b -f - --set note=x --unset customer --if-version 3",
        br#"{"amount": 99999999999999.10, "note": "y"}"#,
    );
    run.ok();
    let seen = api.seen("PATCH");
    assert_eq!(seen.body, r#"{"amount":99999999999999.10,"note":"x","customer":null}"#);
    assert_eq!(seen.headers["if-match"], "\"3\"");
}

#[test]
fn records_come_out_with_every_digit_in_every_form() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    let canned: serde_json::Value = record("O-1");
    api.can(&format!("GET /api/{SCHEMA}/O-1"), 200, json!({ "data": canned }));
    insta::assert_snapshot!(home.run("record get order O-1").ok(), @"
    amount       10
    created_at   2026-01-01T00:00:00Z
    id           O-1
    note
    paid         true
    version      1
    ");
    assert_eq!(home.run("record get order O-1 -o jsonpath={.amount}").ok(), "10\n");
    assert_eq!(home.run("record get order O-1 -o name").ok(), "order/O-1\n");
    insta::assert_snapshot!(home.run("record get order O-1 -o yaml").ok(), @r#"
    amount: 10
    created_at: "2026-01-01T00:00:00Z"
    id: O-1
    note: null
    paid: true
    version: 1
    "#);
}

#[test]
fn lists_follow_the_cursors_and_stream() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    let endpoint = format!("GET /api/{SCHEMA}");
    api.can(
        &format!("{endpoint}?limit=1000"),
        200,
        json!({ "data": [record("a"), record("b")], "pagination": { "limit": 1000, "nextCursor": "c1" } }),
    );
    api.can(
        &format!("{endpoint}?limit=1000&cursor=c1"),
        200,
        json!({ "data": [record("c")], "pagination": { "limit": 1000, "nextCursor": null } }),
    );
    assert_eq!(home.run("record list order --all -o name").ok(), "order/a\norder/b\norder/c\n");
    let all: serde_json::Value =
        serde_json::from_str(&home.run("record list order --all -o json").ok()).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 3);
    insta::assert_snapshot!(home.run("record list order --all").ok(), @"
    AMOUNT   ID   NOTE   PAID   VERSION
    10       a           true   1
    10       b           true   1
    10       c           true   1
    ");
}

#[test]
fn filters_sort_and_fields_reach_the_server() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    api.can(
        &format!("GET /api/{SCHEMA}"),
        200,
        json!({ "data": [], "pagination": { "limit": 5, "nextCursor": null } }),
    );
    let run = home.run("record list order --filter note=a&b --filter 'amount[gte]=10' --sort -amount,id --fields id,amount --limit 5 -o json");
    assert_eq!(run.ok(), "[]\n");
    let line = api.seen(&format!("GET /api/{SCHEMA}?")).line;
    assert_eq!(
        line,
        format!(
            "GET /api/{SCHEMA}?filter%5Bnote%5D=a%26b&filter%5Bamount%5D%5Bgte%5D=10&sort=-amount%2Cid&fields=id%2Camount&limit=5"
        )
    );
}

#[test]
fn an_error_shows_every_violation_and_has_its_exit_code() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    let problem = |code: Code| {
        let mut problem = Problem::new(code, "what went wrong");
        if code == Code::ValidationError {
            for field in ["amount", "status"] {
                problem.errors.push(FieldError {
                    field: field.into(),
                    rule: "r".into(),
                    message: "is bad".into(),
                });
            }
        }
        serde_json::to_value(problem).unwrap()
    };
    for (code, exit) in [
        (Code::ValidationError, 1),
        (Code::EntityNotFound, 3),
        (Code::RbacDenied, 4),
        (Code::AuthInvalidToken, 4),
        (Code::UniqueViolation, 5),
        (Code::VersionConflict, 5),
        (Code::QueryTimeout, 6),
        (Code::InternalError, 1),
    ] {
        api.can(&format!("POST /api/{SCHEMA}"), code.status(), problem(code));
        let run = home.run("record create order --set note=x");
        assert_eq!(run.code, exit, "{code}: {}", run.all());
        assert!(run.stderr.contains(code.as_str()), "{}", run.all());
    }
    api.can(&format!("POST /api/{SCHEMA}"), 400, problem(Code::ValidationError));
    insta::assert_snapshot!(home.run("record create order --set note=x").stderr, @"
    error: what went wrong (VALIDATION_ERROR)
      amount: is bad
      status: is bad
    ");
}

#[test]
fn an_unknown_schema_names_the_nearest() {
    let api = FakeApi::start();
    let run = Home::at(&api).run("record list ordr");
    assert_eq!(run.code, 3);
    assert!(run.stderr.contains("did you mean `order`?"), "{}", run.all());
}

#[test]
fn deleting_says_why_and_undeleting_brings_back() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    api.can(&format!("DELETE /api/{SCHEMA}/O-1"), 204, json!(null));
    api.can(&format!("POST /api/{SCHEMA}/O-1/undelete"), 200, json!({ "data": record("O-1") }));
    assert_eq!(home.run("record delete order O-1 --reason 'no longer needed'").ok(), "order O-1 deleted\n");
    assert_eq!(api.seen("DELETE").headers["x-reason"], "no longer needed");
    assert_eq!(home.run("record undelete order O-1").ok(), "order O-1 undeleted (version 1)\n");
    assert_eq!(home.run("record delete order O-1 --quiet").ok(), "");
}

#[test]
fn history_is_a_table_or_the_events_as_they_came() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    let event = json!({ "seq": 7, "at": "2026-01-01T00:00:00Z", "actor": "ravi", "operation": "UPDATE", "version": 2,
        "changed": ["amount", "note"], "before": { "amount": 1 }, "after": { "amount": 2 }, "reason": "typo", "requestId": "r", "hash": "ab" });
    api.can(
        &format!("GET /api/{SCHEMA}/O-1/history"),
        200,
        json!({ "data": [event], "pagination": { "limit": 100, "nextCursor": null } }),
    );
    insta::assert_snapshot!(home.run("history order O-1").ok(), @"
    AT                     VERSION   OPERATION   ACTOR   CHANGED       REASON
    2026-01-01T00:00:00Z   2         UPDATE      ravi    amount,note   typo
    ");
    assert_eq!(home.run("history order O-1 -o jsonpath={[0].after.amount}").ok(), "2\n");
}
