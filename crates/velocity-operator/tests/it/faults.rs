use std::time::Duration;

use serde_json::{Value as Json, json};
use velocity_operator::Config;
use velocity_testkit::{PLATFORM, TestCluster, TestDatabase};

use crate::world::{World, condition, hash};

/// An operator that comes back under its name, and looks at data again soon.
fn same() -> Config {
    let mut config = Config { data_pause: Duration::from_millis(100), ..Config::default() };
    config.lease.identity = "same".to_owned();
    config
}

fn first(world: &World) -> Json {
    world.spec(
        "order",
        &json!([{"name": "title", "type": "string"}, {"name": "old", "type": "string"}, {"name": "gone", "type": "string"}]),
    )
}

/// A column of each kind of change: converted, renamed, dropped, added, with an index, required.
fn second(world: &World) -> Json {
    world.spec(
        "order",
        &json!([
            {"name": "title", "type": "integer", "filterable": true, "required": true},
            {"name": "new", "type": "string", "renamedFrom": "old", "unique": true},
            {"name": "note", "type": "string", "default": "none", "maxLength": 20}
        ]),
    )
}

/// The first spec with records, the second one blocked and approved; no operator runs.
async fn approved(world: &mut World) {
    world.start(same());
    world.create("order", &first(world)).await;
    world.until_ready("order").await;
    world.insert("order", "(id, title, old, gone) select gen_random_uuid(), n::text, 'old ' || n, 'gone ' || n from generate_series(1, 3000) n").await;
    world.replace("order", &second(world)).await;
    world.until("order", |status| status["phase"] == "Blocked").await;
    let plan = world.plan_hash("order").await;
    world.stop().await;
    world.approve("order", &plan).await;
}

/// Everything is as the second spec says, and no record, no event has changed its meaning.
async fn arrived(world: &World) {
    let wanted = hash(&second(world));
    world.until("order", |status| status["phase"] == "Ready" && status["specHash"] == wanted).await;
    let table = world.table("order");
    let right =
        format!("select count(*) from {table} where new = 'old ' || title and version = 1 and note = 'none'");
    assert_eq!(world.count(&right).await, 3000);
    assert_eq!(world.count(&format!("select count(*) from {table}_history")).await, 3000);
    let invalid =
        format!("select count(*) from pg_index where indrelid = '{table}'::regclass and not indisvalid");
    assert_eq!(world.count(&invalid).await, 0);
    let unchecked = format!(
        "select count(*) from pg_constraint where conrelid = '{table}'::regclass and not convalidated"
    );
    assert_eq!(world.count(&unchecked).await, 0);
    let left = format!(
        "select count(*) from pg_attribute where attrelid = '{table}'::regclass and attname like '\\_new\\_%' and not attisdropped"
    );
    assert_eq!(world.count(&left).await, 0);
    // There is nothing left to do, and nobody takes it for drift.
    let object = world.get("order").await.unwrap();
    assert_eq!(condition(&object.data["status"], "Drifted")["status"], "False");
    assert!(!world.events("order").await.iter().any(|(reason, _)| reason == "DriftRepaired"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_is_killed_again_and_again_at_any_moment_comes_to_the_end() {
    let mut world = World::without_operator(TestDatabase::create_from(&PLATFORM).await);
    approved(&mut world).await;
    let wanted = hash(&second(&world));
    let mut kills = 0;
    // Each time a little later: between all statements, and within them.
    for pause in (5..).step_by(3) {
        world.start(same());
        tokio::time::sleep(Duration::from_millis(pause)).await;
        world.kill().await;
        kills += 1;
        if world.get("order").await.unwrap().data["status"]["specHash"] == wanted {
            break;
        }
    }
    assert!(kills > 5, "it was killed {kills} times");
    world.start(same());
    arrived(&world).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_killed_again_and_again_is_no_reason_not_to_come_to_the_end() {
    // Not synced to the disk: a process that is killed loses nothing by that.
    let cluster = TestCluster::start().await;
    let mut world = World::without_operator(cluster.create_database_with(&PLATFORM).await);
    approved(&mut world).await;
    world.start(same());
    for pause in [20, 60, 120, 200] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        cluster.kill_postgres().await;
        cluster.restart_postgres().await;
    }
    arrived(&world).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_being_made_when_the_operator_is_killed_is_made_whole() {
    let mut world = World::without_operator(TestDatabase::create_from(&PLATFORM).await);
    for (n, pause) in (5..150).step_by(12).enumerate() {
        let name = format!("object-{n}");
        world.create(&name, &world.plain(&name)).await;
        world.start(same());
        tokio::time::sleep(Duration::from_millis(pause)).await;
        world.kill().await;
    }
    world.start(same());
    for n in 0..13 {
        world.until_ready(&format!("object-{n}")).await;
    }
    world.stop().await;
}
