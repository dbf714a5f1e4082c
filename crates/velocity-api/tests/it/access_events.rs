//! What happens at the doors is written down.

use std::time::Duration;

use serde_json::json;
use velocity_api::{AccessEvent, AccessEventLimits, AccessEvents};
use velocity_contract::Code;
use velocity_testkit::{PLATFORM, TestCluster};

use crate::app::ORDERS;
use crate::replica::{As, World};

#[tokio::test(flavor = "multi_thread")]
async fn denials_and_uses_of_the_administrators_role_are_there_when_the_process_has_ended() {
    let world = World::new(&[ORDERS]).await;
    let replica = world.replica().await;
    let orders = world.schemas[0].path().endpoint();
    let (ravi, admin) = (world.token("ravi", &["stranger"], &json!({})), world.admin());
    replica.get(&orders, As::Token(&ravi)).await.is_problem(403, "RBAC_DENIED");
    replica.get("/platform/api-keys", As::Token(&ravi)).await.is_problem(403, "RBAC_DENIED");
    replica.get(&orders, As::Token(&admin)).await.is(200);
    let body = json!({ "kind": "actor", "value": "mallory", "reason": "left" });
    let made = replica.post("/platform/revocations", As::Token(&admin), &body).await.is(201);
    let id = made.data()["id"].as_str().unwrap().to_owned();
    let reader = world.token("mia", &["reader"], &json!({}));
    replica.get(&orders, As::Token(&reader)).await.is(200);
    replica.stop().await;

    let mut events = world.events("kind, count, actor, actor_type, operation, code, layer").await;
    events.sort();
    assert_eq!(
        events,
        [
            "ADMINISTRATION 1 root user revoke",
            "ADMIN_USE 1 root user list",
            "ADMIN_USE 1 root user revoke",
            "DENIED 1 ravi user list RBAC_DENIED rbac",
            "DENIED 1 ravi user listApiKeys RBAC_DENIED rbac",
        ]
    );
    let told = world.events("path, detail, array_to_string(record_ids, ','), host(ip)").await;
    assert!(
        told.iter()
            .any(|event| event == &format!("POST /platform/revocations actor mallory: left {id} 127.0.0.1")),
        "{told:?}"
    );
    // The act and the use of the role that it took are of one request.
    let requests = world.events("case when operation = 'revoke' then request_id end").await;
    let of_revoke: Vec<&String> = requests.iter().filter(|id| !id.is_empty()).collect();
    assert_eq!((of_revoke.len(), of_revoke[0]), (2, of_revoke[1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_without_a_credential_is_counted_and_none_of_it_is_missing() {
    let world = World::new(&[ORDERS]).await;
    let replica = world.replica().await;
    let orders = world.schemas[0].path().endpoint();
    let flood = futures::future::join_all((0..100).map(|n| {
        let who = if n % 4 == 0 { As::Token("nonsense") } else { As::Nobody };
        replica.get(&orders, who)
    }));
    for reply in flood.await {
        reply.is(401);
    }
    replica.stop().await;
    let owner = world.database.owner().await;
    let sql =
        "select code, sum(count), count(distinct (detail, ip, date_trunc('second', occurred_at))) = count(*)
         from platform.access_events where kind = 'DENIED' and actor is null group by code order by code";
    let rows = owner.query(sql, &[]).await.unwrap();
    let counts: Vec<(String, i64, bool)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(
        counts,
        [("AUTH_INVALID_TOKEN".to_owned(), 25, true), ("AUTH_REQUIRED".to_owned(), 75, true)],
        "and one row for each reason, address and second"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_events_wait_then_requests_do_and_nothing_is_lost() {
    let cluster = TestCluster::start().await;
    let database = cluster.create_database_with(&PLATFORM).await;
    let events =
        AccessEvents::start(database.api_url(), AccessEventLimits { queued: 2, counted: 2 }).unwrap();
    let event = |n: usize| AccessEvent {
        actor: Some(format!("actor-{n}")),
        code: Some(Code::RbacDenied),
        path: "GET /".to_owned(),
        ..AccessEvent::default()
    };
    events.denied(event(0)).await;
    cluster.kill_postgres().await;
    let pushed = tokio::spawn({
        let events = events.clone();
        async move {
            for n in 1..2000 {
                events.denied(event(n)).await;
            }
        }
    });
    // Far more than the queue and one batch hold: this does not end before the database is back.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!pushed.is_finished());
    cluster.restart_postgres().await;
    pushed.await.unwrap();
    events.drain().await;

    let owner = database.owner().await;
    let sql = "select count(*), count(distinct actor) from platform.access_events";
    let row = owner.query_one(sql, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (2000, 2000), "each of them once");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_that_the_database_refuses_keeps_no_other() {
    let cluster = TestCluster::start().await;
    let database = cluster.create_database_with(&PLATFORM).await;
    let owner = database.owner().await;
    owner
        .batch_execute(
            "alter table platform.access_events add constraint nobody_of_that_name check (actor <> 'odd')",
        )
        .await
        .unwrap();
    let events = AccessEvents::start(database.api_url(), AccessEventLimits::default()).unwrap();
    for actor in ["a", "odd", "b"] {
        events.admin_use(AccessEvent { actor: Some(actor.to_owned()), ..AccessEvent::default() }).await;
    }
    events.drain().await;
    let row =
        owner.query_one("select string_agg(actor, ',' order by actor) from platform.access_events", &[]);
    assert_eq!(row.await.unwrap().get::<_, &str>(0), "a,b");
}
