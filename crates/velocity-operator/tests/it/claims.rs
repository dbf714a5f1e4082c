use serde_json::json;

use crate::world::{World, condition};

#[tokio::test]
async fn a_path_belongs_to_the_first_until_it_lets_go() {
    let world = World::new().await;
    world.create("first", &world.plain("order")).await;
    world.until_ready("first").await;
    world.create("second", &world.plain("order")).await;
    let object = world.until_reason("second", "AlreadyClaimed").await;
    let status = &object.data["status"];
    assert_eq!(status["phase"], "Failed");
    assert!(
        status.get("specHash").is_none_or(serde_json::Value::is_null),
        "nothing is provisioned for it: {status}"
    );
    let message = condition(status, "Ready")["message"].as_str().unwrap().to_owned();
    assert!(message.contains(&format!("{}/first", world.namespace())), "{message}");
    assert_eq!(world.until_ready("first").await.data["status"]["phase"], "Ready");
    // The loser's end changes nothing for the holder.
    world.delete("second").await;
    world.until_gone("second").await;
    assert_eq!(world.count("select count(*) from platform.claims").await, 1);
    assert_eq!(world.count("select count(*) from platform.schemas").await, 1);

    world.create("third", &world.plain("order")).await;
    world.until_reason("third", "AlreadyClaimed").await;
    world.delete("first").await;
    world.until_gone("first").await;
    world.until_ready("third").await;
}

#[tokio::test]
async fn paths_that_meet_in_one_namespace_are_told_apart() {
    let world = World::new().await;
    let spec = |app: &str, domain: &str, object: &str| {
        json!({"org": world.org, "app": app, "domain": domain, "object": object, "version": "v1",
            "fields": [{"name": "title", "type": "string"}]})
    };
    let namespace = format!("{}-a-b-c", world.org);
    world.create_in(&namespace, "first", &spec("a-b", "c", "order")).await;
    let ready = |status: &serde_json::Value| status["phase"] == "Ready";
    world.until_in(&namespace, "first", ready).await;
    world.create_in(&namespace, "second", &spec("a", "b-c", "order")).await;
    let claimed = |status: &serde_json::Value| condition(status, "Ready")["reason"] == "AlreadyClaimed";
    let object = world.until_in(&namespace, "second", claimed).await;
    let message = condition(&object.data["status"], "Ready")["message"].as_str().unwrap().to_owned();
    assert!(message.contains(&format!("{}/a-b/c", world.org)), "{message}");
    let org = &world.org;
    let schemas =
        format!("select count(*) from pg_namespace where nspname in ('{org}__a_b__c', '{org}__a__b_c')");
    assert_eq!(world.count(&schemas).await, 1);
    // More of the domain that was first are welcome.
    world.create_in(&namespace, "third", &spec("a-b", "c", "invoice")).await;
    world.until_in(&namespace, "third", ready).await;
}
