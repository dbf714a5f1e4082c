use std::time::Duration;

use serde_json::json;
use velocity_operator::Config;
use velocity_testkit::{PLATFORM, TestDatabase};

use crate::world::{World, condition};

#[tokio::test]
async fn a_deleted_schema_lets_go_of_its_path_and_keeps_its_data() {
    let world = World::new().await;
    world.create("order", &world.plain("order")).await;
    let object = world.until_ready("order").await;
    assert_eq!(object.metadata.finalizers.unwrap(), ["velocity.sh/operator"]);
    let owner = world.database.owner().await;
    let table = world.table("order");
    owner
        .batch_execute(&format!(
            "begin; set local velocity.actor = 'me'; insert into {table} (id, title) values (gen_random_uuid(), 't'); commit"
        ))
        .await
        .unwrap();
    world.delete("order").await;
    world.until_gone("order").await;
    assert_eq!(world.count("select count(*) from platform.claims").await, 0);
    assert_eq!(world.count("select count(*) from platform.schemas").await, 0, "nothing is served for it");
    assert_eq!(world.count(&format!("select count(*) from {table}")).await, 1);
    assert_eq!(world.count(&format!("select count(*) from {table}_history")).await, 1);
    // Whoever comes next has the data.
    world.create("again", &world.plain("order")).await;
    world.until_ready("again").await;
    assert_eq!(world.count(&format!("select count(*) from {table}")).await, 1);
}

#[tokio::test]
async fn data_goes_to_the_trash_when_that_is_approved_and_comes_back_with_its_path() {
    let world = World::new().await;
    world.create("order", &world.plain("order")).await;
    world.until_ready("order").await;
    world.insert("order", "(id, title) values (gen_random_uuid(), 'kept')").await;
    world.annotate("order", json!({"velocity.sh/deletion-policy": "delete"})).await;
    world.delete("order").await;
    let object = world.until("order", |status| !status["planHash"].is_null()).await;
    let status = &object.data["status"];
    assert_eq!(status["phase"], "Terminating");
    assert_eq!(condition(status, "MigrationBlocked")["reason"], "ApprovalNeeded");
    assert_eq!(status["pendingOperations"][0]["class"], "breaking");
    assert_eq!(world.count(&format!("select count(*) from {}", world.table("order"))).await, 1);
    world.until_event("order", "DeletionBlocked").await;

    world.approve("order", "sha256:another").await;
    world.until_event("order", "ApprovalOutdated").await;
    assert_eq!(world.count(&format!("select count(*) from {}", world.table("order"))).await, 1);

    world.approve("order", &world.plan_hash("order").await).await;
    world.until_gone("order").await;
    assert!(world.until_event("order", "MovedToTrash").await.contains("30 days"));
    let there = format!("select count(*) from pg_class where oid = to_regclass('{}')", world.table("order"));
    assert_eq!(world.count(&there).await, 0);
    for of in ["claims", "schemas"] {
        assert_eq!(world.count(&format!("select count(*) from platform.{of}")).await, 0, "{of}");
    }

    world.create("again", &world.plain("order")).await;
    world.until_ready("again").await;
    world.until_event("again", "RestoredFromTrash").await;
    let kept = format!("select count(*) from {} where title = 'kept'", world.table("order"));
    assert_eq!(world.count(&kept).await, 1);
    assert_eq!(world.count(&format!("select count(*) from {}_history", world.table("order"))).await, 1);
}

#[tokio::test]
async fn a_policy_that_is_neither_keeps_data_and_object_until_it_is_corrected() {
    let world = World::new().await;
    world.create("order", &world.plain("order")).await;
    world.until_ready("order").await;
    world.annotate("order", json!({"velocity.sh/deletion-policy": "remove"})).await;
    world.delete("order").await;
    let object = world.until_reason("order", "UnknownDeletionPolicy").await;
    assert_eq!(object.data["status"]["phase"], "Terminating");
    assert!(world.until_event("order", "UnknownDeletionPolicy").await.contains("`remove`"));
    assert_eq!(world.count("select count(*) from platform.claims").await, 1);
    world.annotate("order", json!({"velocity.sh/deletion-policy": "retain"})).await;
    world.until_gone("order").await;
    assert_eq!(world.count(&format!("select count(*) from {}", world.table("order"))).await, 0);
}

#[tokio::test]
async fn a_table_that_others_point_to_is_not_deleted_before_them() {
    let mut world = World::without_operator(TestDatabase::create_from(&PLATFORM).await);
    world.start(Config { data_pause: Duration::from_millis(100), ..Config::default() });
    world.create("customer", &world.plain("customer")).await;
    let fields = json!([{"name": "of", "type": "uuid", "ref": {"object": "customer", "version": "v1"}}]);
    world.create("order", &world.spec("order", &fields)).await;
    world.until_ready("order").await;
    for name in ["order", "customer"] {
        world.annotate(name, json!({"velocity.sh/deletion-policy": "delete"})).await;
    }
    world.delete("customer").await;
    let object = world.until("customer", |status| !status["planHash"].is_null()).await;
    assert_eq!(condition(&object.data["status"], "MigrationBlocked")["reason"], "NotPossible");
    world.approve("customer", &world.plan_hash("customer").await).await;
    world.delete("order").await;
    world.until("order", |status| !status["planHash"].is_null()).await;
    world.approve("order", &world.plan_hash("order").await).await;
    world.until_gone("order").await;
    world.until_gone("customer").await;
}

#[tokio::test]
async fn what_was_never_valid_can_be_deleted_too() {
    let world = World::new().await;
    world.create("broken", &json!({"fields": []})).await;
    world.until_reason("broken", "InvalidSpec").await;
    world.delete("broken").await;
    world.until_gone("broken").await;
}
