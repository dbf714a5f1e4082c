use std::time::Duration;

use velocity_operator::Config;
use velocity_testkit::{PLATFORM, TestDatabase};

use crate::world::World;

/// Everything in the catalog that belongs to the domain, with the transaction that wrote it.
async fn fingerprint(world: &World) -> String {
    let sql = format!(
        "with schema as (select oid from pg_namespace where nspname = '{}__shop__sales'),
         relations as (select c.oid, c.xmin from pg_class c join schema s on c.relnamespace = s.oid)
         select string_agg(line, ',' order by line) from (
           select 'class ' || oid || ' ' || xmin from relations
           union all select 'proc ' || p.oid || ' ' || p.xmin from pg_proc p join schema s on p.pronamespace = s.oid
           union all select 'constraint ' || k.oid || ' ' || k.xmin from pg_constraint k join schema s on k.connamespace = s.oid
           union all select 'trigger ' || t.oid || ' ' || t.xmin from pg_trigger t join relations r on t.tgrelid = r.oid
           union all select 'policy ' || p.oid || ' ' || p.xmin from pg_policy p join relations r on p.polrelid = r.oid
           union all select 'comment ' || d.objoid || ' ' || d.objsubid || ' ' || d.xmin from pg_description d join relations r on d.objoid = r.oid
           union all select 'column ' || a.attrelid || ' ' || a.attnum || ' ' || a.xmin from pg_attribute a join relations r on a.attrelid = r.oid
           union all select 'spec ' || s.xmin from platform.schemas s
           union all select 'claim ' || c.xmin from platform.claims c) lines (line)",
        world.org
    );
    world.database.owner().await.query_one(&sql, &[]).await.unwrap().get(0)
}

/// How often the operator has looked for its claims, as far as Postgres has counted.
async fn looks(world: &World) -> i64 {
    world
        .count("select coalesce(seq_scan, 0) + coalesce(idx_scan, 0) from pg_stat_user_tables where schemaname = 'platform' and relname = 'claims'")
        .await
}

async fn versions(world: &World) -> Vec<(String, String)> {
    let objects = world.all().await;
    objects
        .into_iter()
        .map(|object| (object.metadata.name.unwrap(), object.metadata.resource_version.unwrap()))
        .collect()
}

/// Ready and blocked schemas; then many looks at them, by that many operators. Nothing may be written.
async fn looks_that_write_nothing(operators: usize) {
    let mut world = World::without_operator(TestDatabase::create_from(&PLATFORM).await);
    for _ in 0..operators {
        world.start(Config { resync: Duration::from_millis(50), ..Config::default() });
    }
    for name in ["a", "b", "blocked"] {
        world.create(name, &world.plain(name)).await;
        world.until_ready(name).await;
    }
    let other = serde_json::json!([{"name": "title", "type": "integer"}]);
    world.replace("blocked", &world.spec("blocked", &other)).await;
    world.until("blocked", |status| status["phase"] == "Blocked").await;
    // The last status has been seen by every operator once some looks have passed.
    let settle = looks(&world).await;
    while looks(&world).await < settle + 20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (catalog, objects, seen) = (fingerprint(&world).await, versions(&world).await, looks(&world).await);
    while looks(&world).await < seen + 60 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(versions(&world).await, objects, "no object was written");
    assert_eq!(fingerprint(&world).await, catalog, "no catalog row was written");
    let blocked = world.events("blocked").await;
    assert_eq!(blocked.iter().filter(|(reason, _)| reason == "ChangeBlocked").count(), 1, "{blocked:?}");
    world.stop().await;
}

#[tokio::test]
async fn a_look_at_what_is_as_it_should_be_writes_nothing() {
    looks_that_write_nothing(1).await;
}

#[tokio::test]
async fn two_operators_do_not_write_against_each_other() {
    looks_that_write_nothing(2).await;
}
