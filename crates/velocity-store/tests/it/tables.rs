//! What the generated tables do on their own, whoever writes to them: attacked as SQL.

use tokio_postgres::{Client, Error};
use velocity_schema::Schema;
use velocity_testkit::{PLATFORM, TestDatabase, provision, schema};

use crate::actor::{self, code};
use crate::planned::{apply, migrate, plan};

const ORDER: &str = r#"
org: acme
app: supply-chain
domain: procurement
object: purchase-order
version: v1
fields:
  - {name: id, type: string, pattern: "^PO-[0-9]+$"}
  - {name: supplier, type: string, required: true, maxLength: 40, filterable: true, immutable: true}
  - {name: amount, type: number, precision: 18, scale: 2, min: 0, filterable: true, sortable: true}
  - {name: status, type: enum, enum: [draft, approved], required: true, default: draft, filterable: true}
  - {name: region, type: string, filterable: true}
  - {name: tags, type: array, items: string, filterable: true}
  - {name: extra, type: json, filterable: true}
  - {name: data, type: bytes}
  - {name: due, type: timestamp}
uniqueConstraints:
  - {fields: [supplier, region]}
indexes:
  - {fields: [status, -created_at]}
access:
  roles:
    create: [writer]
    read: [reader, regional]
    update: [writer]
    delete: [writer]
    restore: [writer]
    history: [reader]
  rowFilter:
    - {role: regional, condition: "record.region == actor.attributes.region"}
"#;

const TABLE: &str = "acme__supply_chain__procurement.purchase_order_v1";
const HISTORY: &str = "acme__supply_chain__procurement.purchase_order_v1_history";

async fn provisioned(spec: &str) -> (TestDatabase, Schema) {
    let database = TestDatabase::create_from(&PLATFORM).await;
    let schema = schema(spec);
    provision(&database, &schema).await;
    (database, schema)
}

/// Runs SQL as the API would: its login, the domain's role, an identity.
async fn as_actor(
    client: &Client,
    roles: &str,
    attributes: &str,
    sql: &str,
) -> Result<Vec<tokio_postgres::Row>, Error> {
    actor::run(client, "acme__supply_chain__procurement", roles, attributes, sql).await
}

async fn insert(client: &Client, id: &str, region: &str) {
    let sql = format!(
        "insert into {TABLE} (id, supplier, amount, region) values ('{id}', 's-{id}', 10, '{region}')"
    );
    as_actor(client, "writer", "{}", &sql).await.unwrap();
}

#[tokio::test]
async fn two_runs_of_the_plan_change_nothing() {
    let (database, schema) = provisioned(ORDER).await;
    let again = plan(&database.owner().await, &schema).await;
    assert!(again.is_empty(), "{again:#?}");
}

#[tokio::test]
async fn every_write_leaves_one_event_that_chains_to_the_one_before() {
    let (database, _) = provisioned(ORDER).await;
    let api = database.client("velocity_api").await;
    insert(&api, "PO-1", "west").await;
    as_actor(
        &api,
        "writer",
        "{}",
        &format!("update {TABLE} set amount = 12.5, tags = array['a','b'] where id = 'PO-1'"),
    )
    .await
    .unwrap();
    as_actor(&api, "writer", "{}", &format!("update {TABLE} set deleted_at = now() where id = 'PO-1'"))
        .await
        .unwrap();
    as_actor(&api, "writer", "{}", &format!("update {TABLE} set deleted_at = null where id = 'PO-1'"))
        .await
        .unwrap();
    let owner = database.owner().await;
    owner.batch_execute("set timezone = 'Asia/Tokyo'; set bytea_output = 'escape'").await.unwrap();
    let events = owner
        .query(
            &format!(
                "select operation, version, changed, actor, request_id, state ->> 'amount',
                   hash = platform.event_hash('{TABLE}', prev_hash, record_id, version, occurred_at, operation, actor,
                     actor_type, strategy, request_id, trace_id, reason, changed, state::text) as genuine,
                   prev_hash is not distinct from lag(hash) over (order by version) as chained
                 from {HISTORY} order by version"
            ),
            &[],
        )
        .await
        .unwrap();
    let operations: Vec<&str> = events.iter().map(|row| row.get(0)).collect();
    assert_eq!(operations, ["CREATE", "UPDATE", "DELETE", "UNDELETE"]);
    assert!(events.iter().all(|row| row.get::<_, bool>("genuine") && row.get::<_, bool>("chained")));
    assert_eq!(events[1].get::<_, Vec<String>>(2), ["amount", "tags"]);
    assert_eq!(events[1].get::<_, &str>(5), "12.50");
    let head: bool = owner
        .query_one(
            &format!("select r._head_hash = h.hash from {TABLE} r join {HISTORY} h on h.version = r.version"),
            &[],
        )
        .await
        .unwrap()
        .get(0);
    assert!(head);
}

