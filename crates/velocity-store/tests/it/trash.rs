//! What is dropped is kept, comes back, and goes in the end.

use tokio_postgres::Client;
use velocity_schema::Schema;
use velocity_store::ddl::read;
use velocity_store::platform::sweep_trash;
use velocity_testkit::{PLATFORM, TestDatabase, provision, schema};

const TABLE: &str = "any__trash__test.item_v1";
const HISTORY: &str = "item_v1_history";
const PATH: &str = "any/trash/test/item/v1";

const ITEM: &str = r"
org: any
app: trash
domain: test
object: item
version: v1
fields:
  - {name: title, type: string, required: true, maxLength: 40, unique: true, default: none}
  - {name: note, type: string}
  - {name: owner, type: uuid, ref: {object: owner, version: v1}}
";

const OWNER: &str = r"
org: any
app: trash
domain: test
object: owner
version: v1
fields:
  - {name: name, type: string}
";

async fn item() -> (TestDatabase, Client, Schema) {
    let database = TestDatabase::create_from(&PLATFORM).await;
    let schema = schema(ITEM);
    provision(&database, &self::schema_of_owner()).await;
    provision(&database, &schema).await;
    let owner = database.owner().await;
    let sql = format!(
        "begin; set local velocity.actor = 'me'; insert into {TABLE} (id, title, note) select gen_random_uuid(), 't' || n, 'n' || n from generate_series(1, 3) n; commit"
    );
    owner.batch_execute(&sql).await.unwrap();
    (database, owner, schema)
}

fn schema_of_owner() -> Schema {
    schema(OWNER)
}

async fn drop_field(owner: &Client, field: &str, restorable: bool) {
    let sql = "select platform.trash_column($1, 'any__trash__test', 'item_v1', 'item_v1_history', $2, $3)";
    owner.execute(sql, &[&PATH, &field, &restorable]).await.unwrap_or_else(|e| panic!("{field}: {e:?}"));
}

async fn one<T: for<'a> tokio_postgres::types::FromSql<'a>>(owner: &Client, sql: &str) -> T {
    owner.query_one(sql, &[]).await.unwrap_or_else(|e| panic!("{sql}: {e:?}")).get(0)
}

async fn drop_table(owner: &Client) -> Result<u64, tokio_postgres::Error> {
    let sql =
        "select platform.trash_table($1, 'any__trash__test', 'item_v1', 'item_v1_history', 'item_v1_is_')";
    owner.execute(sql, &[&PATH]).await
}

async fn expire(owner: &Client) {
    owner.execute("update platform.trash set expires_at = now() - interval '1 second'", &[]).await.unwrap();
}

#[tokio::test]
async fn a_dropped_column_keeps_its_values_out_of_the_way_and_brings_them_back() {
    let (_database, owner, schema) = item().await;
    drop_field(&owner, "title", true).await;
    let live = read(&owner, &schema).await.unwrap();
    let trashed = &live.trashed_columns[0];
    assert_eq!((trashed.field.as_str(), trashed.column.as_str()), ("title", "_trash_title"));
    assert_eq!((trashed.sql_type.as_str(), trashed.restorable), ("text", true));
    let table = live.table.unwrap();
    assert!(!table.columns["_trash_title"].not_null && !table.columns.contains_key("title"));
    // The rights on the table have changed with it: the plan gives them anew.
    assert!(
        !table.comments.contains_key("column _trash_title") && table.altered == ["table".to_owned()].into(),
        "{:?}",
        table.altered
    );
    assert!(!table.constraints.keys().any(|name| name.contains("title")), "{:?}", table.constraints);
    let rights = format!(
        "select count(*) from platform.rights_on('{TABLE}'::regclass) where attname = '_trash_title' or attname is null"
    );
    assert_eq!(one::<i64>(&owner, &rights).await, 0);
    let change = "select kind || ' ' || field || ' ' || seq from platform.field_changes";
    assert_eq!(one::<String>(&owner, change).await, "drop title 3");

    owner.execute("select platform.untrash_column($1, 'title')", &[&trashed.id]).await.unwrap();
    assert_eq!(one::<i64>(&owner, &format!("select count(*) from {TABLE} where title like 't%'")).await, 3);
    assert_eq!(
        one::<i64>(
            &owner,
            "select (select count(*) from platform.trash) + (select count(*) from platform.field_changes)"
        )
        .await,
        0
    );
    assert!(read(&owner, &schema).await.unwrap().trashed_columns.is_empty());
}

