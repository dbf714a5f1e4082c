//! Optimistic locking and conditional requests.

use serde_json::json;

use crate::app::App;

#[tokio::test]
async fn a_write_that_has_seen_another_version_is_told_the_current_one() {
    let app = App::new().await;
    let client = app.as_anyone();
    let id = client.order("A-1", "1", None).await;
    let path = format!("/{id}");
    let if_match = |tag: &str| client.clone().header("If-Match", tag);
    if_match("\"1\"").patch(&path, &json!({ "note": "a" })).await.is(200);
    for tag in ["\"1\"", "W/\"2\"", "\"abc\"", "\"1\", \"7\"", "\"02\""] {
        let problem =
            if_match(tag).patch(&path, &json!({ "note": "b" })).await.is_problem(409, "VERSION_CONFLICT");
        assert_eq!(problem["currentVersion"], 2, "{tag}");
    }
    let problem =
        client.patch(&path, &json!({ "note": "b", "version": 1 })).await.is_problem(409, "VERSION_CONFLICT");
    assert_eq!(problem["currentVersion"], 2);
    if_match("\"1\"")
        .put(&path, &json!({ "code": "A-1", "amount": 1 }))
        .await
        .is_problem(409, "VERSION_CONFLICT");
    if_match("\"1\"").delete(&path).await.is_problem(409, "VERSION_CONFLICT");
    assert_eq!(client.get(&path).await.data()["note"], "a");
    if_match("\"1\", \"2\"").patch(&path, &json!({ "note": "b" })).await.is(200);
    client.patch(&path, &json!({ "note": "c", "version": 3 })).await.is(200);
    if_match("*").patch(&path, &json!({ "note": "d" })).await.is(200);
    if_match("\"5\"").delete(&path).await.is(204);
}

#[tokio::test]
async fn of_many_writers_that_have_seen_one_version_one_wins() {
    let app = App::new().await;
    let client = app.as_writer().header("If-Match", "\"1\"");
    let id = app.as_writer().order("A-1", "1", None).await;
    let path = format!("/{id}");
    let attempts = (0..8).map(|n| {
        let (client, path) = (client.clone(), path.clone());
        async move { client.patch(&path, &json!({ "note": n.to_string() })).await.status }
    });
    let mut statuses = futures::future::join_all(attempts).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn contradictions_and_conditions_without_meaning_are_refused() {
    let app = App::new().await;
    let client = app.as_anyone();
    let id = client.order("A-1", "1", None).await;
    let path = format!("/{id}");
    let with = |name: &str, value: &str| client.clone().header(name, value);
    let body = json!({ "code": "A-1", "amount": 1 });
    with("If-Match", "\"1\"")
        .patch(&path, &json!({ "note": "x", "version": 2 }))
        .await
        .is_problem(400, "MALFORMED_REQUEST");
    with("If-Match", "1").patch(&path, &json!({ "note": "x" })).await.is_problem(400, "MALFORMED_REQUEST");
    with("If-Match", "\"1\"").post("", &body).await.is_problem(400, "MALFORMED_REQUEST");
    with("If-Match", "\"1\"").get(&path).await.is_problem(400, "MALFORMED_REQUEST");
    with("If-None-Match", "*")
        .patch(&path, &json!({ "note": "x" }))
        .await
        .is_problem(400, "MALFORMED_REQUEST");
    with("If-None-Match", "\"1\"").put(&path, &body).await.is_problem(400, "MALFORMED_REQUEST");
    with("If-None-Match", "*")
        .header("If-Match", "*")
        .put(&path, &body)
        .await
        .is_problem(400, "MALFORMED_REQUEST");
}

#[tokio::test]
async fn put_can_be_told_to_only_create_or_only_replace() {
    let app = App::new().await;
    let client = app.as_writer();
    let (id, missing) = (client.order("A-1", "1", None).await, "0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f");
    let body = json!({ "code": "A-1", "amount": 2 });
    let create_only = client.clone().header("If-None-Match", "*");
    create_only.put(&format!("/{id}"), &body).await.is_problem(409, "UNIQUE_VIOLATION");
    let replace_only = client.clone().header("If-Match", "*");
    replace_only
        .put(&format!("/{missing}"), &json!({ "code": "B", "amount": 2 }))
        .await
        .is_problem(404, "ENTITY_NOT_FOUND");
    replace_only.put(&format!("/{id}"), &body).await.is(200);
    create_only.put(&format!("/{missing}"), &json!({ "code": "B", "amount": 2 })).await.is(201);
}

#[tokio::test]
async fn a_reader_who_knows_the_version_gets_304_without_a_body() {
    let app = App::new().await;
    let client = app.as_writer();
    let path = format!("/{}", client.order("A-1", "1", None).await);
    for tags in ["\"1\"", "W/\"1\"", "\"0\", \"1\"", "*"] {
        let reply = client.clone().header("If-None-Match", tags).get(&path).await.is(304);
        assert_eq!((reply.body.as_str(), reply.header("etag")), ("", "\"1\""), "{tags}");
    }
    client.clone().header("If-None-Match", "\"2\"").get(&path).await.is(200);
    client.clone().header("If-None-Match", "2").get(&path).await.is_problem(400, "MALFORMED_REQUEST");
}