#[tokio::test]
async fn a_write_without_an_actor_fails_even_for_the_owner() {
    let (database, _) = provisioned(ORDER).await;
    let owner = database.owner().await;
    let error = owner
        .execute(&format!("insert into {TABLE} (id, supplier) values ('PO-1', 's')"), &[])
        .await
        .unwrap_err();
    assert_eq!(error.code().unwrap().code(), "VL001");
    assert!(owner.execute(&format!("truncate {TABLE}"), &[]).await.is_err());
}

#[tokio::test]
async fn a_skipped_insert_leaves_no_event() {
    let (database, _) = provisioned(ORDER).await;
    let api = database.client("velocity_api").await;
    insert(&api, "PO-1", "west").await;
    let again = format!("insert into {TABLE} (id, supplier) values ('PO-1', 'x') on conflict do nothing");
    as_actor(&api, "writer", "{}", &again).await.unwrap();
    let owner = database.owner().await;
    let count: i64 = owner.query_one(&format!("select count(*) from {HISTORY}"), &[]).await.unwrap().get(0);
    assert_eq!(count, 1);
}

#[tokio::test]
async fn the_apis_login_can_do_nothing_without_a_role_and_little_with_it() {
    let (database, _) = provisioned(ORDER).await;
    let api = database.client("velocity_api").await;
    insert(&api, "PO-1", "west").await;
    for sql in [
        format!("select * from {TABLE}"),
        format!("select * from {HISTORY}"),
        format!("insert into {TABLE} (id, supplier) values ('PO-9', 's')"),
    ] {
        assert_eq!(code(api.query(&sql, &[]).await), "42501", "{sql}");
    }
    for sql in [
        format!("insert into {HISTORY} (occurred_at, record_id, version, operation, actor, hash) values (now(), 'x', 1, 'CREATE', 'x', '\\x00')"),
        format!("update {HISTORY} set actor = 'someone else'"),
        format!("delete from {HISTORY}"),
        format!("truncate {HISTORY}"),
        format!("delete from {TABLE}"),
        format!("truncate {TABLE}"),
        format!("update {TABLE} set version = 99"),
        format!("update {TABLE} set created_by = 'someone else'"),
        format!("update {TABLE} set _head_hash = '\\x00'"),
        format!("select _head_hash from {TABLE}"),
        format!("alter table {TABLE} disable trigger all"),
        format!("alter table {TABLE} disable row level security"),
        format!("drop trigger velocity_before on {TABLE}"),
        format!("drop policy velocity_select on {TABLE}"),
        format!("create trigger x before insert on {TABLE} for each row execute function acme__supply_chain__procurement.purchase_order_v1_before_write()"),
        "set session_replication_role = replica".to_owned(),
        "set role velocity_owner".to_owned(),
        "set session authorization velocity_owner".to_owned(),
        "create table acme__supply_chain__procurement.x (a int)".to_owned(),
        "create schema x".to_owned(),
        "create role x".to_owned(),
        "select platform.event_hash('', null, '', 1, now(), '', '', null, null, null, null, null, null, null)".to_owned(),
        "select platform.ensure_domain_role('x')".to_owned(),
        "update platform.schemas set spec = '{}'".to_owned(),
        "select * from platform.migrations".to_owned(),
        "copy (select 1) to program 'true'".to_owned(),
        "select pg_read_file('/etc/passwd')".to_owned(),
    ] {
        let outcome = code(as_actor(&api, "platform-admin", "{}", &sql).await);
        assert_eq!(outcome, "42501", "{sql}");
    }
}

