use std::time::Duration;

use velocity_operator::Config;
use velocity_testkit::{PLATFORM, TestDatabase};

use crate::world::World;

/// Transactions that have written since the server started, as far as transaction ids tell.
async fn written(world: &World) -> i64 {
    world.count("select txid_snapshot_xmax(txid_current_snapshot())").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_schema_costs_three_writes_and_one_look() {
    let world = World::new().await;
    world.create("first", &world.plain("first")).await;
    world.until_ready("first").await;
    world.calls.take();
    world.create("second", &world.plain("second")).await;
    world.until_ready("second").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut calls = world.calls.take();
    calls.retain(|call| !call.contains("/leases/"));
    let count = |what: &str| calls.iter().filter(|call| call.starts_with(what)).count();
    assert_eq!(count("PATCH"), 2, "the finalizer and the status: {calls:?}");
    assert_eq!(count("POST /apis/events.k8s.io/"), 1, "{calls:?}");
    // A second look at what the operator itself has written would ask for what is newest.
    assert_eq!(calls.len(), 3, "{calls:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_operator_asks_little_and_a_look_at_everything_writes_nothing() {
    let database = velocity_testkit::TestCluster::start().await;
    let mut world = World::without_operator(database.create_database_with(&PLATFORM).await);
    world.start(Config { resync: Duration::from_secs(2), ..Config::default() });
    let names: Vec<String> = (0..40).map(|n| format!("object-{n}")).collect();
    for name in &names {
        world.create(name, &world.plain(name)).await;
    }
    for name in &names {
        world.until_ready(name).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let looks = "select coalesce(seq_scan, 0) + coalesce(idx_scan, 0) from pg_stat_user_tables where schemaname = 'platform' and relname = 'claims'";
    let (seen, before) = (world.count(looks).await, written(&world).await);
    world.calls.take();
    tokio::time::sleep(Duration::from_secs(12)).await;
    let calls = world.calls.take();
    // The lease is renewed every ten seconds.
    assert!(calls.len() <= 2 && calls.iter().all(|call| call.contains("/leases/")), "{calls:?}");
    assert!(world.count(looks).await > seen + 100, "everything was looked at again");
    assert_eq!(written(&world).await, before, "nothing was written");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_of_the_request_to_look_again_is_a_look() {
    let world = World::without_operator(TestDatabase::create_from(&PLATFORM).await);
    let mut world = world;
    world.start(Config::default());
    world.create("order", &world.plain("order")).await;
    world.until_ready("order").await;
    for at in 1..4 {
        world.sql(&format!("drop policy velocity_select on {}", world.table("order"))).await;
        world
            .annotate(
                "order",
                serde_json::json!({"velocity.sh/reconcile-at": format!("2026-01-0{at}T00:00:00Z")}),
            )
            .await;
        let made = format!(
            "select count(*) from pg_policy where polrelid = '{}'::regclass and polname = 'velocity_select'",
            world.table("order")
        );
        world.until_count(&made, 1).await;
    }
    world.stop().await;
}
