use serde_json::json;
use velocity_operator::Config;
use velocity_testkit::{PLATFORM, TestDatabase};

use crate::world::{World, condition, hash};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemas_whose_locks_are_not_granted_delay_no_other() {
    let world = World::new().await;
    // More than both lanes have places for.
    let stuck: Vec<String> = (0..12).map(|n| format!("stuck-{n}")).collect();
    for name in &stuck {
        world.create(name, &world.plain(name)).await;
    }
    for name in &stuck {
        world.until_ready(name).await;
    }
    let holder = world.database.owner().await;
    let tables: Vec<String> = stuck.iter().map(|name| world.table(&name.replace('-', "_"))).collect();
    holder
        .batch_execute(&format!("begin; lock table {} in access exclusive mode", tables.join(", ")))
        .await
        .unwrap();
    let wider = |name: &str| {
        world.spec(name, &json!([{"name": "title", "type": "string"}, {"name": "note", "type": "string"}]))
    };
    for name in &stuck {
        world.replace(name, &wider(name)).await;
    }
    world.until_reason("stuck-0", "WaitingForLock").await;
    for n in 0..20 {
        let name = format!("free-{n}");
        world.create(&name, &world.plain(&name)).await;
        world.until_ready(&name).await;
    }
    let object = world.get("stuck-0").await.unwrap();
    assert_eq!(object.data["status"]["specHash"], hash(&world.plain("stuck-0")), "the lock is still held");
    holder.batch_execute("commit").await.unwrap();
    for name in &stuck {
        world
            .until(name, |status| status["specHash"] == hash(&wider(name)) && status["phase"] == "Ready")
            .await;
    }
}

/// A large table whose field becomes a number, approved; with one place for such work.
async fn with_a_long_change() -> World {
    let mut world = World::without_operator(TestDatabase::create_from(&PLATFORM).await);
    world.start(Config { jobs: 1, ..Config::default() });
    world.create("large", &world.plain("large")).await;
    world.until_ready("large").await;
    // Without its triggers: events are not what this is about.
    let table = world.table("large");
    world
        .sql(&format!(
            "set session_replication_role = replica;
             insert into {table} (id, title, version, created_at, created_by, updated_at, updated_by, _head_hash)
               select gen_random_uuid(), n::text, 1, now(), 'me', now(), 'me', '' from generate_series(1, 150000) n;
             analyze {table}"
        ))
        .await;
    world.replace("large", &world.spec("large", &json!([{"name": "title", "type": "integer"}]))).await;
    world.until("large", |status| status["phase"] == "Blocked").await;
    world.approve("large", &world.plan_hash("large").await).await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_change_says_that_it_runs_serves_the_old_shape_and_delays_no_other() {
    let world = with_a_long_change().await;
    let first = hash(&world.plain("large"));
    let object = world.until("large", |status| condition(status, "Ready")["reason"] == "Applying").await;
    let status = &object.data["status"];
    assert_eq!((&status["phase"], &status["specHash"]), (&json!("Provisioning"), &json!(first)));
    assert!(status["pendingOperations"].as_array().is_some_and(|all| !all.is_empty()), "{status}");
    for n in 0..5 {
        let name = format!("free-{n}");
        world.create(&name, &world.plain(&name)).await;
        world.until_ready(&name).await;
    }
    let object = world.until("large", |status| status["phase"] == "Ready").await;
    assert!(object.data["status"].get("pendingOperations").is_none_or(|all| all == &json!([])));
    let numbers = format!("select count(*) from {} where title = 150000::bigint", world.table("large"));
    assert_eq!(world.count(&numbers).await, 1);
    assert_eq!(
        world.count(&format!("select count(*) from {}_history", world.table("large"))).await,
        0,
        "no event"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_spec_ends_a_change_that_runs() {
    let world = with_a_long_change().await;
    world.until("large", |status| condition(status, "Ready")["reason"] == "Applying").await;
    // As it was, and one field more.
    let wider = world
        .spec("large", &json!([{"name": "title", "type": "string"}, {"name": "note", "type": "string"}]));
    world.replace("large", &wider).await;
    let object = world
        .until("large", |status| {
            status["observedGeneration"] == 3 && matches!(status["phase"].as_str(), Some("Ready" | "Blocked"))
        })
        .await;
    // Where the change was quicker than the newer spec, going back is a breaking change as any.
    if object.data["status"]["phase"] == "Blocked" {
        world.approve("large", &world.plan_hash("large").await).await;
    }
    world.until("large", |status| status["specHash"] == hash(&wider) && status["phase"] == "Ready").await;
    let texts = format!("select count(*) from {} where title = '150000'::text", world.table("large"));
    assert_eq!(world.count(&texts).await, 1);
    let left = format!(
        "select count(*) from pg_attribute where attrelid = '{}'::regclass and attname like '\\_new\\_%' and not attisdropped",
        world.table("large")
    );
    assert_eq!(world.count(&left).await, 0);
}
