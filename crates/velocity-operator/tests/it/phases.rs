use serde_json::json;

use crate::world::{World, condition, hash};

#[tokio::test]
async fn a_new_schema_becomes_ready_and_says_where_it_is() {
    let world = World::new().await;
    let spec = world.plain("order");
    world.create("order", &spec).await;
    let object = world.until_ready("order").await;
    let status = &object.data["status"];
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!(status["specHash"], hash(&spec));
    assert_eq!(status["table"], world.table("order"));
    assert_eq!(status["endpoint"], format!("/api/{}/shop/sales/order/v1", world.org));
    assert!(status.get("pendingOperations").is_none_or(|pending| pending == &json!([])));
    for kind in ["Ready", "TableReady", "PoliciesReady", "HistoryReady"] {
        assert_eq!(condition(status, kind)["status"], "True", "{kind}");
        assert_eq!(condition(status, kind)["observedGeneration"], 1, "{kind}");
    }
    assert_eq!(condition(status, "MigrationBlocked")["status"], "False");
    let events = world.events("order").await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(
        events[0].0 == "Provisioned"
            && events[0].1.contains(&format!("create table {}", world.table("order")))
    );
    assert_eq!(world.count(&format!("select count(*) from {}", world.table("order"))).await, 0);
    let stored = format!("select count(*) from platform.schemas where spec_hash = '{}'", hash(&spec));
    assert_eq!(world.count(&stored).await, 1);
}

#[tokio::test]
async fn an_addition_is_applied_and_the_new_spec_is_what_is_provisioned() {
    let world = World::new().await;
    world.create("order", &world.plain("order")).await;
    let first = world.until_ready("order").await;
    let wider = world
        .spec("order", &json!([{"name": "title", "type": "string"}, {"name": "note", "type": "string"}]));
    world.replace("order", &wider).await;
    let second = world.until("order", |status| status["specHash"] == hash(&wider)).await;
    assert_eq!(second.data["status"]["observedGeneration"], 2);
    let time = |object: &kube::api::DynamicObject| {
        condition(&object.data["status"], "Ready")["lastTransitionTime"].clone()
    };
    assert_eq!(time(&first), time(&second), "it was ready all the time");
    assert_eq!(world.count(&format!("select count(note) from {}", world.table("order"))).await, 0);
    let events = world.events("order").await;
    assert!(events.iter().any(|(_, note)| note.contains("add column note (text)")), "{events:?}");
}

