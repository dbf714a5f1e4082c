use serde_json::json;

use crate::world::{World, condition, hash};

async fn look_again(world: &World, at: &str) {
    world.annotate("order", json!({"velocity.sh/reconcile-at": at})).await;
}

#[tokio::test]
async fn what_hands_took_away_is_made_again_and_told() {
    let world = World::new().await;
    world.create("order", &world.plain("order")).await;
    world.until_ready("order").await;
    let table = world.table("order");
    world
        .sql(&format!(
            "drop policy velocity_select on {table}; alter table {table} disable row level security; alter table {table} drop column title"
        ))
        .await;
    look_again(&world, "2026-01-01T00:00:00Z").await;
    let note = world.until_event("order", "DriftRepaired").await;
    assert!(note.contains("velocity_select") && note.contains("title"), "{note}");
    let object =
        world.until("order", |status| condition(status, "Drifted")["reason"] == "DriftRepaired").await;
    assert_eq!(object.data["status"]["phase"], "Ready");
    assert_eq!(condition(&object.data["status"], "Drifted")["status"], "False");
    let policies = format!(
        "select count(*) from pg_policy where polrelid = '{table}'::regclass and polname = 'velocity_select'"
    );
    assert_eq!(world.count(&policies).await, 1);
    let secured = format!("select count(*) from pg_class where oid = '{table}'::regclass and relrowsecurity");
    assert_eq!(world.count(&secured).await, 1);
    assert_eq!(world.count(&format!("select count(title) from {table}")).await, 0);
}

#[tokio::test]
async fn guards_are_repaired_also_while_the_rest_of_the_repair_waits() {
    let world = World::new().await;
    world.create("order", &world.plain("order")).await;
    world.until_ready("order").await;
    let table = world.table("order");
    // The type of a column is changed by hand: changing it back is a breaking change.
    world
        .sql(&format!(
            "alter table {table} alter column title type bigint using null; drop policy velocity_select on {table}"
        ))
        .await;
    look_again(&world, "2026-01-01T00:00:00Z").await;
    let object = world.until("order", |status| status["phase"] == "Blocked").await;
    assert_eq!(condition(&object.data["status"], "Drifted")["status"], "True");
    assert_eq!(condition(&object.data["status"], "Drifted")["reason"], "RepairBlocked");
    let policies = format!(
        "select count(*) from pg_policy where polrelid = '{table}'::regclass and polname = 'velocity_select'"
    );
    assert_eq!(world.count(&policies).await, 1);
    world.approve("order", &world.plan_hash("order").await).await;
    world.until("order", |status| status["phase"] == "Ready").await;
    let text = format!(
        "select count(*) from pg_attribute where attrelid = '{table}'::regclass and attname = 'title' and atttypid = 'text'::regtype"
    );
    assert_eq!(world.count(&text).await, 1);
}

#[tokio::test]
async fn what_is_foreign_is_told_once_left_alone_and_removed_when_someone_asks_for_it() {
    let world = World::new().await;
    let spec = world.plain("order");
    world.create("order", &spec).await;
    world.until_ready("order").await;
    let table = world.table("order");
    world
        .sql(&format!("create index by_hand on {table} (title); alter table {table} add column extra text"))
        .await;
    look_again(&world, "2026-01-01T00:00:00Z").await;
    let object = world.until("order", |status| condition(status, "Drifted")["status"] == "True").await;
    let status = &object.data["status"];
    assert_eq!((&status["phase"], &status["specHash"]), (&json!("Ready"), &json!(hash(&spec))));
    let message = condition(status, "Drifted")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("by_hand") && message.contains("extra"), "{message}");
    let plan = message.split("velocity.sh/fix-drift=").nth(1).unwrap().to_owned();
    world.until_event("order", "ForeignObjects").await;

    look_again(&world, "2026-01-02T00:00:00Z").await;
    world.annotate("order", json!({"velocity.sh/fix-drift": "sha256:another"})).await;
    // A look that has certainly come after these: another schema's.
    world.create("other", &world.plain("other")).await;
    world.until_ready("other").await;
    let events = world.events("order").await;
    assert_eq!(events.iter().filter(|(reason, _)| reason == "ForeignObjects").count(), 1, "{events:?}");
    let there = format!(
        "select count(*) from pg_attribute where attrelid = '{table}'::regclass and attname = 'extra'"
    );
    assert_eq!(world.count(&there).await, 1);

    // Removing a column is a breaking change: that has to be approved, as any.
    world.annotate("order", json!({"velocity.sh/fix-drift": plan})).await;
    world.until("order", |status| status["phase"] == "Blocked").await;
    assert_eq!(world.plan_hash("order").await, plan);
    world.approve("order", &plan).await;
    let object = world.until("order", |status| status["phase"] == "Ready").await;
    assert_eq!(condition(&object.data["status"], "Drifted")["status"], "False");
    assert_eq!(world.count(&there).await, 0);
    assert_eq!(world.count("select count(*) from pg_class where relname = 'by_hand'").await, 0);
}
