//! A write with a key happens once.

use serde_json::json;

use crate::app::App;

#[tokio::test]
async fn a_retry_gets_the_first_answer_word_for_word() {
    let app = App::new().await;
    let client = app.as_writer().header("Idempotency-Key", "k-1");
    let body = json!({ "code": "A", "amount": 1 });
    let first = client.post("", &body).await.is(201);
    assert_eq!(first.header("idempotent-replay"), "");
    let second = client.post("", &body).await.is(201);
    assert_eq!(second.header("idempotent-replay"), "true");
    assert_eq!(first.body, second.body);
    for name in ["etag", "location", "content-type"] {
        assert_eq!(first.header(name), second.header(name));
    }
    client.post("", &json!({ "code": "B", "amount": 1 })).await.is_problem(422, "IDEMPOTENCY_CONFLICT");
    assert_eq!(app.as_writer().get("").await.data().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn eight_at_once_with_one_key_make_one_record() {
    let app = App::new().await;
    let client = app.as_writer().header("Idempotency-Key", "k-1");
    let body = json!({ "code": "A", "amount": 1 });
    let replies = futures::future::join_all((0..8).map(|_| client.post("", &body))).await;
    let fresh = replies.iter().filter(|reply| reply.header("idempotent-replay").is_empty()).count();
    assert!(replies.iter().all(|reply| reply.status == 201 && reply.body == replies[0].body), "{replies:?}");
    assert_eq!((fresh, app.as_writer().get("").await.data().as_array().unwrap().len()), (1, 1));
}

#[tokio::test]
async fn a_retry_of_a_conditional_write_gets_its_first_answer_though_the_version_has_moved() {
    let app = App::new().await;
    let path = format!("/{}", app.as_writer().order("A", "1", None).await);
    for (key, tags) in [("one", "\"1\""), ("several", "\"2\", \"9\"")] {
        let client = app.as_writer().header("Idempotency-Key", key).header("If-Match", tags);
        let first = client.patch(&path, &json!({ "note": key })).await.is(200);
        let again = client.patch(&path, &json!({ "note": key })).await.is(200);
        assert_eq!((again.header("idempotent-replay"), &again.body), ("true", &first.body), "{tags}");
        let other = app.as_writer().header("Idempotency-Key", key).header("If-Match", "\"7\"");
        other.patch(&path, &json!({ "note": key })).await.is_problem(422, "IDEMPOTENCY_CONFLICT");
    }
}

#[tokio::test]
async fn a_key_belongs_to_its_actor() {
    let app = App::new().await;
    let (ravi, mia) = (app.as_writer(), app.as_actor("mia", &["writer"], &json!({})));
    let first =
        ravi.header("Idempotency-Key", "k").post("", &json!({ "code": "A", "amount": 1 })).await.is(201);
    let other =
        mia.header("Idempotency-Key", "k").post("", &json!({ "code": "B", "amount": 1 })).await.is(201);
    assert_ne!(first.body, other.body);
}

#[tokio::test]
async fn a_write_that_fails_leaves_its_key_free() {
    let app = App::new().await;
    let client = app.as_writer().header("Idempotency-Key", "k");
    app.as_writer().order("A", "1", None).await;
    client.post("", &json!({ "code": "A", "amount": 1 })).await.is_problem(409, "UNIQUE_VIOLATION");
    client.post("", &json!({ "code": "B", "amount": 1 })).await.is(201);
}

#[tokio::test]
async fn every_kind_of_write_takes_a_key() {
    let app = App::new().await;
    let client = app.as_anyone();
    let path = format!("/{}", client.order("A", "1", None).await);
    let keyed = |key: &str| client.clone().header("Idempotency-Key", key);
    for _ in 0..2 {
        keyed("patch").patch(&path, &json!({ "note": "x" })).await.is(200);
        keyed("put").put(&path, &json!({ "code": "A", "amount": 2 })).await.is(200);
        let bulk = keyed("bulk")
            .post("/bulk", &json!({ "operations": [{ "create": { "code": "C", "amount": 1 } }] }))
            .await;
        bulk.is(200);
    }
    assert_eq!(client.get(&path).await.data()["version"], 3);
    for _ in 0..2 {
        keyed("delete").delete(&path).await.is(204);
    }
    keyed("").patch(&path, &json!({})).await.is_problem(400, "MALFORMED_REQUEST");
}
