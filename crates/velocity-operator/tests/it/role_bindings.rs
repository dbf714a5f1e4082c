//! What is said of RoleBindings. The CRDs of these worlds let everything pass, so it is the operator that refuses.

use serde_json::{Value as Json, json};
use velocity_contract::RoleBinding;

use crate::world::{World, condition};

async fn status(world: &World, name: &str, phase: &str) -> Json {
    world.until_other::<RoleBinding>(&world.namespace(), name, |status| status["phase"] == phase).await
}

async fn bind(world: &World, name: &str, spec: &Json) {
    world.create_other::<RoleBinding>(&world.namespace(), name, spec).await;
}

async fn with_domain() -> World {
    let world = World::new().await;
    world.create("order", &world.plain("order")).await;
    world.until_ready("order").await;
    world
}

#[tokio::test]
async fn a_binding_in_a_domain_is_in_force_and_one_elsewhere_is_refused() {
    let world = with_domain().await;
    let spec = json!({"actor": "ravi", "roles": ["writer"]});
    bind(&world, "here", &spec).await;
    let ready = status(&world, "here", "Ready").await;
    assert_eq!(ready["observedGeneration"], 1);
    assert_eq!(condition(&ready, "Ready")["status"], "True");
    assert_eq!(condition(&ready, "Expired")["status"], "False");

    world.create_other::<RoleBinding>("nobodys", "lost", &spec).await;
    let refused = world.until_other::<RoleBinding>("nobodys", "lost", |s| s["phase"] == "Refused").await;
    assert_eq!(condition(&refused, "Ready")["reason"], "NoDomain");
    let message = condition(&refused, "Ready")["message"].as_str().unwrap();
    assert!(message.contains("no domain has the namespace `nobodys`"), "{message}");
}

#[tokio::test]
async fn a_binding_before_its_domain_is_in_force_once_the_domain_is_there() {
    let world = World::new().await;
    bind(&world, "early", &json!({"actor": "ravi", "roles": ["writer"]})).await;
    status(&world, "early", "Refused").await;
    world.create("order", &world.plain("order")).await;
    status(&world, "early", "Ready").await;
}

#[tokio::test]
async fn what_would_give_too_much_is_refused_by_the_operator_too() {
    let world = with_domain().await;
    for (name, spec, why) in [
        ("admin", json!({"actor": "ravi", "roles": ["writer", "platform-admin"]}), "platform-admin"),
        ("star-role", json!({"actor": "ravi", "roles": ["*"]}), "roles"),
        ("star-actor", json!({"actor": "*", "roles": ["writer"]}), "actor"),
        ("nothing", json!({"actor": "ravi"}), "gives nothing"),
        ("no-scope", json!({"actor": "ravi", "roles": ["writer"], "scopes": []}), "scopes"),
        (
            "star-scope",
            json!({"actor": "ravi", "roles": ["writer"], "scopes": [{"object": "*"}]}),
            "scopes[0].object",
        ),
        (
            "no-operations",
            json!({"actor": "ravi", "roles": ["writer"], "scopes": [{"object": "order", "operations": []}]}),
            "scopes[0].operations",
        ),
        ("some-day", json!({"actor": "ravi", "roles": ["writer"], "expiresAt": "some day"}), "expiresAt"),
        ("typo", json!({"actor": "ravi", "roles": ["writer"], "expires": "2020-01-01T00:00:00Z"}), "expires"),
        ("shape", json!({"actor": {"name": "ravi"}, "roles": ["writer"]}), "spec: "),
    ] {
        bind(&world, name, &spec).await;
        let refused = status(&world, name, "Refused").await;
        let ready = condition(&refused, "Ready");
        assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("Refused")), "{name}");
        let message = ready["message"].as_str().unwrap();
        assert!(message.contains(why), "{name}: {message}");
        let told = world.until_event(name, "Refused").await;
        assert!(told.contains(why), "{name}: {told}");
    }
    bind(&world, "good", &json!({"actor": "ravi", "roles": ["writer"]})).await;
    status(&world, "good", "Ready").await;
}

#[tokio::test]
async fn a_binding_ends_by_itself_and_that_is_told_once() {
    let mut world = with_domain().await;
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(1500);
    bind(&world, "short", &json!({"actor": "ravi", "roles": ["writer"], "expiresAt": soon.to_string()}))
        .await;
    status(&world, "short", "Ready").await;
    let over = status(&world, "short", "Expired").await;
    assert!(jiff::Timestamp::now() >= soon);
    assert_eq!(condition(&over, "Ready")["reason"], "Expired");
    assert_eq!(condition(&over, "Expired")["status"], "True");

    bind(&world, "past", &json!({"actor": "ravi", "roles": ["writer"], "expiresAt": "2020-01-01T00:00:00Z"}))
        .await;
    status(&world, "past", "Expired").await;
    world.until_event("past", "Expired").await;

    // Who leads next says nothing that was said.
    world.stop().await;
    world.start(velocity_operator::Config::default());
    bind(&world, "after", &json!({"actor": "ravi", "roles": ["writer"]})).await;
    status(&world, "after", "Ready").await;
    for name in ["short", "past"] {
        let told = world.events(name).await.into_iter().filter(|(reason, _)| reason == "Expired").count();
        assert_eq!(told, 1, "{name}");
    }
}

#[tokio::test]
async fn idle_bindings_ask_nothing_of_the_kubernetes_api() {
    let world = with_domain().await;
    let until = "2099-01-01T00:00:00Z";
    bind(&world, "a", &json!({"actor": "a", "roles": ["writer"], "expiresAt": until})).await;
    bind(&world, "b", &json!({"actor": "b", "roles": ["platform-admin"]})).await;
    status(&world, "a", "Ready").await;
    status(&world, "b", "Refused").await;
    world.create_other::<RoleBinding>("nobodys", "c", &json!({"actor": "c", "roles": ["writer"]})).await;
    world.until_other::<RoleBinding>("nobodys", "c", |s| s["phase"] == "Refused").await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    world.calls.take();
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let calls = world.calls.take();
    assert!(calls.iter().all(|call| call.contains("/leases/")), "{calls:?}");
}
