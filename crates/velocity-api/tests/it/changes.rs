//! Requests that meet a table which has just changed.

mod load;
mod world;

use std::num::NonZeroU32;

use serde_json::{Value, json};
use velocity_api::{Config, RateConfig, RequestConfig};

use self::world::{World, spec};

fn first() -> Value {
    json!([
        { "name": "code", "type": "string", "required": true, "unique": true, "filterable": true },
        { "name": "amount", "type": "integer" },
        { "name": "note", "type": "string" },
    ])
}

/// With a field more.
fn wider() -> Value {
    let mut fields = first();
    fields.as_array_mut().unwrap().push(json!({ "name": "extra", "type": "string", "default": "new" }));
    fields
}

/// With a field of another name.
fn renamed() -> Value {
    json!([
        { "name": "code", "type": "string", "required": true, "unique": true, "filterable": true },
        { "name": "amount", "type": "integer" },
        { "name": "remark", "type": "string", "renamedFrom": "note" },
    ])
}

async fn world() -> World {
    World::new(spec(&first()), Config::default()).await
}

#[tokio::test]
async fn the_first_request_after_a_change_is_answered_under_the_new_schema() {
    let mut world = world().await;
    let made =
        world.app.as_roles(&["all"]).post("", &json!({ "code": "A", "note": "n" })).await.is(201).data();
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!((world.repeated(), world.loads()), (0, 0));
    world.change_fields(&wider()).await;
    let client = world.app.as_roles(&["all"]);
    assert_eq!(client.get(&format!("/{id}")).await.is(200).data()["extra"], "new");
    assert_eq!((world.repeated(), world.loads()), (1, 1));
    // From here on it is known, whatever Kubernetes tells of earlier times.
    world.tell_the_first_status(&world.spec);
    for _ in 0..20 {
        assert_eq!(client.get(&format!("/{id}")).await.is(200).data()["extra"], "new");
    }
    assert_eq!((world.repeated(), world.loads()), (1, 1));
}

/// Each kind of route is the first one after a change of its own.
#[tokio::test]
async fn every_route_of_a_schema_runs_once_more() {
    let mut world = world().await;
    let client = world.app.as_roles(&["all"]);
    let made = client.post("", &json!({ "code": "A", "note": "n" })).await.is(201).data();
    let id = made["id"].as_str().unwrap().to_owned();
    drop(client);
    let specs = [wider(), first()];
    for at in 0..11 {
        world.change_fields(&specs[at % 2]).await;
        let client = world.app.as_roles(&["all"]);
        let body = json!({ "code": format!("B{at}"), "amount": 1 });
        let reply = match at {
            0 => client.get(&format!("/{id}")).await.is(200),
            1 => client.get("?filter[code]=A").await.is(200),
            2 => client.post("", &body).await.is(201),
            3 => client.patch(&format!("/{id}"), &json!({ "amount": 2 })).await.is(200),
            4 => client.put(&format!("/{id}"), &json!({ "code": "A" })).await.is(200),
            5 => client.delete(&format!("/{id}")).await.is(204),
            6 => client.post(&format!("/{id}/undelete"), &json!({})).await.is(200),
            7 => client.post("/bulk", &json!({ "operations": [{ "create": body }] })).await.is(200),
            8 => client.get("/export").await.is(200),
            9 => client.get("/export?format=csv").await.is(200),
            _ => client.get(&format!("/{id}/history")).await.is(200),
        };
        assert_eq!(world.repeated(), at as u64 + 1, "{at}: {reply:?}");
        if at == 9 {
            assert_eq!(reply.body.lines().next().unwrap().contains("extra"), at % 2 == 0, "{}", reply.body);
        }
    }
    let list = world.app.as_roles(&["all"]).get("?sort=id").await.is(200);
    assert_eq!(list.data().as_array().unwrap().len(), 3, "no write was done twice: {list:?}");
}

#[tokio::test]
async fn a_body_is_read_under_the_new_schema_the_second_time() {
    let mut world = world().await;
    world.change_fields(&renamed()).await;
    let client = world.app.as_roles(&["all"]);
    // Valid before the change, and long enough to come in several parts.
    let body = json!({ "code": "A", "note": "n".repeat(200_000) });
    let problem = client.post("", &body).await.is_problem(400, "VALIDATION_ERROR");
    assert_eq!(problem["errors"][0]["field"], "note", "{problem}");
    let body = json!({ "code": "A", "remark": "n".repeat(200_000) });
    let made = client.post("", &body).await.is(201).data();
    assert_eq!(made["remark"].as_str().unwrap().len(), 200_000);
    assert_eq!(world.repeated(), 1);
}

#[tokio::test]
async fn access_is_decided_anew_under_the_new_schema() {
    let mut world = world().await;
    world.app.as_roles(&["all"]).get("").await.is(200);
    let mut closed = world.spec.clone();
    closed["access"]["roles"]["read"] = json!(["other"]);
    world.change(closed).await;
    world.app.as_roles(&["all"]).get("").await.is_problem(403, "RBAC_DENIED");
    world.app.as_roles(&["other"]).get("").await.is(200);
}

