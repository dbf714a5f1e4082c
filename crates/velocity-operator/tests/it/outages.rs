use serde_json::json;
use velocity_operator::Config;
use velocity_testkit::{PLATFORM, TestCluster};

use crate::world::{World, condition, hash};

#[tokio::test]
async fn a_database_that_goes_away_is_reported_and_everything_goes_on_when_it_is_back() {
    let cluster = TestCluster::start().await;
    let mut world = World::without_operator(cluster.create_database_with(&PLATFORM).await);
    world.start(Config::default());
    let first = world.plain("order");
    world.create("order", &first).await;
    world.create("invoice", &world.plain("invoice")).await;
    world.until_ready("order").await;
    world.until_ready("invoice").await;

    // A process that was just being forked when Postgres was killed keeps up its sessions for a moment.
    let session = world.database.owner().await;
    cluster.kill_postgres().await;
    while session.simple_query("select").await.is_ok() {}
    let wider = world
        .spec("order", &json!([{"name": "title", "type": "string"}, {"name": "note", "type": "string"}]));
    world.replace("order", &wider).await;
    world.create("late", &world.plain("late")).await;
    world.delete("invoice").await;
    for name in ["order", "late"] {
        let object = world.until_reason(name, "DatabaseUnavailable").await;
        let status = &object.data["status"];
        assert_eq!(condition(status, "Ready")["status"], "False", "{name}");
        assert_eq!(status["phase"], "Provisioning", "{name}");
    }
    let order = world.get("order").await.unwrap();
    assert_eq!(order.data["status"]["specHash"], hash(&first), "what is provisioned is still known");
    assert_eq!(order.data["status"]["observedGeneration"], 1);
    let going = world.until("invoice", |status| status["phase"] == "Terminating").await;
    assert!(going.metadata.finalizers.is_some_and(|all| !all.is_empty()), "its claim is not released yet");

    cluster.restart_postgres().await;
    world.until("order", |status| status["specHash"] == hash(&wider) && status["phase"] == "Ready").await;
    world.until_ready("late").await;
    world.until_gone("invoice").await;
    assert_eq!(world.count("select count(*) from platform.claims").await, 2);
    world.stop().await;
}

#[tokio::test]
async fn a_lock_that_traffic_holds_is_waited_for_and_named() {
    let world = World::new().await;
    world.create("order", &world.plain("order")).await;
    world.until_ready("order").await;
    let holder = world.database.owner().await;
    holder.batch_execute(&format!("begin; select from {}", world.table("order"))).await.unwrap();
    let wider = world
        .spec("order", &json!([{"name": "title", "type": "string"}, {"name": "note", "type": "string"}]));
    world.replace("order", &wider).await;
    let object = world.until_reason("order", "WaitingForLock").await;
    let message = condition(&object.data["status"], "Ready")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("lock"), "{message}");
    holder.batch_execute("commit").await.unwrap();
    world.until("order", |status| status["specHash"] == hash(&wider) && status["phase"] == "Ready").await;
}

#[tokio::test]
async fn an_operator_that_is_started_again_finds_everything_done() {
    let mut world = World::new().await;
    world.create("order", &world.plain("order")).await;
    let before = world.until_ready("order").await;
    world.stop().await;
    world.create("late", &world.plain("late")).await;
    world.start(Config::default());
    world.until_ready("late").await;
    let after = world.get("order").await.unwrap();
    assert_eq!(before.data["status"], after.data["status"]);
}
