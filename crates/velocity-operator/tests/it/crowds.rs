use serde_json::json;
use velocity_operator::Config;
use velocity_testkit::{PLATFORM, TestDatabase};

use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_schemas_at_once_all_become_ready() {
    let world = World::new().await;
    let names: Vec<String> = (0..100).map(|n| format!("object-{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        // Every other one points to the next, which is not there yet.
        let fields = if n % 2 == 0 {
            json!([{"name": "next", "type": "uuid", "ref": {"object": format!("object-{}", n + 1), "version": "v1"}}])
        } else {
            json!([{"name": "title", "type": "string"}])
        };
        world.create(name, &world.spec(name, &fields)).await;
    }
    for name in &names {
        world.until_ready(name).await;
    }
    assert_eq!(world.count("select count(*) from platform.schemas").await, 100);
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
