//! Tables that are deleted, and come back.

use std::collections::BTreeMap;

use velocity_sql::ddl::{Approval, Decision, delete_plan};
use velocity_store::ddl::{Change, apply, read};

use super::world::World;

async fn delete(world: &mut World, schema: &velocity_schema::Schema) {
    let live = read(&world.owner, schema).await.unwrap();
    let plan = delete_plan(schema.path(), &live);
    let hash = plan.hash();
    let approval = Approval { named: Some(hash), ..Approval::default() };
    let Decision::Apply(plan) = plan.decide(&BTreeMap::default(), &approval) else {
        panic!("it is approved")
    };
    let path = schema.path().to_string();
    let change = Change {
        plan: &plan,
        path: &path,
        spec_hash: "deleted",
        approved: true,
        publication: None,
        operator: "test",
        progress: None,
    };
    apply(&mut world.owner, &change).await.unwrap_or_else(|e| panic!("{e:?}"));
}

const FIELDS: &[&str] = &[
    "{name: v, type: string, maxLength: 9, unique: true}",
    "{name: up, type: uuid, ref: {object: item, version: v1}}",
    "{name: w, type: integer, required: true, default: 1, filterable: true}",
];

#[tokio::test]
async fn a_deleted_table_comes_back_with_its_rows_and_events_also_as_another_version_of_the_spec() {
    let mut world = World::new("deleted").await;
    let schema = world.item(FIELDS, "");
    world.begin(&schema).await;
    world
        .write(&format!(
            "insert into {} (id, v) select md5(i::text)::uuid, i from generate_series(1, 9) i",
            world.table()
        ))
        .await;
    let (rows, events) =
        (world.rows(&format!("select * from {} order by id", world.table())).await, world.events().await);
    delete(&mut world, &schema).await;
    assert!(world.plan(&schema).await.again);
    world.to(&schema).await;
    assert_eq!(world.rows(&format!("select * from {} order by id", world.table())).await, rows);
    assert_eq!(world.events().await, events);
    world.writes_work().await;
    delete(&mut world, &schema).await;
    let changed = world.item(
        &[
            FIELDS[0],
            "{name: up, type: uuid}",
            "{name: w2, renamedFrom: w, type: integer}",
            "{name: x, type: date, filterable: true}",
        ],
        "",
    );
    world.to(&changed).await;
    world.writes_work().await;
    delete(&mut world, &changed).await;
    world.sql("update platform.trash set expires_at = now() - interval '1 day'").await;
    velocity_store::platform::sweep_trash(&world.owner).await.unwrap();
    world.to(&schema).await;
    assert_eq!(world.one(&format!("select count(*) from {}", world.table())).await, "0");
}

#[tokio::test]
async fn a_table_deleted_twice_comes_back_as_the_later_one_and_with_its_dropped_field() {
    let mut world = World::new("deleted-twice").await;
    let schema = world.item(FIELDS, "");
    world.begin(&schema).await;
    world.write(&format!("insert into {} (id, v) values (md5('1')::uuid, 'kept')", world.table())).await;
    world.approved(&world.item(&FIELDS[1..], "")).await;
    delete(&mut world, &schema).await;
    world.to(&schema).await;
    assert_eq!(world.one(&format!("select v from {}", world.table())).await, "kept");
    world.writes_work().await;
}
