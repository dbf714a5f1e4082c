//! What is revoked on one replica is refused on all of them.

use std::time::Instant;

use base64::Engine as _;
use serde_json::{Value, json};
use velocity_testkit::TestCluster;

use crate::app::ORDERS;
use crate::replica::{As, Replica, World};

async fn revoke(replica: &Replica, admin: &str, kind: &str, value: &str) -> String {
    let body = json!({ "kind": kind, "value": value, "reason": "a test" });
    let reply = replica.post("/platform/revocations", As::Token(admin), &body).await.is(201);
    reply.data()["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_who_is_revoked_on_one_replica_is_refused_on_the_other_and_comes_back_when_it_is_lifted() {
    let world = World::new(&[ORDERS]).await;
    let (one, other) = (world.replica().await, world.replica().await);
    let (admin, ravi) = (world.admin(), world.token("ravi", &["reader"], &json!({})));
    let orders = world.schemas[0].path().endpoint();
    other.get(&orders, As::Token(&ravi)).await.is(200);

    let id = revoke(&one, &admin, "actor", "ravi").await;
    let began = Instant::now();
    let refused = other.until(&orders, As::Token(&ravi), 401).await;
    println!("refused on the other replica after {:?}", began.elapsed());
    assert!(refused.is_problem(401, "AUTH_INVALID_TOKEN")["detail"].as_str().unwrap().contains("revoked"));
    one.until(&orders, As::Token(&ravi), 401).await;
    // Somebody else of the same roles goes on.
    other.get(&orders, As::Token(&world.token("mia", &["reader"], &json!({})))).await.is(200);

    one.delete(&format!("/platform/revocations/{id}"), As::Token(&admin)).await.is(204);
    other.until(&orders, As::Token(&ravi), 200).await;
    one.until(&orders, As::Token(&ravi), 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_starts_later_knows_before_it_lets_anybody_in() {
    let world = World::new(&[ORDERS]).await;
    let (one, admin) = (world.replica().await, world.admin());
    revoke(&one, &admin, "actor", "ravi").await;
    one.stop().await;
    let ravi = world.token("ravi", &["reader"], &json!({}));
    // Its very first request, of many at once.
    let fresh = world.replica().await;
    let orders = world.schemas[0].path().endpoint();
    let all = futures::future::join_all((0..20).map(|_| fresh.get(&orders, As::Token(&ravi)))).await;
    for reply in all {
        reply.is_problem(401, "AUTH_INVALID_TOKEN");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_is_revoked_by_its_id_and_the_actors_others_go_on() {
    let world = World::new(&[ORDERS]).await;
    let (replica, admin) = (world.replica().await, world.admin());
    let orders = world.schemas[0].path().endpoint();
    let (lost, kept) =
        (world.token("ravi", &["reader"], &json!({})), world.token("ravi", &["reader"], &json!({})));
    revoke(&replica, &admin, "token", &jti(&lost)).await;
    replica.until(&orders, As::Token(&lost), 401).await;
    replica.get(&orders, As::Token(&kept)).await.is(200);
}

fn jti(token: &str) -> String {
    let claims = token.split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["jti"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_revocations_cannot_be_checked_nobody_gets_in_but_where_the_strategy_says_so() {
    let cluster = TestCluster::start().await;
    let world = World::in_cluster(&cluster, &[ORDERS]).await;
    let (closed, open) = (world.replica().await, world.replica_with("open", &[]).await);
    let ravi = world.token("ravi", &["reader"], &json!({}));
    // A route that needs no database.
    let whoami = "/auth/whoami";
    closed.get(whoami, As::Token(&ravi)).await.is(200);
    open.get(whoami, As::Token(&ravi)).await.is(200);

    cluster.kill_postgres().await;
    let refused = closed.until(whoami, As::Token(&ravi), 503).await;
    refused.is_problem(503, "REVOCATION_UNAVAILABLE");
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
    // From here on nobody was let in by what was known before.
    closed.get(whoami, As::Token(&ravi)).await.is_problem(503, "REVOCATION_UNAVAILABLE");
    open.get(whoami, As::Token(&ravi)).await.is(200);
    // Without a good credential it is 401 in any case.
    closed.get(whoami, As::Nobody).await.is_problem(401, "AUTH_REQUIRED");

    cluster.restart_postgres().await;
    closed.until(whoami, As::Token(&ravi), 200).await;
}
