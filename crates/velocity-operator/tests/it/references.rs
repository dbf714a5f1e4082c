use serde_json::{Value as Json, json};

use crate::world::{World, condition};

fn pointing(to: &str) -> Json {
    json!([{"name": "title", "type": "string"}, {"name": "other", "type": "uuid", "ref": {"object": to, "version": "v1"}}])
}

const KEYS: &str = "select count(*) from pg_constraint where contype = 'f' and convalidated and connamespace::regnamespace::text = ";

#[tokio::test]
async fn a_reference_waits_for_its_target() {
    let world = World::new().await;
    world.create("order", &world.spec("order", &pointing("customer"))).await;
    let object = world.until_reason("order", "WaitingForReference").await;
    let status = &object.data["status"];
    assert_eq!(status["phase"], "Provisioning");
    assert!(status.get("specHash").is_none_or(Json::is_null), "nothing serves it yet: {status}");
    let message = condition(status, "Ready")["message"].as_str().unwrap().to_owned();
    assert!(message.contains(&world.table("customer")), "{message}");
    assert_eq!(world.count("select count(*) from platform.schemas").await, 0);

    world.create("customer", &world.plain("customer")).await;
    world.until_ready("order").await;
    assert_eq!(world.count(&format!("{KEYS}'{}__shop__sales'", world.org)).await, 1);
}

#[tokio::test]
async fn schemas_that_point_to_each_other_and_to_themselves_all_become_ready() {
    let world = World::new().await;
    world.create("a", &world.spec("a", &pointing("b"))).await;
    world.create("b", &world.spec("b", &pointing("c"))).await;
    world.create("c", &world.spec("c", &pointing("a"))).await;
    world.create("self", &world.spec("self", &pointing("self"))).await;
    for name in ["a", "b", "c", "self"] {
        world.until_ready(name).await;
    }
    assert_eq!(world.count(&format!("{KEYS}'{}__shop__sales'", world.org)).await, 4);
}

#[tokio::test]
async fn a_reference_that_cannot_be_is_blocked_with_the_way_out() {
    let world = World::new().await;
    world.create("customer", &world.plain("customer")).await;
    world.until_ready("customer").await;
    let fields = json!([{"name": "other", "type": "string", "ref": {"object": "customer", "version": "v1", "field": "title"}}]);
    world.create("order", &world.spec("order", &fields)).await;
    let object = world.until("order", |status| status["phase"] == "Blocked").await;
    let blocked = condition(&object.data["status"], "MigrationBlocked");
    assert_eq!(blocked["reason"], "NotPossible");
    let message = blocked["message"].as_str().unwrap().to_owned();
    assert!(message.contains("`title`") && message.contains("unique: true"), "{message}");
    // The target is mended: its table is empty, so the constraint is added at once.
    let unique = json!([{"name": "title", "type": "string", "unique": true}]);
    world.replace("customer", &world.spec("customer", &unique)).await;
    world.until("customer", |status| status["observedGeneration"] == 2 && status["phase"] == "Ready").await;
    world.annotate("order", json!({"touched": "1"})).await;
    world.until_ready("order").await;
}