#[tokio::test]
async fn a_blocked_change_keeps_what_is_provisioned_and_names_every_statement() {
    let world = World::new().await;
    let first = world.plain("order");
    world.create("order", &first).await;
    world.until_ready("order").await;
    let other = world
        .spec("order", &json!([{"name": "title", "type": "integer"}, {"name": "note", "type": "string"}]));
    world.replace("order", &other).await;
    let object = world.until("order", |status| status["phase"] == "Blocked").await;
    let status = &object.data["status"];
    assert_eq!((&status["specHash"], &status["observedGeneration"]), (&json!(hash(&first)), &json!(2)));
    let pending = status["pendingOperations"].as_array().unwrap();
    let breaking: Vec<&serde_json::Value> = pending.iter().filter(|one| one["class"] == "breaking").collect();
    assert!(
        !breaking.is_empty() && breaking.len() < pending.len(),
        "all of the change is shown: {pending:?}"
    );
    assert_eq!(breaking[0]["summary"], "change title from text to bigint");
    for one in pending {
        for key in ["summary", "class", "lock", "sql", "reason"] {
            assert!(one[key].as_str().is_some_and(|text| !text.is_empty()), "{key} of {one}");
        }
    }
    assert!(status["planHash"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(condition(status, "Ready")["reason"], "ChangeBlocked");
    assert_eq!(condition(status, "MigrationBlocked")["status"], "True");
    assert_eq!(condition(status, "TableReady")["status"], "True", "the old table is there");
    let events = world.events("order").await;
    assert!(
        events.iter().any(|(reason, note)| reason == "ChangeBlocked" && note.contains("title")),
        "{events:?}"
    );
    let columns = format!(
        "select count(*) from pg_attribute where attrelid = '{}'::regclass and attname = 'note'",
        world.table("order")
    );
    assert_eq!(world.count(&columns).await, 0, "not even the safe part");

    world.replace("order", &first).await;
    let object = world.until_ready("order").await;
    let status = &object.data["status"];
    assert!(status.get("planHash").is_none_or(serde_json::Value::is_null), "{status}");
    assert!(status.get("pendingOperations").is_none_or(|pending| pending == &json!([])), "{status}");
    assert_eq!(condition(status, "MigrationBlocked")["status"], "False");
}

#[tokio::test]
async fn objects_that_cannot_be_read_fail_alone_and_are_told_everything_that_is_wrong() {
    let world = World::new().await;
    let broken = [
        ("number", json!({"fields": 3})),
        ("empty", json!({})),
        ("deep", world.spec("deep", &json!([{"name": "a", "type": {"b": []}}, 7, null]))),
        (
            "meaning",
            world
                .spec("meaning", &json!([{"name": "a", "type": "enum"}, {"name": "xmin", "type": "string"}])),
        ),
        ("unknown", {
            let mut spec = world.plain("unknown");
            spec["feilds"] = json!([]);
            spec
        }),
    ];
    for (name, spec) in &broken {
        world.create(name, spec).await;
    }
    world.create("order", &world.plain("order")).await;
    world.until_ready("order").await;
    for (name, _) in &broken {
        let object = world.until_reason(name, "InvalidSpec").await;
        let status = &object.data["status"];
        assert_eq!(
            (&status["phase"], &status["observedGeneration"]),
            (&json!("Failed"), &json!(1)),
            "{name}"
        );
        assert!(condition(status, "Ready")["message"].as_str().unwrap().contains("spec."), "{name}");
    }
    let meaning = world.until_reason("meaning", "InvalidSpec").await;
    let message = condition(&meaning.data["status"], "Ready")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("spec.fields[0].enum") && message.contains("spec.fields[1].name"), "{message}");
    // Mended, it is like any other.
    world.replace("number", &world.plain("number")).await;
    world.until_ready("number").await;
}

#[tokio::test]
async fn a_spec_that_turns_invalid_leaves_what_is_provisioned() {
    let world = World::new().await;
    let first = world.plain("order");
    world.create("order", &first).await;
    world.until_ready("order").await;
    world.replace("order", &world.spec("order", &json!([{"name": "a--b", "type": "string"}]))).await;
    let object = world.until("order", |status| status["phase"] == "Failed").await;
    let status = &object.data["status"];
    assert_eq!((&status["specHash"], &status["observedGeneration"]), (&json!(hash(&first)), &json!(2)));
    assert_eq!(condition(status, "TableReady")["status"], "True");
    assert_eq!(world.count("select count(*) from platform.schemas").await, 1);
}

#[tokio::test]
async fn a_schema_in_another_namespace_than_its_path_says_is_told_the_right_one() {
    let world = World::new().await;
    world.create_in("default", "order", &world.plain("order")).await;
    let wrong = |status: &serde_json::Value| condition(status, "Ready")["reason"] == "InvalidSpec";
    let object = world.until_in("default", "order", wrong).await;
    let message = condition(&object.data["status"], "Ready")["message"].as_str().unwrap().to_owned();
    assert!(message.contains(&world.namespace()), "{message}");
}

#[tokio::test]
async fn a_statement_that_postgres_refuses_is_reported_and_tried_again() {
    let world = World::new().await;
    // Something of the name is there already, and is no table.
    let owner = world.database.owner().await;
    let schema = world.table("order").split('.').next().unwrap().to_owned();
    owner
        .batch_execute(&format!(
            "create schema {schema}; create view {} as select 1 as a",
            world.table("order")
        ))
        .await
        .unwrap();
    world.create("order", &world.plain("order")).await;
    let object = world.until_reason("order", "StatementFailed").await;
    assert_eq!(object.data["status"]["phase"], "Failed");
    let message = condition(&object.data["status"], "Ready")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("create table") && message.contains("already exists"), "{message}");
    owner.batch_execute(&format!("drop view {}", world.table("order"))).await.unwrap();
    world.until_ready("order").await;
}