#[tokio::test]
async fn a_write_with_a_key_is_done_once_across_a_change() {
    let mut world = world().await;
    world.app.as_roles(&["all"]).get("").await.is(200);
    world.change_fields(&wider()).await;
    let client = world.app.as_roles(&["all"]).header("Idempotency-Key", "k-1");
    let made = client.post("", &json!({ "code": "A" })).await.is(201);
    assert_eq!((world.repeated(), made.header("idempotent-replay")), (1, ""));
    let again = client.post("", &json!({ "code": "A" })).await.is(201);
    assert_eq!((again.header("idempotent-replay"), again.data()), ("true", made.data()));
}

#[tokio::test]
async fn the_second_run_takes_nothing_from_the_callers_rate_nor_a_second_place_among_exports() {
    let rate = RateConfig { per_second: NonZeroU32::MIN, burst: NonZeroU32::new(2).unwrap() };
    let requests = RequestConfig { max_exports: 1, ..RequestConfig::default() };
    let config = Config { rate: Some(rate), requests, ..Config::default() };
    let mut world = World::new(spec(&first()), config).await;
    let limited = |actor: &str| world.app.token(actor, &["all"], &json!({}));
    let (mia, ravi) = (limited("mia"), limited("ravi"));
    world.change_fields(&wider()).await;
    let client = world.app.anonymous().bearer(&mia);
    client.get("/export").await.is(200);
    assert_eq!(world.repeated(), 1);
    client.get("").await.is(200);
    client.get("").await.is_problem(429, "RATE_LIMITED");
    world.app.anonymous().bearer(&ravi).get("").await.is(200);
}

#[tokio::test]
async fn where_the_store_has_nothing_newer_it_is_503_and_works_again_when_the_table_does() {
    let world = world().await;
    let owner = world.app.database.owner().await;
    let names = velocity_sql::TableNames::of(world.app.schema.path());
    let rename =
        |from: &str, to: &str| format!("alter function {}.{from}() rename to {to}", names.schema.quoted());
    let function = names.shape_function(world.app.schema.hash().as_str()).quoted();
    owner.batch_execute(&rename(&function, "aside")).await.unwrap();
    let client = world.app.as_roles(&["all"]);
    let refused = client.get("").await;
    refused.is_problem(503, "SCHEMA_NOT_READY");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(world.repeated(), 0);
    owner.batch_execute(&rename("aside", &function)).await.unwrap();
    client.get("").await.is(200);
}

#[tokio::test]
async fn many_requests_at_once_look_the_schema_up_together() {
    let mut world = world().await;
    world.change_fields(&wider()).await;
    let client = world.app.as_roles(&["all"]);
    let replies = futures::future::join_all((0..40).map(|_| client.get(""))).await;
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    assert!(world.repeated() > 1 && world.loads() <= 2, "{} of {}", world.loads(), world.repeated());
}

/// Rights that were taken away do not hold for a request that has begun under the schema that gave them.
#[tokio::test]
async fn a_request_that_runs_again_has_the_rights_of_the_new_schema() {
    let mut world = world().await;
    let client = world.app.as_roles(&["all"]);
    let made = client.post("", &json!({ "code": "A", "amount": 1, "note": "secret" })).await.is(201).data();
    let path = format!("/{}", made["id"].as_str().unwrap());
    drop(client);
    let mut hiding = world.spec.clone();
    hiding["access"]["fieldAccess"] = json!([{ "field": "note", "read": ["few"], "write": ["few"] }]);
    world.change(hiding).await;
    let read = world.app.as_roles(&["all"]).get(&path).await.is(200).data();
    assert!(read.get("note").is_none(), "{read}");
    let mut narrower = world.spec.clone();
    narrower["access"]["fieldAccess"] = json!([{ "field": "note", "read": ["few"], "write": ["few"] }, { "field": "amount", "write": ["few"] }]);
    world.change(narrower).await;
    let written = world.app.as_roles(&["all"]).patch(&path, &json!({ "amount": 2 })).await;
    written.is_problem(403, "FIELD_FORBIDDEN");
    let mut judged = world.spec.clone();
    judged["access"]["abac"] = json!([{ "operations": ["update"], "condition": "record.amount > 5" }]);
    world.change(judged).await;
    world.app.as_roles(&["all"]).patch(&path, &json!({ "code": "B" })).await.is_problem(403, "ABAC_DENIED");
    let mut closed = world.spec.clone();
    closed["access"]["roles"]["update"] = json!(["few"]);
    world.change(closed).await;
    world.app.as_roles(&["all"]).patch(&path, &json!({ "code": "B" })).await.is_problem(403, "RBAC_DENIED");
    assert_eq!((world.repeated(), world.loads()), (4, 4));
    let read = world.app.as_roles(&["platform-admin"]).get(&path).await.is(200).data();
    assert_eq!((&read["code"], &read["amount"], &read["version"]), (&json!("A"), &json!(1), &json!(1)));
}