#[tokio::test]
async fn rows_are_seen_only_as_the_roles_filters_allow() {
    let (database, _) = provisioned(ORDER).await;
    let api = database.client("velocity_api").await;
    for (id, region) in [("PO-1", "west"), ("PO-2", "east"), ("PO-3", "west")] {
        insert(&api, id, region).await;
    }
    let visible = |roles: &'static str, attributes: &'static str| {
        let api = &api;
        async move {
            as_actor(api, roles, attributes, &format!("select id from {TABLE} order by id"))
                .await
                .unwrap()
                .len()
        }
    };
    assert_eq!(visible("reader", "{}").await, 3);
    assert_eq!(visible("regional", r#"{"region":"west"}"#).await, 2);
    assert_eq!(visible("regional", "{}").await, 0, "an attribute that is not there hides everything");
    assert_eq!(visible("regional", r#"{"region":null}"#).await, 0);
    assert_eq!(
        visible("regional,reader", r#"{"region":"west"}"#).await,
        3,
        "a role without a filter sees all"
    );
    assert_eq!(visible("stranger", "{}").await, 0);
    assert_eq!(visible("", "{}").await, 0);
    assert_eq!(visible("platform-admin", "{}").await, 3);
    let events = as_actor(&api, "regional", r#"{"region":"west"}"#, &format!("select * from {HISTORY}"))
        .await
        .unwrap();
    assert_eq!(events.len(), 2, "history follows the record");
    // Without an identity nobody is anybody.
    api.batch_execute("begin; select set_config('role', 'acme__supply_chain__procurement', true), set_config('velocity.roles', 'platform-admin', true)").await.unwrap();
    assert_eq!(api.query(&format!("select id from {TABLE}"), &[]).await.unwrap().len(), 0);
    api.batch_execute("rollback").await.unwrap();
}

#[tokio::test]
async fn writes_outside_the_roles_rows_are_refused() {
    let (database, _) = provisioned(ORDER).await;
    let api = database.client("velocity_api").await;
    insert(&api, "PO-1", "west").await;
    let sql = format!("insert into {TABLE} (id, supplier) values ('PO-2', 's')");
    assert_eq!(code(as_actor(&api, "reader", "{}", &sql).await), "42501");
    let update = format!("update {TABLE} set amount = 1 where id = 'PO-1' returning id");
    assert!(as_actor(&api, "reader", "{}", &update).await.unwrap().is_empty());
    assert_eq!(as_actor(&api, "writer", "{}", &update).await.unwrap().len(), 1);
}

#[tokio::test]
async fn immutable_fields_and_ids_stay_as_created() {
    let (database, _) = provisioned(ORDER).await;
    let api = database.client("velocity_api").await;
    insert(&api, "PO-1", "west").await;
    let outcome = as_actor(&api, "writer", "{}", &format!("update {TABLE} set supplier = 'other'")).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "VL002");
    assert_eq!(error.as_db_error().unwrap().column(), Some("supplier"));
    assert_eq!(
        code(as_actor(&api, "writer", "{}", &format!("update {TABLE} set id = 'PO-2'")).await),
        "42501"
    );
}

#[tokio::test]
async fn domains_cannot_see_each_other() {
    let (database, _) = provisioned(ORDER).await;
    let other = schema(&ORDER.replace("domain: procurement", "domain: sales"));
    provision(&database, &other).await;
    let api = database.client("velocity_api").await;
    let sql = format!("select * from {}", TABLE.replace("procurement", "sales"));
    assert_eq!(code(as_actor(&api, "platform-admin", "{}", &sql).await), "42501");
}

const SUPPLIER: &str = r"
org: acme
app: supply-chain
domain: procurement
object: supplier
version: v1
fields:
  - {name: code, type: string, required: true, unique: true}
access: {roles: {create: [writer], read: [writer], delete: [writer], restore: [writer]}}
";

const LINE: &str = r"
org: acme
app: supply-chain
domain: procurement
object: line
version: v1
fields:
  - {name: supplier, type: string, ref: {object: supplier, version: v1, field: code}}
access: {roles: {create: [writer], read: [writer], update: [writer], delete: [writer], restore: [writer]}}
";

#[tokio::test]
async fn references_hold_against_soft_deletion_on_both_sides() {
    let database = TestDatabase::create_from(&PLATFORM).await;
    for spec in [SUPPLIER, LINE] {
        provision(&database, &schema(spec)).await;
    }
    let api = database.client("velocity_api").await;
    let run = |sql: &'static str| {
        let api = &api;
        async move { code(as_actor(api, "writer", "{}", sql).await) }
    };
    assert_eq!(run("insert into acme__supply_chain__procurement.supplier_v1 (id, code) values (gen_random_uuid(), 'a'), (gen_random_uuid(), 'b')").await, "no error");
    assert_eq!(run("insert into acme__supply_chain__procurement.line_v1 (id, supplier) values (gen_random_uuid(), 'a')").await, "no error");
    assert_eq!(run("insert into acme__supply_chain__procurement.line_v1 (id, supplier) values (gen_random_uuid(), 'zzz')").await, "23503");
    assert_eq!(
        run("update acme__supply_chain__procurement.supplier_v1 set deleted_at = now() where code = 'a'")
            .await,
        "VL003"
    );
    assert_eq!(
        run("update acme__supply_chain__procurement.supplier_v1 set deleted_at = now() where code = 'b'")
            .await,
        "no error"
    );
    assert_eq!(run("insert into acme__supply_chain__procurement.line_v1 (id, supplier) values (gen_random_uuid(), 'b')").await, "VL003");
    assert_eq!(run("update acme__supply_chain__procurement.line_v1 set supplier = 'b'").await, "VL003");
    assert_eq!(
        run("update acme__supply_chain__procurement.line_v1 set deleted_at = now()").await,
        "no error"
    );
    assert_eq!(
        run("update acme__supply_chain__procurement.supplier_v1 set deleted_at = now() where code = 'a'")
            .await,
        "no error"
    );
    assert_eq!(run("update acme__supply_chain__procurement.line_v1 set deleted_at = null").await, "VL003");
}

#[tokio::test]
async fn no_client_can_write_in_silence_as_a_backfill_does() {
    let (database, _) = provisioned(ORDER).await;
    let api = database.client("velocity_api").await;
    insert(&api, "PO-1", "west").await;
    for setting in [
        "set velocity.operation = 'BACKFILL'",
        "set session velocity.operation to 'BACKFILL'; set role acme__supply_chain__procurement",
    ] {
        api.batch_execute(setting).await.unwrap();
        as_actor(&api, "writer", "{}", &format!("update {TABLE} set amount = amount + 1")).await.unwrap();
    }
    let owner = database.owner().await;
    let rows = owner
        .query(&format!("select version, operation, actor from {HISTORY} order by version"), &[])
        .await
        .unwrap();
    let events: Vec<(i64, &str, &str)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(events, [(1, "CREATE", "ravi"), (2, "UPDATE", "ravi"), (3, "UPDATE", "ravi")]);
    let version: i64 = owner.query_one(&format!("select version from {TABLE}"), &[]).await.unwrap().get(0);
    assert_eq!(version, 3);
    // The owner's own rewriting is the one that is silent, and only as an update.
    let silent = format!(
        "begin; set local velocity.operation = 'BACKFILL'; set local velocity.actor = 'me'; update {TABLE} set amount = amount; commit"
    );
    owner.batch_execute(&silent).await.unwrap();
    let count: i64 = owner.query_one(&format!("select count(*) from {HISTORY}"), &[]).await.unwrap().get(0);
    assert_eq!(count, 3);
}

#[tokio::test]
async fn a_purge_by_the_owner_is_an_event_too() {
    let (database, _) = provisioned(ORDER).await;
    let api = database.client("velocity_api").await;
    insert(&api, "PO-1", "west").await;
    let owner = database.owner().await;
    assert!(owner.execute(&format!("delete from {TABLE}"), &[]).await.is_err(), "not without an actor");
    owner
        .batch_execute(&format!("begin; set local velocity.actor = 'dba'; delete from {TABLE}; commit"))
        .await
        .unwrap();
    let row = owner
        .query_one(
            &format!(
                "select version, state is null, prev_hash = (select hash from {HISTORY} where version = 1),
                   hash = platform.event_hash('{TABLE}', prev_hash, record_id, version, occurred_at, operation, actor,
                     actor_type, strategy, request_id, trace_id, reason, changed, state::text)
                 from {HISTORY} where operation = 'PURGE'"
            ),
            &[],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 2);
    assert!(row.get::<_, bool>(1) && row.get::<_, bool>(2) && row.get::<_, bool>(3));
}

#[tokio::test]
async fn creation_stopped_after_any_statement_goes_on_where_it_was() {
    let database = TestDatabase::create_from(&PLATFORM).await;
    let schema = schema(&ORDER.replace("domain: procurement", "domain: halting"));
    let mut owner = database.owner().await;
    let statements = plan(&owner, &schema).await.steps.len();
    assert!(statements > 10);
    for kept in 0..=statements {
        let mut first = plan(&owner, &schema).await;
        first.steps.truncate(kept);
        first.creates_table = false; // each statement on its own, as a kill between any two would leave them
        apply(&mut owner, &schema, &first).await.unwrap_or_else(|e| panic!("first {kept}: {e:?}"));
        migrate(&mut owner, &schema).await;
        owner.batch_execute("drop schema acme__supply_chain__halting cascade").await.unwrap();
    }
}