#[tokio::test]
async fn columns_dropped_under_one_name_stay_apart_the_latest_first() {
    let (_database, owner, schema) = item().await;
    drop_field(&owner, "note", true).await;
    owner.batch_execute(&format!("alter table {TABLE} add note bigint")).await.unwrap();
    drop_field(&owner, "note", false).await;
    let long = "x".repeat(63);
    owner.batch_execute(&format!("alter table {TABLE} add {long} text")).await.unwrap();
    drop_field(&owner, &long, true).await;
    let columns: Vec<(String, String, bool)> = read(&owner, &schema)
        .await
        .unwrap()
        .trashed_columns
        .into_iter()
        .map(|column| (column.column, column.sql_type, column.restorable))
        .collect();
    assert_eq!(
        columns,
        [
            (format!("_trash_{}", "x".repeat(56)), "text".to_owned(), true),
            ("_trash2_note".to_owned(), "bigint".to_owned(), false),
            ("_trash_note".to_owned(), "text".to_owned(), true),
        ]
    );
    let logged = "select count(*) from platform.field_changes";
    assert_eq!(
        one::<i64>(&owner, logged).await,
        2,
        "a column left over from a change of type was never dropped as a field"
    );
    let left_over = "select id from platform.trash where not restorable";
    let id: i64 = one(&owner, left_over).await;
    let error = owner.execute("select platform.untrash_column($1, 'note')", &[&id]).await.unwrap_err();
    assert!(error.as_db_error().unwrap().message().contains("that can be brought back"), "{error:?}");
}

#[tokio::test]
async fn a_deleted_table_moves_away_whole_and_comes_back_with_rows_and_events() {
    let (database, owner, schema) = item().await;
    owner
        .execute("select platform.log_rename('any__trash__test', $1, 'old', 'note')", &[&HISTORY])
        .await
        .unwrap();
    drop_field(&owner, "note", true).await;
    assert_eq!(
        one::<i64>(&owner, "select count(*) from platform.schemas where path = 'any/trash/test/item/v1'")
            .await,
        1
    );
    let partitions = read(&owner, &schema).await.unwrap().partitions;
    drop_table(&owner).await.unwrap();

    let live = read(&owner, &schema).await.unwrap();
    assert!(
        live.table.is_none() && live.history.is_none() && live.functions.is_empty() && live.shapes.is_empty()
    );
    let trashed = live.trashed_table.unwrap();
    assert_eq!(trashed.partitions.iter().cloned().collect::<std::collections::BTreeSet<_>>(), partitions);
    let left = "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'any__trash__test' and c.relname like 'item%'";
    assert_eq!(one::<i64>(&owner, left).await, 0);
    let rights = format!(
        "select count(*) from platform.relations_of('{}.item_v1'::regclass, '{HISTORY}') o (oid) cross join platform.rights_on(o.oid)",
        trashed.schema
    );
    assert_eq!(one::<i64>(&owner, &rights).await, 0);
    let known = "select (select count(*) from platform.schemas where path = 'any/trash/test/item/v1') + (select count(*) from platform.field_changes)";
    assert_eq!(one::<i64>(&owner, known).await, 0);

    owner.execute("select platform.untrash_table($1)", &[&trashed.id]).await.unwrap();
    assert_eq!(one::<i64>(&owner, &format!("select count(*) from {TABLE}")).await, 3);
    assert_eq!(one::<i64>(&owner, &format!("select count(*) from any__trash__test.{HISTORY}")).await, 3);
    assert_eq!(one::<i64>(&owner, "select count(*) from platform.field_changes").await, 2);
    let live = read(&owner, &schema).await.unwrap();
    assert_eq!((live.partitions, live.trashed_columns.len(), live.trashed_table), (partitions, 1, None));
    assert_eq!(
        one::<i64>(&owner, "select count(*) from pg_namespace where nspname like 'velocity_trash_%'").await,
        0
    );
    // The rest is a plan like any other, and writes go on where they were.
    owner
        .execute("select platform.untrash_column((select id from platform.trash), 'note')", &[])
        .await
        .unwrap();
    provision(&database, &schema).await;
    let sql = format!("begin; set local velocity.actor = 'me'; update {TABLE} set note = 'again'; commit");
    owner.batch_execute(&sql).await.unwrap();
    assert_eq!(one::<i64>(&owner, &format!("select max(seq) from any__trash__test.{HISTORY}")).await, 6);
}

