//! What the API says of itself.

use serde_json::{Value, json};

use crate::app::App;

#[tokio::test]
async fn the_schemas_that_a_caller_can_see_are_listed_with_what_they_may_do() {
    let app = App::new().await;
    let reply = app.as_roles(&["reader"]).get("//api").await.is(200);
    let listed = &reply.data()[0];
    let path = app.schema.path();
    assert_eq!((&listed["object"], &listed["endpoint"]), (&json!("order"), &json!(path.endpoint())));
    assert_eq!(
        (&listed["operations"], &listed["specHash"]),
        (&json!(["read", "history"]), &json!(app.schema.hash().as_str()))
    );
    assert_eq!(app.as_roles(&["stranger"]).get("//api").await.is(200).data(), json!([]));
}

#[tokio::test]
async fn a_json_schema_is_known_by_the_specs_hash() {
    let app = App::new().await;
    let client = app.as_roles(&["reader"]);
    let reply = client.get("/schema.json").await.is(200);
    let tag = format!("\"{}\"", app.schema.hash());
    assert_eq!((reply.header("etag"), reply.header("content-type")), (&*tag, "application/schema+json"));
    let schema = reply.json();
    assert_eq!(schema["properties"]["amount"]["x-velocity-type"], "number");
    jsonschema::validator_for(&schema).unwrap();
    let known = client.clone().header("If-None-Match", &tag).get("/schema.json").await.is(304);
    assert!(known.body.is_empty());
}

#[tokio::test]
async fn records_fit_the_json_schema_that_describes_them() {
    let app = App::new().await;
    let client = app.as_anyone();
    client
        .post("", &json!({ "code": "A", "amount": 12.5, "address": { "city": "x" }, "region": "west" }))
        .await
        .is(201);
    let validator = jsonschema::validator_for(&client.get("/schema.json").await.json()).unwrap();
    let record = client.get("").await.data()[0].clone();
    assert!(validator.is_valid(&record), "{:?}", validator.iter_errors(&record).collect::<Vec<_>>());
}

#[tokio::test]
async fn openapi_shows_each_caller_its_own_routes() {
    let app = App::new().await;
    let methods = |document: &Value| -> Vec<String> {
        let item = &document["paths"][app.endpoint()];
        item.as_object().map(|item| item.keys().cloned().collect()).unwrap_or_default()
    };
    let reader = app.as_roles(&["reader"]).get("/openapi.json").await.is(200);
    assert!(reader.header("etag").contains("+read+history"));
    assert_eq!(
        (reader.json()["openapi"].as_str().unwrap(), methods(&reader.json())),
        ("3.1.0", vec!["get".to_owned()])
    );
    let all = app.as_anyone().get("//api/openapi.json").await.is(200).json();
    assert_eq!(methods(&all), ["get", "post"]);
    assert_eq!(
        all["components"]["schemas"]
            .as_object()
            .unwrap()
            .keys()
            .filter(|name| name.ends_with(".New"))
            .count(),
        1
    );
}
