//! Writes under a credential that is narrowed to some operations and fields.

use reqwest::Method;
use serde_json::{Value, json};

use crate::replica::{As, Replica, World};

const ITEMS: &str = r"
org: acme
app: store
domain: DOMAIN
object: item
version: v1
fields:
  - { name: id, type: string }
  - { name: title, type: string, required: true, default: none }
  - { name: stock, type: integer }
  - { name: price, type: integer, unique: true }
access: { roles: { create: [keeper], read: [keeper], update: [keeper], delete: [keeper] } }
";

async fn key(replica: &Replica, admin: &str, scope: Value) -> String {
    let wanted = json!({"actor": "robot", "roles": ["keeper"], "scopes": [scope]});
    let made = replica.post("/platform/api-keys", As::Token(admin), &wanted).await.is(201).data();
    made["key"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrowed_key_sets_and_keeps_what_its_scopes_say() {
    let world = World::new(&[ITEMS]).await;
    let replica = world.replica().await;
    let (admin, keeper) = (world.admin(), world.token("kim", &["keeper"], &json!({})));
    let items = world.schemas[0].path().endpoint();
    let schema = world.schemas[0].path().to_string();
    let scope =
        json!({"schema": schema, "operations": ["create", "read", "update"], "fields": ["title", "stock"]});
    let narrow = key(&replica, &admin, scope).await;
    let whole = json!({"id": "a", "title": "A", "stock": 1, "price": 7});
    replica.post(&items, As::Token(&keeper), &whole).await.is(201);
    let one = format!("{items}/a");
    let seen = replica.get(&one, As::Key(&narrow)).await.is(200).data();
    assert_eq!(seen, json!({"id": "a", "title": "A", "stock": 1, "version": 1}));
    for (method, path, body) in [
        (Method::POST, &items, json!({"id": "b", "price": 1})),
        (Method::PATCH, &one, json!({"price": null})),
        (Method::PUT, &one, json!({"title": "B", "price": 7})),
    ] {
        let problem = replica
            .send(method, path, As::Key(&narrow), Some(&body))
            .await
            .is_problem(403, "FIELD_FORBIDDEN");
        assert_eq!(problem["errors"][0]["field"], "price", "{problem}");
    }
    let put =
        replica.send(Method::PUT, &one, As::Key(&narrow), Some(&json!({"title": "B", "stock": 2}))).await;
    assert_eq!(put.is(200).data(), json!({"id": "a", "title": "B", "stock": 2, "version": 2}));
    assert_eq!(replica.get(&one, As::Token(&keeper)).await.data()["price"], 7);
    replica.delete(&one, As::Key(&narrow)).await.is_problem(403, "RBAC_DENIED");
    let bulk =
        json!({"operations": [{"update": {"id": "a", "data": {"stock": 3}}}, {"delete": {"id": "a"}}]});
    replica.post(&format!("{items}/bulk"), As::Key(&narrow), &bulk).await.is_problem(403, "RBAC_DENIED");
    let skip = json!({"onConflict": "skip", "operations": [{"create": {"id": "a"}}]});
    replica.post(&format!("{items}/bulk"), As::Key(&narrow), &skip).await.is_problem(403, "FIELD_FORBIDDEN");
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_only_creates_reads_nothing_by_the_way() {
    let world = World::new(&[ITEMS]).await;
    let replica = world.replica().await;
    let items = world.schemas[0].path().endpoint();
    let scope = json!({"schema": "acme/store/*/item/*", "operations": ["create"]});
    let creates = key(&replica, &world.admin(), scope).await;
    let made = replica.post(&items, As::Key(&creates), &json!({"id": "a", "title": "A"})).await.is(201);
    assert_eq!(made.data(), json!({"id": "a", "version": 1}));
    let one = format!("{items}/a");
    replica.get(&one, As::Key(&creates)).await.is_problem(403, "RBAC_DENIED");
    let empty = json!({});
    replica.send(Method::PATCH, &one, As::Key(&creates), Some(&empty)).await.is_problem(403, "RBAC_DENIED");
    replica.send(Method::PUT, &one, As::Key(&creates), Some(&empty)).await.is_problem(403, "RBAC_DENIED");
    let elsewhere = json!({"schema": "acme/store/*/order/*"});
    let other = key(&replica, &world.admin(), elsewhere).await;
    replica.get(&one, As::Key(&other)).await.is_problem(403, "RBAC_DENIED");
    replica.stop().await;
}
