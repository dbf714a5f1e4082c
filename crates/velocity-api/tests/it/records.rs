//! Single records: created, read, changed, replaced, deleted, brought back, remembered.

use serde_json::json;

use crate::app::App;

#[tokio::test]
async fn a_record_lives_through_all_of_its_operations() {
    let app = App::new().await;
    let client = app.as_anyone();
    let created = client.post("", &json!({ "code": "A-1", "amount": 10.5 })).await.is(201);
    let id = created.data()["id"].as_str().unwrap().to_owned();
    assert_eq!(created.header("location"), format!("{}/{id}", app.endpoint()));
    assert_eq!((created.header("etag"), created.header("cache-control")), ("\"1\"", "no-store"));
    assert!(created.body.contains("\"amount\":10.50"), "{}", created.body);
    let data = created.data();
    assert_eq!(
        (&data["status"], &data["note"], &data["created_by"]),
        (&json!("draft"), &json!(null), &json!("ravi"))
    );

    let read = client.get(&format!("/{id}")).await.is(200);
    assert_eq!((read.body, read.headers["etag"].to_str().unwrap()), (created.body, "\"1\""));

    let patched = client.patch(&format!("/{id}"), &json!({ "note": "rush", "amount": 12 })).await.is(200);
    assert_eq!((&patched.data()["note"], &patched.data()["version"]), (&json!("rush"), &json!(2)));
    assert_eq!(patched.header("etag"), "\"2\"");

    let replaced = client.put(&format!("/{id}"), &json!({ "code": "A-1", "amount": 1 })).await.is(200);
    assert_eq!((&replaced.data()["note"], &replaced.data()["version"]), (&json!(null), &json!(3)));

    let deleted = client.delete(&format!("/{id}")).await.is(204);
    assert!(deleted.body.is_empty());
    client.get(&format!("/{id}")).await.is_problem(404, "ENTITY_NOT_FOUND");
    client.delete(&format!("/{id}")).await.is_problem(404, "ENTITY_NOT_FOUND");

    let back = client.post(&format!("/{id}/undelete"), &json!({})).await.is(200);
    assert_eq!(back.data()["version"], 5);
    client.get(&format!("/{id}")).await.is(200);

    let history = client.get(&format!("/{id}/history")).await.is(200).json();
    let operations: Vec<&str> = history["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["operation"].as_str().unwrap())
        .collect();
    assert_eq!(operations, ["UNDELETE", "DELETE", "UPDATE", "UPDATE", "CREATE"]);
    assert_eq!(history["pagination"], json!({ "limit": 100, "nextCursor": null }));
}

#[tokio::test]
async fn a_history_is_paged_and_remembers_actor_request_and_reason() {
    let app = App::new().await;
    let client = app.as_anyone();
    let id = client.order("A-1", "1", None).await;
    let marked = client.clone().header("X-Request-ID", "req-7").header("X-Reason", "a better note");
    let marked = marked.header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    marked.patch(&format!("/{id}"), &json!({ "note": "x" })).await.is(200);
    let history = velocity_sql::names::TableNames::of(app.schema.path()).history_sql().inline();
    let traces = format!("select trace_id, actor_type, strategy from {history} where version = 2");
    let row = app.database.owner().await.query_one(&traces, &[]).await.unwrap();
    let kept: (String, String, String) = (row.get(0), row.get(1), row.get(2));
    assert_eq!(kept, ("4bf92f3577b34da6a3ce929d0e0e4736".into(), "user".into(), "platform/dev".into()));
    let page = client.get(&format!("/{id}/history?limit=1")).await.is(200).json();
    let event = &page["data"][0];
    assert_eq!(
        (&event["actor"], &event["requestId"], &event["reason"]),
        (&json!("ravi"), &json!("req-7"), &json!("a better note"))
    );
    assert_eq!((&event["changed"], &event["before"]["note"]), (&json!(["note"]), &json!(null)));
    let cursor = page["pagination"]["nextCursor"].as_str().unwrap();
    let next = client.get(&format!("/{id}/history?limit=1&cursor={cursor}")).await.is(200).json();
    assert_eq!(
        (&next["data"][0]["operation"], &next["pagination"]["nextCursor"]),
        (&json!("CREATE"), &json!(null))
    );
    client.get(&format!("/{id}/history?limt=1")).await.is_problem(400, "VALIDATION_ERROR");
    client.get("/0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f/history").await.is_problem(404, "ENTITY_NOT_FOUND");
}

#[tokio::test]
async fn all_violations_of_a_body_are_reported_at_once() {
    let app = App::new().await;
    let body = json!({ "amount": -1, "status": "aproved", "surplus": 1, "version": 3 });
    let problem = app.as_writer().post("", &body).await.is_problem(400, "VALIDATION_ERROR");
    let mut rules: Vec<(&str, &str)> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["field"].as_str().unwrap(), error["rule"].as_str().unwrap()))
        .collect();
    rules.sort_unstable();
    let fields: Vec<&str> = rules.iter().map(|(field, _)| *field).collect();
    assert_eq!(fields, ["amount", "code", "status", "surplus", "version"], "{problem}");
    assert!(problem["errors"].to_string().contains("did you mean `approved`"));
}

