//! Who may do what, and what is said to those who may not.

use serde_json::json;
use velocity_access::{Layer, Layers};
use velocity_api::Config;

use crate::app::App;

const ID: &str = "0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f";

#[tokio::test]
async fn without_a_credential_every_path_under_api_is_401_whether_it_exists_or_not() {
    let app = App::new().await;
    let anonymous = app.anonymous();
    for tail in [
        "",
        "/bulk",
        "/query",
        "//api",
        "//api/openapi.json",
        "//api/x/y/z/a/v1",
        "//api/nothing",
        "//platform/audit",
    ] {
        let reply = anonymous.get(tail).await;
        reply.is_problem(401, "AUTH_REQUIRED");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
    }
    anonymous.post("", &json!({})).await.is_problem(401, "AUTH_REQUIRED");
    anonymous.delete("").await.is_problem(401, "AUTH_REQUIRED");
    let forged = app.anonymous().bearer("a.b.c").get("").await;
    forged.is_problem(401, "AUTH_INVALID_TOKEN");
    assert!(forged.header("www-authenticate").contains("invalid_token"));
    anonymous.get("//auth/whoami").await.is_problem(401, "AUTH_REQUIRED");
    anonymous.get("//healthz").await.is(200);
}

#[tokio::test]
async fn a_strategy_that_does_not_run_lets_nobody_in() {
    let app = App::new().await;
    app.strategies.store(velocity_api::RunningStrategies::default());
    app.as_writer().get("").await.is_problem(401, "AUTH_INVALID_TOKEN");
    app.anonymous().get("").await.is_problem(401, "AUTH_REQUIRED");
}

#[tokio::test]
async fn each_operation_needs_a_role_that_allows_it() {
    let app = App::new().await;
    let path = format!("/{}", app.as_writer().order("A-1", "1", None).await);
    let body = json!({ "code": "B", "amount": 1 });
    let reader = app.as_roles(&["reader"]);
    reader.get(&path).await.is(200);
    reader.post("", &body).await.is_problem(403, "RBAC_DENIED");
    reader.patch(&path, &json!({})).await.is_problem(403, "RBAC_DENIED");
    reader.put(&path, &body).await.is_problem(403, "RBAC_DENIED");
    reader.delete(&path).await.is_problem(403, "RBAC_DENIED");
    reader.post(&format!("{path}/undelete"), &json!({})).await.is_problem(403, "RBAC_DENIED");
    reader.get("/export").await.is_problem(403, "RBAC_DENIED");
    reader.post("/bulk", &json!({ "operations": [{ "create": body }] })).await.is_problem(403, "RBAC_DENIED");
    app.as_writer().get(&format!("{path}/history")).await.is_problem(403, "RBAC_DENIED");
    app.as_roles(&["stranger"]).get(&path).await.is_problem(403, "RBAC_DENIED");
    app.as_roles(&["stranger"]).get("/schema.json").await.is_problem(403, "RBAC_DENIED");
    app.as_roles(&["platform-admin"]).delete(&path).await.is(204);
}

#[tokio::test]
async fn a_row_that_the_callers_filters_hide_is_404_in_every_operation() {
    let app = App::new().await;
    let writer = app.as_writer();
    let (west, east) =
        (writer.order("W", "1", Some("west")).await, writer.order("E", "1", Some("east")).await);
    let manager = app.as_actor("mia", &["regional"], &json!({ "region": "west" }));
    manager.get(&format!("/{west}")).await.is(200);
    manager.get(&format!("/{east}")).await.is_problem(404, "ENTITY_NOT_FOUND");
    manager.patch(&format!("/{east}"), &json!({ "note": "x" })).await.is_problem(404, "ENTITY_NOT_FOUND");
    let seen = manager.get("?count=exact").await.is(200).json();
    assert_eq!((seen["data"].as_array().unwrap().len(), &seen["pagination"]["total"]), (1, &json!(1)));
    manager.patch(&format!("/{west}"), &json!({ "region": "east" })).await.is_problem(403, "RBAC_DENIED");
    let nobody = app.as_actor("max", &["regional"], &json!({}));
    assert_eq!(nobody.get("").await.is(200).data(), json!([]));
}

#[tokio::test]
async fn a_role_that_may_delete_does_not_widen_what_an_update_reaches() {
    let spec = crate::app::ORDERS
        .replace("delete: [admin]", "delete: [admin]\n    create: [writer, admin]")
        .replace("    create: [writer]\n", "");
    let app = App::with(&spec, velocity_api::Config::default()).await;
    let east = app.as_writer().order("E", "1", Some("east")).await;
    // `admin` creates and deletes everywhere and updates nothing; `regional` updates the west only.
    let both = app.as_actor("mia", &["regional", "admin"], &json!({ "region": "west" }));
    let body = json!({ "code": "E", "amount": 2, "region": "west" });
    let denied = both.put(&format!("/{east}"), &body).await;
    denied.is_problem(403, "RBAC_DENIED");
    let bulk = json!({ "operations": [{ "update": { "id": east, "data": { "note": "x" } } }, { "delete": { "id": east } }] });
    both.post("/bulk", &bulk).await.is_problem(403, "RBAC_DENIED");
    assert_eq!(app.as_writer().get(&format!("/{east}")).await.data()["version"], 1);
}

