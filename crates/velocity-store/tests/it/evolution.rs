//! A schema's next version applied to a table with rows.

use tokio_postgres::Client;
use velocity_schema::Schema;
use velocity_store::ddl::apply;
use velocity_testkit::{PLATFORM, TestDatabase, provision, schema};

use crate::planned::{MONTH, migrate, plan, plan_in};

const TABLE: &str = "any__evolution__test.item_v1";
const HISTORY: &str = "any__evolution__test.item_v1_history";

const FIRST: &str = r"
org: any
app: evolution
domain: test
object: item
version: v1
fields:
  - {name: title, type: string, required: true, maxLength: 40}
  - {name: amount, type: number, min: 0}
access: {roles: {create: [writer], read: [writer]}}
";

const SECOND: &str = r"
org: any
app: evolution
domain: test
object: item
version: v1
fields:
  - {name: title, type: string, required: true, maxLength: 40, filterable: true}
  - {name: amount, type: number, min: 0, default: 5}
  - {name: note, type: string, maxLength: 9}
  - {name: level, type: enum, enum: [low, high], required: true, default: low}
  - {name: tags, type: array, items: string, filterable: true}
  - {name: parent, type: uuid, ref: {object: item, version: v1}}
  - {name: owner, type: uuid, ref: {object: owner, version: v1}}
indexes:
  - {fields: [level, -amount]}
access: {roles: {create: [writer], read: [writer, reader]}}
";

const OWNER: &str = r"
org: any
app: evolution
domain: test
object: owner
version: v1
fields:
  - {name: name, type: string}
";

async fn write(owner: &Client, sql: &str) {
    owner.batch_execute(&format!("begin; set local velocity.actor = 'me'; {sql}; commit")).await.unwrap();
}

/// A database with the first version and rows in it.
async fn first() -> (TestDatabase, Client) {
    let database = TestDatabase::create_from(&PLATFORM).await;
    provision(&database, &schema(OWNER)).await;
    provision(&database, &schema(FIRST)).await;
    let owner = database.owner().await;
    let sql = format!(
        "insert into {TABLE} (id, title, amount) select gen_random_uuid(), 't' || n, n from generate_series(1, 50) n"
    );
    write(&owner, &sql).await;
    (database, owner)
}

