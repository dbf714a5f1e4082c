use std::time::{Duration, Instant};

use serde_json::json;
use velocity_operator::Config;
use velocity_testkit::{PLATFORM, TestDatabase};

use crate::world::World;

/// The number of the promise; fewer where a machine is in a hurry.
fn crowd() -> usize {
    std::env::var("VELOCITY_TEST_CROWD").ok().and_then(|text| text.parse().ok()).unwrap_or(1000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_schemas_at_once_all_become_ready_and_then_cost_next_to_nothing() {
    let world = World::new().await;
    let names: Vec<String> = (0..crowd()).map(|n| format!("object-{n}")).collect();
    let started = Instant::now();
    for (n, name) in names.iter().enumerate() {
        // Every tenth one points to the next, which is not there yet.
        let fields = if n % 10 == 0 {
            json!([{"name": "next", "type": "uuid", "ref": {"object": format!("object-{}", n + 1), "version": "v1"}}])
        } else {
            json!([{"name": "title", "type": "string"}])
        };
        world.create(name, &world.spec(name, &fields)).await;
    }
    let applied = started.elapsed();
    for name in &names {
        world.until_ready(name).await;
    }
    let ready = started.elapsed();
    println!("{} schemas applied in {applied:?}, ready after {ready:?}", names.len());
    assert_eq!(
        world.count("select count(*) from platform.schemas").await,
        i64::try_from(names.len()).unwrap()
    );
    // References are tried again until their targets are there; that is over now.
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.calls.take();
    tokio::time::sleep(Duration::from_secs(15)).await;
    let calls = world.calls.take();
    assert!(calls.len() < 5, "a quarter of twenty a minute: {calls:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_operators_at_once_make_everything_once() {
    let mut world = World::without_operator(TestDatabase::create_from(&PLATFORM).await);
    world.start(Config::default());
    world.start(Config::default());
    let names: Vec<String> = (0..20).map(|n| format!("object-{n}")).collect();
    for name in &names {
        world.create(name, &world.plain(name)).await;
    }
    for name in &names {
        world.until_ready(name).await;
        let events = world.events(name).await;
        let made = events.iter().filter(|(_, note)| note.contains("create table")).count();
        assert_eq!(made, 1, "{name}: {events:?}");
        assert!(events.iter().all(|(reason, _)| reason == "Provisioned"), "{name}: {events:?}");
    }
    world.stop().await;
}
