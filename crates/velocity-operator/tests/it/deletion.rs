use serde_json::json;

use crate::world::World;

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
async fn what_asks_for_its_data_to_be_deleted_is_told_that_it_stays() {
    let world = World::new().await;
    world.create("order", &world.plain("order")).await;
    world.until_ready("order").await;
    world.annotate("order", json!({"velocity.sh/deletion-policy": "delete"})).await;
    world.delete("order").await;
    world.until_gone("order").await;
    assert_eq!(world.count(&format!("select count(*) from {}", world.table("order"))).await, 0);
    let events = world.events("order").await;
    assert!(events.iter().any(|(reason, _)| reason == "DataRetained"), "{events:?}");
}

#[tokio::test]
async fn what_was_never_valid_can_be_deleted_too() {
    let world = World::new().await;
    world.create("broken", &json!({"fields": []})).await;
    world.until_reason("broken", "InvalidSpec").await;
    world.delete("broken").await;
    world.until_gone("broken").await;
}
