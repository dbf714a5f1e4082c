//! Partitions of the history: made ahead, and never in the way.

use tokio_postgres::Client;
use velocity_store::ddl::read;
use velocity_testkit::{PLATFORM, TestDatabase, schema};

use crate::planned::{apply, plan_in};

const ITEM: &str = r"
org: any
app: partitions
domain: test
object: item
version: v1
fields:
  - {name: title, type: string}
";

/// The database's own month, and the two after it.
async fn months(owner: &Client) -> [(i32, u32); 3] {
    let sql = "select extract(year from m)::int, extract(month from m)::int from generate_series(
        date_trunc('month', now() at time zone 'UTC'), now() at time zone 'UTC' + interval '2 months', interval '1 month') m";
    let rows = owner.query(sql, &[]).await.unwrap();
    [0, 1, 2].map(|n| (rows[n].get(0), u32::try_from(rows[n].get::<_, i32>(1)).unwrap()))
}

async fn insert(owner: &Client) {
    let sql = "begin; set local velocity.actor = 'me';
        insert into any__partitions__test.item_v1 (id, title) values (gen_random_uuid(), 't'); commit";
    owner.batch_execute(sql).await.unwrap();
}

async fn places(owner: &Client) -> Vec<String> {
    let sql =
        "select distinct tableoid::regclass::text from any__partitions__test.item_v1_history order by 1";
    owner.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

fn partition((year, month): (i32, u32)) -> String {
    format!("item_v1_history_{year:04}_{month:02}")
}

#[tokio::test]
async fn events_go_to_their_months_partition() {
    let database = TestDatabase::create_from(&PLATFORM).await;
    let mut owner = database.owner().await;
    let (schema, months) = (schema(ITEM), months(&owner).await);
    let plan = plan_in(&owner, &schema, months[0]).await;
    apply(&mut owner, &schema, &plan).await.unwrap();
    let live = read(&owner, &schema).await.unwrap();
    for month in months {
        assert!(live.partitions.contains(&partition(month)), "{month:?}: {:?}", live.partitions);
    }
    insert(&owner).await;
    assert_eq!(places(&owner).await, [format!("any__partitions__test.{}", partition(months[0]))]);
    assert!(plan_in(&owner, &schema, months[0]).await.is_empty());
}

#[tokio::test]
async fn a_month_that_began_without_an_operator_does_not_wedge_it() {
    let database = TestDatabase::create_from(&PLATFORM).await;
    let mut owner = database.owner().await;
    let (schema, months) = (schema(ITEM), months(&owner).await);
    // The last time an operator looked was years ago; this month's events are in the default partition.
    let plan = plan_in(&owner, &schema, (2013, 1)).await;
    apply(&mut owner, &schema, &plan).await.unwrap();
    insert(&owner).await;
    assert_eq!(places(&owner).await, ["any__partitions__test.item_v1_history_default"]);

    let plan = plan_in(&owner, &schema, months[0]).await;
    assert_eq!(plan.steps.len(), 2, "the coming months: {:#?}", plan.steps);
    apply(&mut owner, &schema, &plan).await.unwrap();
    assert_eq!(read(&owner, &schema).await.unwrap().default_months, [months[0]].into());
    assert!(plan_in(&owner, &schema, months[0]).await.is_empty());
    insert(&owner).await;
    assert_eq!(places(&owner).await, ["any__partitions__test.item_v1_history_default"]);
}
