//! Many writes in one request.

use serde_json::{Value, json};

use crate::app::App;

fn create(code: &str, amount: i64) -> Value {
    json!({ "create": { "code": code, "amount": amount } })
}

#[tokio::test]
async fn an_atomic_request_is_done_whole_or_not_at_all() {
    let app = App::new().await;
    let client = app.as_anyone();
    let done =
        client.post("/bulk", &json!({ "operations": [create("A", 1), create("B", 2)] })).await.is(200).json();
    assert_eq!(done["stats"], json!({ "created": 2, "updated": 0, "deleted": 0, "skipped": 0, "failed": 0 }));
    assert_eq!((&done["data"][0]["outcome"], &done["data"][1]["index"]), (&json!("created"), &json!(1)));

    let invalid = json!({ "operations": [create("C", 1), create("D", -1), { "create": { "amount": 1 } }] });
    let problem = client.post("/bulk", &invalid).await.is_problem(400, "VALIDATION_ERROR");
    let fields: Vec<&str> =
        problem["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["operations[1].create.amount", "operations[2].create.code"]);

    let taken = client.post("/bulk", &json!({ "operations": [create("C", 1), create("A", 1)] })).await;
    let problem = taken.is_problem(409, "UNIQUE_VIOLATION");
    assert!(problem["errors"][0]["field"].as_str().unwrap().starts_with("operations[1]"), "{problem}");
    assert_eq!(client.get("").await.data().as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn without_atomic_each_operation_stands_alone() {
    let app = App::new().await;
    let client = app.as_anyone();
    let id = client.order("A", "1", None).await;
    let request = json!({ "atomic": false, "operations": [
        create("B", 1), create("A", 1), create("C", -1),
        { "update": { "id": id, "data": { "note": "x" }, "version": 7 } },
        { "update": { "id": id, "data": { "note": "y" } } },
        { "upsert": { "id": id, "code": "A", "amount": 9 } },
        { "create": 7 },
    ] });
    let done = client.post("/bulk", &request).await.is(200).json();
    assert_eq!(done["stats"], json!({ "created": 1, "updated": 2, "deleted": 0, "skipped": 0, "failed": 4 }));
    let outcomes: Vec<(i64, &str)> = done["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| (result["index"].as_i64().unwrap(), result["error"]["code"].as_str().unwrap_or("")))
        .collect();
    assert_eq!(
        outcomes,
        [
            (0, ""),
            (1, "UNIQUE_VIOLATION"),
            (2, "VALIDATION_ERROR"),
            (3, "VERSION_CONFLICT"),
            (4, ""),
            (5, ""),
            (6, "MALFORMED_REQUEST")
        ]
    );
    assert_eq!(done["data"][3]["error"]["currentVersion"], 1);
    let deleted =
        client.post("/bulk", &json!({ "operations": [{ "delete": { "id": id } }] })).await.is(200).json();
    assert_eq!(deleted["stats"]["deleted"], 1);
}

#[tokio::test]
async fn an_import_answers_only_with_what_failed_and_its_events_say_so() {
    let app = App::new().await;
    let client = app.as_anyone();
    let request = |conflict: &str| json!({ "atomic": false, "mode": "import", "onConflict": conflict, "operations": [create("A", 1), create("B", -1)] });
    let done = client.post("/bulk", &request("fail")).await.is(200).json();
    assert_eq!(
        (done["data"].as_array().unwrap().len(), &done["data"][0]["index"], &done["stats"]["created"]),
        (1, &json!(1), &json!(1))
    );
    let again = client.post("/bulk", &request("skip")).await.is(200).json();
    assert_eq!((&again["stats"]["skipped"], &again["stats"]["failed"]), (&json!(1), &json!(1)));
    let id = client.get("").await.data()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(client.get(&format!("/{id}/history")).await.data()[0]["operation"], "IMPORT");
}

#[tokio::test]
async fn a_request_that_is_none_is_refused() {
    let app = App::new().await;
    let client = app.as_anyone();
    for body in [
        json!({}),
        json!([]),
        json!({ "operations": [{ "destroy": {} }] }),
        json!({ "operations": [], "atomc": true }),
    ] {
        client.post("/bulk", &body).await.is_problem(400, "MALFORMED_REQUEST");
    }
    client.post("/bulk", &json!({ "operations": [] })).await.is_problem(400, "VALIDATION_ERROR");
    let many: Vec<Value> = (0..10_001).map(|n| create(&format!("X{n}"), 1)).collect();
    client.post("/bulk", &json!({ "operations": many })).await.is_problem(400, "VALIDATION_ERROR");
}