#[tokio::test]
async fn conflicts_name_the_fields_and_never_another_records_values() {
    let app = App::new().await;
    let client = app.as_writer();
    client.order("A-1", "1", None).await;
    let problem =
        client.post("", &json!({ "code": "A-1", "amount": 1 })).await.is_problem(409, "UNIQUE_VIOLATION");
    assert_eq!(problem["errors"][0]["field"], "code");
    assert!(!problem.to_string().contains("A-1"), "{problem}");
}

#[tokio::test]
async fn a_field_that_stays_as_created_cannot_be_changed() {
    let app = App::new().await;
    let client = app.as_writer();
    let created = client.post("", &json!({ "code": "A-1", "amount": 1, "origin": "web" })).await.is(201);
    let id = created.data()["id"].as_str().unwrap().to_owned();
    let problem = client
        .patch(&format!("/{id}"), &json!({ "origin": "phone" }))
        .await
        .is_problem(400, "VALIDATION_ERROR");
    assert_eq!(
        (&problem["errors"][0]["field"], &problem["errors"][0]["rule"]),
        (&json!("origin"), &json!("immutable"))
    );
}

#[tokio::test]
async fn what_the_caller_does_wrong_is_never_a_fault_of_ours() {
    let app = App::new().await;
    let client = app.as_anyone();
    let id = client.order("A-1", "1", None).await;
    for body in [
        r#"{"code":"a\u0000b","amount":1}"#,
        r#"{"code":"a","amount":1e400}"#,
        r#"{"code":"a","amount":1e999999999999}"#,
        r#"{"code":"a","amount":"12345678901234567890"}"#,
        r#"{"code":"a","amount":0.001}"#,
        r#"{"code":"\ud800","amount":1}"#,
        r#"{"code":null,"amount":1}"#,
        r#"{"code":"a","amount":1,"address":{"a":"\u0000"}}"#,
        r#"{"code":"a","code":"b","amount":1}"#,
    ] {
        let reply = client.send(reqwest::Method::POST, "", Some(body.to_owned())).await;
        reply.is_problem(400, "VALIDATION_ERROR");
    }
    for body in ["", "{", "[]", "null", "{\"code\":\"a\"} x", "\u{feff}{}"] {
        let reply = client.send(reqwest::Method::POST, "", Some(body.to_owned())).await;
        reply.is_problem(400, "MALFORMED_REQUEST");
    }
    for tail in ["/not-a-uuid", "/%00", "/1"] {
        client.get(tail).await.is_problem(400, "VALIDATION_ERROR");
        client.patch(tail, &json!({ "note": "x" })).await.is_problem(400, "VALIDATION_ERROR");
        client.delete(tail).await.is_problem(400, "VALIDATION_ERROR");
    }
    client.patch(&format!("/{id}"), &json!({ "code": null })).await.is_problem(400, "VALIDATION_ERROR");
    client.patch(&format!("/{id}"), &json!({ "vesion": 1 })).await.is_problem(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn numbers_come_as_strings_for_clients_that_ask() {
    let app = App::new().await;
    let client = app.as_writer().header("Accept", "application/json; numbers=string");
    let id = client.order("A-1", "123456789012345.67", None).await;
    let read = client.get(&format!("/{id}")).await.is(200);
    assert!(
        read.body.contains("\"amount\":\"123456789012345.67\"") && read.body.contains("\"version\":\"1\""),
        "{}",
        read.body
    );
    let exact = app.as_writer().get(&format!("/{id}")).await.is(200);
    assert!(exact.body.contains("\"amount\":123456789012345.67"), "{}", exact.body);
    app.as_writer()
        .header("Accept", "text/html")
        .get(&format!("/{id}"))
        .await
        .is_problem(406, "NOT_ACCEPTABLE");
}

#[tokio::test]
async fn put_creates_what_is_not_there_under_the_id_of_the_url() {
    let app = App::new().await;
    let client = app.as_writer();
    let id = "0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f";
    let body = json!({ "code": "A-1", "amount": 1 });
    let created = client.put(&format!("/{id}"), &body).await.is(201);
    assert_eq!(
        (&created.data()["id"], created.header("location")),
        (&json!(id), &*format!("{}/{id}", app.endpoint()))
    );
    client.put(&format!("/{id}"), &body).await.is(200);
    let other = json!({ "id": "0190c8a5-7b1e-7c3a-9f00-000000000000", "code": "A-1", "amount": 1 });
    client.put(&format!("/{id}"), &other).await.is_problem(400, "VALIDATION_ERROR");
}