#[tokio::test]
async fn a_table_that_others_point_to_is_not_deleted() {
    let (_database, owner, _) = item().await;
    let sql = "select platform.trash_table('any/trash/test/owner/v1', 'any__trash__test', 'owner_v1', 'owner_v1_history', 'owner_v1_is_')";
    let error = owner.execute(sql, &[]).await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.message(), "any__trash__test.owner_v1 is still referenced by any__trash__test.item_v1");
    assert_eq!(one::<i64>(&owner, "select count(*) from platform.trash").await, 0);
    // Its own references do not keep what they point to.
    drop_table(&owner).await.unwrap();
    owner.execute(sql, &[]).await.unwrap();
}

#[tokio::test]
async fn the_sweep_drops_what_has_expired_and_one_that_is_locked_keeps_no_other() {
    let (database, owner, schema) = item().await;
    drop_field(&owner, "note", true).await;
    owner.batch_execute("create table public.other (id int, gone text)").await.unwrap();
    owner
        .execute("select platform.trash_column('a/b/c/other/v1', 'public', 'other', '', 'gone', false)", &[])
        .await
        .unwrap();
    assert_eq!(sweep_trash(&owner).await.unwrap(), 0, "their time is not over");
    expire(&owner).await;

    let holder = database.owner().await;
    holder.batch_execute(&format!("begin; select from {TABLE}")).await.unwrap();
    assert_eq!(sweep_trash(&owner).await.unwrap(), 1);
    holder.batch_execute("rollback; select pg_advisory_lock(hashtextextended('velocity-schema:any/trash/test/item/v1', 0))").await.unwrap();
    assert_eq!(sweep_trash(&owner).await.unwrap(), 0, "an operator is at work on it");
    holder.batch_execute("select pg_advisory_unlock_all()").await.unwrap();
    assert_eq!(sweep_trash(&owner).await.unwrap(), 1);
    assert!(!read(&owner, &schema).await.unwrap().table.unwrap().columns.contains_key("_trash_note"));
    let still = "select count(*) from platform.field_changes where kind = 'drop' and trash is null";
    assert_eq!(one::<i64>(&owner, still).await, 1, "older events still have the field");

    drop_table(&owner).await.unwrap();
    expire(&owner).await;
    assert_eq!(sweep_trash(&owner).await.unwrap(), 1);
    let left = "select (select count(*) from platform.trash) + (select count(*) from pg_namespace where nspname like 'velocity_trash_%')";
    assert_eq!(one::<i64>(&owner, left).await, 0);
}

#[tokio::test]
async fn a_domain_sees_its_own_renames_only_and_writes_none() {
    let (database, owner, _) = item().await;
    let other = ITEM
        .replace("app: trash", "app: trash-b")
        .replace("  - {name: owner, type: uuid, ref: {object: owner, version: v1}}\n", "");
    provision(&database, &schema(&other)).await;
    for domain in ["any__trash__test", "any__trash_b__test"] {
        owner.execute("select platform.log_rename($1, $2, 'a', 'b')", &[&domain, &HISTORY]).await.unwrap();
    }
    let api = database.client("velocity_api").await;
    assert!(
        api.query("select from platform.field_changes", &[]).await.is_err(),
        "the login alone sees nothing"
    );
    api.batch_execute("begin; set local role any__trash__test").await.unwrap();
    let rows = api
        .query("select domain::text, kind, field, became, seq from platform.field_changes", &[])
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].get::<_, &str>(0), rows[0].get::<_, &str>(3), rows[0].get::<_, i64>(4)),
        ("any__trash__test", "b", 3)
    );
    assert!(api.execute("delete from platform.field_changes", &[]).await.is_err());
}
