use std::time::Duration;

use serde_json::{Value as Json, json};
use velocity_operator::Config;
use velocity_testkit::{PLATFORM, TestDatabase};

use crate::world::{World, condition, hash};

/// A world whose operator looks at data again soon.
async fn impatient() -> World {
    let mut world = World::without_operator(TestDatabase::create_from(&PLATFORM).await);
    world.start(Config { data_pause: Duration::from_millis(100), ..Config::default() });
    world
}

fn typed(world: &World, kind: &str) -> Json {
    world.spec("order", &json!([{"name": "title", "type": kind}]))
}

#[tokio::test]
async fn a_breaking_change_waits_for_the_approval_of_exactly_this_plan() {
    let world = World::new().await;
    let first = world.plain("order");
    world.create("order", &first).await;
    world.until_ready("order").await;
    world.insert("order", "(id, title) values (gen_random_uuid(), '12')").await;
    let numbers = typed(&world, "integer");
    world.replace("order", &numbers).await;
    let object = world.until("order", |status| status["phase"] == "Blocked").await;
    assert_eq!(condition(&object.data["status"], "MigrationBlocked")["reason"], "ApprovalNeeded");

    world.approve("order", "sha256:of-another-plan").await;
    let note = world.until_event("order", "ApprovalOutdated").await;
    assert!(note.contains("sha256:of-another-plan"), "{note}");
    let text = format!("select count(*) from {} where title = '12'::text", world.table("order"));
    assert_eq!(world.count(&text).await, 1);
    assert_eq!(world.get("order").await.unwrap().data["status"]["specHash"], hash(&first));

    world.approve("order", &world.plan_hash("order").await).await;
    let object = world.until("order", |status| status["phase"] == "Ready").await;
    let status = &object.data["status"];
    assert_eq!(status["specHash"], hash(&numbers));
    assert!(status.get("planHash").is_none_or(Json::is_null), "{status}");
    assert_eq!(condition(status, "MigrationBlocked")["status"], "False");
    let number = format!("select count(*) from {} where title = 12::bigint", world.table("order"));
    assert_eq!(world.count(&number).await, 1);
    assert!(
        world
            .events("order")
            .await
            .iter()
            .any(|(reason, note)| reason == "Provisioned" && note.contains("title"))
    );
    assert_eq!(world.count("select count(*) from platform.plans where approved and state = 'done'").await, 1);
}

#[tokio::test]
async fn a_plan_that_changed_meanwhile_needs_a_new_approval() {
    let world = World::new().await;
    let both = json!([{"name": "title", "type": "string"}, {"name": "note", "type": "string"}]);
    world.create("order", &world.spec("order", &both)).await;
    world.until_ready("order").await;
    world.replace("order", &world.plain("order")).await;
    world.until("order", |status| status["phase"] == "Blocked").await;
    let old = world.plan_hash("order").await;
    // Before it is approved, the spec changes: both fields go.
    world.replace("order", &world.spec("order", &json!([{"name": "other", "type": "string"}]))).await;
    world.until("order", |status| status["observedGeneration"] == 3).await;
    world.approve("order", &old).await;
    world.until_event("order", "ApprovalOutdated").await;
    let columns = format!(
        "select count(*) from pg_attribute where attrelid = '{}'::regclass and attname in ('title', 'note')",
        world.table("order")
    );
    assert_eq!(world.count(&columns).await, 2);
}

#[tokio::test]
async fn a_change_waits_for_data_names_it_and_goes_on_by_itself_once_it_fits() {
    let world = impatient().await;
    world.create("order", &world.plain("order")).await;
    world.until_ready("order").await;
    world.insert("order", "(id, title) select gen_random_uuid(), null from generate_series(1, 5)").await;
    world.insert("order", "(id, title) values (gen_random_uuid(), 'there')").await;
    let required = world.spec("order", &json!([{"name": "title", "type": "string", "required": true}]));
    world.replace("order", &required).await;
    let object = world.until("order", |status| status["phase"] == "Blocked").await;
    let blocked = condition(&object.data["status"], "MigrationBlocked");
    assert_eq!(blocked["reason"], "DataDoesNotFit");
    let sample: String = world
        .database
        .owner()
        .await
        .query_one(
            &format!("select id::text from {} where title is null order by id limit 1", world.table("order")),
            &[],
        )
        .await
        .unwrap()
        .get(0);
    let message = blocked["message"].as_str().unwrap();
    assert!(message.contains("5 records") && message.contains(&sample), "{message}");
    let pending = object.data["status"]["pendingOperations"].as_array().unwrap();
    assert!(
        pending
            .iter()
            .any(|one| one["class"] == "needsData" && one["reason"].as_str().unwrap().contains(&sample))
    );
    let table = world.table("order");
    world.sql(&format!("begin; set local velocity.actor = 'me'; update {table} set title = 'given' where title is null; commit")).await;
    world.until("order", |status| status["phase"] == "Ready" && status["specHash"] == hash(&required)).await;
}

#[tokio::test]
async fn what_cannot_be_done_in_place_says_that_no_approval_helps() {
    let world = World::new().await;
    world.create("order", &world.plain("order")).await;
    world.until_ready("order").await;
    world.replace("order", &world.spec("order", &json!([{"name": "id", "type": "integer"}]))).await;
    let object = world.until("order", |status| status["phase"] == "Blocked").await;
    let blocked = condition(&object.data["status"], "MigrationBlocked").clone();
    assert_eq!(blocked["reason"], "NotPossible");
    assert!(blocked["message"].as_str().unwrap().contains("approval does not help"), "{blocked}");
    world.approve("order", &world.plan_hash("order").await).await;
    world.annotate("order", json!({"velocity.sh/reconcile-at": "2026-01-01T00:00:00Z"})).await;
    world.replace("order", &world.plain("order")).await;
    world.until_ready("order").await;
}

#[tokio::test]
async fn a_served_table_keeps_its_shape_while_a_new_reference_waits_for_its_target() {
    let world = World::new().await;
    let first = world.plain("order");
    world.create("order", &first).await;
    world.until_ready("order").await;
    let pointing = world.spec(
        "order",
        &json!([{"name": "title", "type": "string"}, {"name": "of", "type": "uuid", "ref": {"object": "customer", "version": "v1"}}]),
    );
    world.replace("order", &pointing).await;
    let object = world.until_reason("order", "WaitingForReference").await;
    assert_eq!(
        (&object.data["status"]["phase"], &object.data["status"]["specHash"]),
        (&json!("Provisioning"), &json!(hash(&first)))
    );
    let columns = format!(
        "select count(*) from pg_attribute where attrelid = '{}'::regclass and attname = 'of'",
        world.table("order")
    );
    assert_eq!(world.count(&columns).await, 0);
    world.create("customer", &world.plain("customer")).await;
    world.until("order", |status| status["specHash"] == hash(&pointing) && status["phase"] == "Ready").await;
}