async fn count(owner: &Client, sql: &str) -> i64 {
    owner.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn additions_reach_a_table_with_rows_and_everything_is_valid_afterwards() {
    let (_database, mut owner) = first().await;
    let applied = migrate(&mut owner, &schema(SECOND)).await;
    assert!(applied.steps.iter().any(|step| step.alone), "indexes are built beside the traffic");
    let unchecked = "select count(*) from pg_constraint where not convalidated and connamespace = 'any__evolution__test'::regnamespace";
    assert_eq!(count(&owner, unchecked).await, 0);
    let invalid =
        "select count(*) from pg_index x join pg_class c on c.oid = x.indexrelid where not x.indisvalid";
    assert_eq!(count(&owner, invalid).await, 0);
    assert_eq!(
        count(&owner, &format!("select count(*) from {TABLE} where level = 'low' and note is null")).await,
        50
    );
    write(&owner, &format!("update {TABLE} set level = 'high', note = 'n' where title = 't1'")).await;
    let event = owner
        .query_one(&format!("select changed, state ->> 'note' from {HISTORY} where version = 2"), &[])
        .await
        .unwrap();
    assert_eq!(
        (event.get::<_, Vec<String>>(0), event.get::<_, &str>(1)),
        (vec!["note".into(), "level".into()], "n")
    );
    write(&owner, &format!("insert into {TABLE} (id, title) values (gen_random_uuid(), 'new')")).await;
    assert_eq!(
        count(&owner, &format!("select count(*) from {TABLE} where title = 'new' and amount = 5")).await,
        1
    );
    for broken in
        ["note = 'longer than nine'", "level = 'other'", "owner = gen_random_uuid()", "tags = array[null]"]
    {
        let sql = format!("begin; set local velocity.actor = 'me'; update {TABLE} set {broken}; commit");
        assert!(owner.batch_execute(&sql).await.is_err(), "{broken}");
        owner.batch_execute("rollback").await.unwrap();
    }
}

#[tokio::test]
async fn a_change_stopped_after_any_step_goes_on_where_it_was() {
    let (_database, mut owner) = first().await;
    let wanted = schema(SECOND);
    let all = plan(&owner, &wanted).await.steps.len();
    assert!(all > 10, "{all}");
    // One step at a time, with a look at the catalog and a writer between any two: as if killed each time.
    for done in 0..=2 * all {
        let mut next = plan(&owner, &wanted).await;
        assert!(next.blocked.is_empty() && next.waiting.is_empty(), "after {done}: {:#?}", next.blocked);
        if next.is_empty() {
            assert!(done >= all, "{done} of {all}");
            return;
        }
        next.steps.truncate(1);
        apply(&mut owner, &next).await.unwrap_or_else(|e| panic!("{:?}: {e:?}", next.steps));
        write(&owner, &format!("insert into {TABLE} (id, title) values (gen_random_uuid(), 'between')"))
            .await;
        write(&owner, &format!("update {TABLE} set amount = coalesce(amount, 0) + 1 where title = 't1'"))
            .await;
    }
    panic!("it does not come to an end");
}

#[tokio::test]
async fn a_reference_whose_target_comes_later_is_enforced_then() {
    let database = TestDatabase::create_from(&PLATFORM).await;
    provision(&database, &schema(FIRST)).await;
    let mut owner = database.owner().await;
    write(&owner, &format!("insert into {TABLE} (id, title) values (gen_random_uuid(), 't')")).await;
    let wanted = schema(SECOND);
    let early = plan(&owner, &wanted).await;
    assert_eq!(early.waiting.len(), 1);
    apply(&mut owner, &early).await.unwrap();
    assert!(plan(&owner, &wanted).await.is_empty());
    provision(&database, &schema(OWNER)).await;
    let late = migrate(&mut owner, &wanted).await;
    assert!(late.waiting.is_empty() && !late.steps.is_empty());
    let sql = format!("begin; set local velocity.actor = 'me'; update {TABLE} set owner = gen_random_uuid()");
    assert_eq!(owner.batch_execute(&sql).await.unwrap_err().code().unwrap().code(), "23503");
}

#[tokio::test]
async fn values_that_a_late_reference_would_break_block_it() {
    let (_database, mut owner) = first().await;
    let loose = SECOND
        .replace("ref: {object: owner, version: v1}", "ref: {object: owner, version: v1, enforce: false}");
    migrate(&mut owner, &schema(&loose)).await;
    write(&owner, &format!("update {TABLE} set owner = gen_random_uuid() where title = 't1'")).await;
    let plan = plan(&owner, &schema(SECOND)).await;
    assert_eq!(plan.blocked.len(), 1, "{:#?}", plan.blocked);
    assert!(plan.blocked[0].summary.starts_with("add foreign key owner"));
    assert!(plan.steps.is_empty());
}

/// Leaves behind what a cancelled `create index concurrently` leaves.
async fn interrupt(database: &TestDatabase, owner: &Client, sql: &str) {
    let (writer, builder) = (database.owner().await, database.owner().await);
    writer.batch_execute(&format!("begin; lock table {TABLE} in row exclusive mode")).await.unwrap();
    let pid: i32 = builder.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    let sql = sql.to_owned();
    let build = tokio::spawn(async move { builder.batch_execute(&sql).await });
    // Cancelled once it waits for the writer, with its entry in the catalog made.
    let waits =
        "select count(*) from pg_index x join pg_class c on c.oid = x.indexrelid where not x.indisvalid";
    while count(owner, waits).await == 0 {
        tokio::task::yield_now().await;
    }
    owner.execute("select pg_cancel_backend($1)", &[&pid]).await.unwrap();
    assert!(build.await.unwrap().is_err());
    writer.batch_execute("rollback").await.unwrap();
}

#[tokio::test]
async fn an_index_whose_build_was_cut_short_is_built_again() {
    let (database, mut owner) = first().await;
    let wanted = schema(SECOND);
    let build =
        plan(&owner, &wanted).await.steps.into_iter().find(|step| step.summary == "build index on title");
    interrupt(&database, &owner, &build.unwrap().sql).await;
    let steps: Vec<String> = plan(&owner, &wanted).await.steps.into_iter().map(|step| step.summary).collect();
    assert!(steps.contains(&"drop the unfinished index on title".to_owned()), "{steps:?}");
    migrate(&mut owner, &wanted).await;
    let valid = "select count(*) from pg_index x join pg_class c on c.oid = x.indexrelid where c.relname = 'item_v1-title_idx' and x.indisvalid";
    assert_eq!(count(&owner, valid).await, 1);
}

#[tokio::test]
async fn indexes_that_the_schema_no_longer_asks_for_go_and_others_stay() {
    let (_database, mut owner) = first().await;
    migrate(&mut owner, &schema(SECOND)).await;
    owner.batch_execute(&format!("create index by_hand on {TABLE} (title, amount)")).await.unwrap();
    let less = SECOND
        .replace(", filterable: true}", "}")
        .replace("  - {fields: [level, -amount]}", "  - {fields: [amount]}");
    migrate(&mut owner, &schema(&less)).await;
    let names: Vec<String> = owner
        .query("select indexname from pg_indexes where tablename = 'item_v1' order by 1", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(
        names,
        ["by_hand", "item_v1-amount_index", "item_v1-owner_idx", "item_v1-parent_idx", "item_v1_pkey"]
    );
}

#[tokio::test]
async fn a_blocked_change_leaves_the_table_as_it_was_but_for_its_upkeep() {
    let (_database, mut owner) = first().await;
    let blocked = schema(&SECOND.replace("maxLength: 40, filterable: true", "maxLength: 39"));
    let shape = "select count(*) from pg_attribute where attrelid = 'any__evolution__test.item_v1'::regclass and attnum > 0";
    let before = count(&owner, shape).await;
    let next = plan_in(&owner, &blocked, (2026, 3)).await;
    assert!(!next.blocked.is_empty() && next.steps.iter().all(|step| step.upkeep), "{:#?}", next.steps);
    assert_eq!(next.steps.len(), 2, "the partitions of the months after March");
    apply(&mut owner, &next).await.unwrap();
    assert_eq!(count(&owner, shape).await, before);
    assert!(plan_in(&owner, &blocked, (2026, 3)).await.steps.is_empty());
}

#[tokio::test]
async fn what_was_taken_away_by_hand_comes_back() {
    let (_database, mut owner) = first().await;
    let wanted: Schema = schema(FIRST);
    for harm in [
        format!("alter table {TABLE} disable trigger velocity_before"),
        format!("alter table {TABLE} enable replica trigger velocity_insert"),
        format!("drop trigger velocity_update on {TABLE}"),
        format!("alter table {TABLE} disable row level security"),
        format!("drop policy velocity_select on {HISTORY}"),
        "drop function any__evolution__test.item_v1_after_write() cascade".to_owned(),
        "create or replace function any__evolution__test.item_v1_before_write() returns trigger language plpgsql as 'begin return new; end'"
            .to_owned(),
    ] {
        owner.batch_execute(&harm).await.unwrap();
        assert!(!plan_in(&owner, &wanted, MONTH).await.is_empty(), "{harm}");
        migrate(&mut owner, &wanted).await;
        let enabled = "select count(*) from pg_trigger where tgrelid = 'any__evolution__test.item_v1'::regclass and tgenabled = 'O' and not tgisinternal";
        assert_eq!(count(&owner, enabled).await, 5, "{harm}");
    }
}
