//! A schema's next version applied to a table with rows.

use tokio_postgres::Client;
use velocity_schema::Schema;
use velocity_sql::ddl::{Approval, Decision, How, Plan, Stage, Step};
use velocity_testkit::{PLATFORM, TestDatabase, provision, schema};

use crate::planned::{MONTH, apply, decide, migrate, plan, plan_in};

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

/// What is to be done, with nobody's approval.
async fn decided(owner: &mut Client, wanted: &Schema) -> Plan {
    match decide(owner, wanted, MONTH, &Approval::default()).await {
        Decision::Apply(plan) => plan,
        Decision::Blocked { pending, .. } => panic!("{pending:#?}"),
    }
}

/// A change that is blocked: what is pending, and the upkeep.
async fn blocked(owner: &mut Client, wanted: &Schema, month: (i32, u32)) -> (Vec<Step>, Plan) {
    match decide(owner, wanted, month, &Approval::default()).await {
        Decision::Blocked { pending, upkeep, .. } => (pending, upkeep),
        Decision::Apply(plan) => panic!("{plan:#?}"),
    }
}

async fn count(owner: &Client, sql: &str) -> i64 {
    owner.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn additions_reach_a_table_with_rows_and_everything_is_valid_afterwards() {
    let (_database, mut owner) = first().await;
    let applied = migrate(&mut owner, &schema(SECOND)).await;
    assert!(applied.steps.iter().any(|step| step.how == How::Alone), "indexes are built beside the traffic");
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
        let mut next = decided(&mut owner, &wanted).await;
        assert!(next.waiting.is_empty(), "after {done}: {:#?}", next.waiting);
        if next.is_empty() {
            return;
        }
        // The switch is one transaction: it is done whole or not at all.
        let alone = next.steps[0].stage != Stage::Switch;
        next.steps.retain(|step| step.stage == Stage::Switch || alone);
        if alone {
            next.steps.truncate(1);
        }
        apply(&mut owner, &wanted, &next).await.unwrap_or_else(|e| panic!("{:?}: {e:?}", next.steps));
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
    apply(&mut owner, &wanted, &early).await.unwrap();
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
    let (pending, upkeep) = blocked(&mut owner, &schema(SECOND), MONTH).await;
    let key = pending.iter().find(|step| step.summary.contains("foreign key owner")).unwrap();
    assert!(key.reason.as_deref().unwrap().starts_with("1 record "), "{key:#?}");
    assert!(upkeep.is_empty(), "{upkeep:#?}");
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
    migrate(&mut owner, &wanted).await;
    let valid = "select count(*) from pg_index x join pg_class c on c.oid = x.indexrelid where c.relname like 'item_v1-title_idx%' and x.indisvalid";
    assert_eq!(count(&owner, valid).await, 1);
    let invalid = "select count(*) from pg_index where not indisvalid";
    assert_eq!(count(&owner, invalid).await, 0);
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
    let blocked = schema(&SECOND.replace("maxLength: 40, filterable: true", "maxLength: 2"));
    let shape = "select count(*) from pg_attribute where attrelid = 'any__evolution__test.item_v1'::regclass and attnum > 0";
    let before = count(&owner, shape).await;
    let (_, upkeep) = self::blocked(&mut owner, &blocked, (2026, 3)).await;
    assert!(upkeep.steps.iter().all(|step| step.upkeep), "{upkeep:#?}");
    assert_eq!(upkeep.steps.len(), 2, "the partitions of the months after March");
    apply(&mut owner, &blocked, &upkeep).await.unwrap();
    assert_eq!(count(&owner, shape).await, before);
    let (_, upkeep) = self::blocked(&mut owner, &blocked, (2026, 3)).await;
    assert!(upkeep.is_empty());
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
        "alter function any__evolution__test.item_v1_before_write() reset timezone".to_owned(),
        "alter function any__evolution__test.item_v1_after_write() security invoker".to_owned(),
        format!("alter policy velocity_select on {TABLE} using (true)"),
        format!("alter policy velocity_insert on {TABLE} to public"),
        format!("alter table {TABLE} drop constraint \"title_maxLength_check\""),
        format!("alter table {TABLE} alter title set default 'x'"),
        format!("grant update (version) on {TABLE} to any__evolution__test"),
        format!("grant select on {HISTORY}_default to public"),
        format!("revoke select (title) on {TABLE} from any__evolution__test"),
    ] {
        owner.batch_execute(&harm).await.unwrap();
        assert!(!plan_in(&owner, &wanted, MONTH).await.is_empty(), "{harm}");
        migrate(&mut owner, &wanted).await;
        let enabled = "select count(*) from pg_trigger where tgrelid = 'any__evolution__test.item_v1'::regclass and tgenabled = 'O' and not tgisinternal";
        assert_eq!(count(&owner, enabled).await, 5, "{harm}");
    }
}