/// What stops it is that the database is told of no role but those that allow the operation.
#[tokio::test]
async fn with_all_of_a_callers_roles_a_change_would_reach_further() {
    let attack = async |layers: Layers| {
        let app = App::with(crate::app::ORDERS, Config { layers, ..Config::default() }).await;
        let east = app.as_writer().order("E", "1", Some("east")).await;
        let both = app.as_actor("mia", &["regional", "admin"], &json!({ "region": "west" }));
        both.patch(&format!("/{east}"), &json!({ "note": "x" })).await
    };
    attack(Layers::all()).await.is_problem(404, "ENTITY_NOT_FOUND");
    attack(Layers::all().without(Layer::RowFilter)).await.is(200);
}

#[tokio::test]
async fn an_unknown_schema_is_named_beside_the_nearest_that_the_caller_can_see() {
    let app = App::new().await;
    let near = app.endpoint().replace("/order/", "/ordr/");
    let problem = app.as_writer().get(&format!("/{near}")).await.is_problem(404, "SCHEMA_NOT_FOUND");
    assert!(problem["detail"].as_str().unwrap().contains("did you mean"), "{problem}");
    let stranger =
        app.as_roles(&["stranger"]).get(&format!("/{near}")).await.is_problem(404, "SCHEMA_NOT_FOUND");
    assert!(!stranger["detail"].as_str().unwrap().contains("did you mean"), "{stranger}");
    for tail in ["", &format!("/{ID}"), "/schema.json", "/export"] {
        let path = format!("//api/acme/shop/none/thing/v1{tail}");
        app.as_writer().get(&path).await.is_problem(404, "SCHEMA_NOT_FOUND");
    }
}

#[tokio::test]
async fn a_schema_that_is_not_provisioned_is_503_for_those_who_are_authenticated() {
    let app = App::new().await;
    let mut catalog = (*app.catalog.load_full()).clone();
    let path = app.schema.path();
    catalog.served.remove(path);
    catalog.not_ready.insert(&path.to_string(), "its table is being provisioned".into());
    app.catalog.store(catalog);
    let reply = app.as_writer().get("").await;
    reply.is_problem(503, "SCHEMA_NOT_READY");
    assert_eq!(reply.header("retry-after"), "1");
    app.anonymous().get("").await.is_problem(401, "AUTH_REQUIRED");
}

#[tokio::test]
async fn a_schema_whose_table_is_missing_is_not_ready_rather_than_a_fault() {
    let app = App::new().await;
    let owner = app.database.owner().await;
    let table = velocity_sql::names::TableNames::of(app.schema.path()).table_sql().inline();
    owner.batch_execute(&format!("drop table {table} cascade")).await.unwrap();
    app.as_writer().get("").await.is_problem(503, "SCHEMA_NOT_READY");
}

#[tokio::test]
async fn whoami_tells_what_the_token_says() {
    let app = App::new().await;
    let reply =
        app.as_actor("mia", &["b", "a"], &json!({ "region": "west" })).get("//auth/whoami").await.is(200);
    let data = reply.data();
    assert_eq!(
        (&data["actor"], &data["type"], &data["roles"]),
        (&json!("mia"), &json!("user"), &json!(["a", "b"]))
    );
    assert_eq!(
        (&data["attributes"], &data["strategy"]),
        (&json!({ "region": "west" }), &json!("platform/dev"))
    );
    app.as_writer().get("//auth/whoami?x=1").await.is_problem(400, "MALFORMED_REQUEST");
}

#[tokio::test]
async fn the_rate_of_an_actor_is_bounded_and_another_actor_is_not_hit() {
    let rate = velocity_api::RateConfig {
        per_second: std::num::NonZeroU32::MIN,
        burst: std::num::NonZeroU32::new(3).unwrap(),
    };
    let config = velocity_api::Config { rate: Some(rate), ..velocity_api::Config::default() };
    let app = App::with(crate::app::ORDERS, config).await;
    let replies = futures::future::join_all((0..10).map(|_| async { app.as_writer().get("").await })).await;
    let limited: Vec<_> = replies.iter().filter(|reply| reply.status == 429).collect();
    assert!(limited.len() >= 5, "{} of 10", limited.len());
    limited[0].is_problem(429, "RATE_LIMITED");
    assert_eq!(
        (limited[0].header("x-ratelimit-limit"), limited[0].header("x-ratelimit-remaining")),
        ("3", "0")
    );
    assert!(
        !limited[0].header("retry-after").is_empty() && !limited[0].header("x-ratelimit-reset").is_empty()
    );
    app.as_actor("mia", &["writer"], &json!({})).get("").await.is(200);
}
