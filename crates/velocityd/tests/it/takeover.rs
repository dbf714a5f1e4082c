//! Operators that die or hang in the middle of a change, and who goes on with it. Each is a process of its own.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::harness::{Cluster, Domain, Role, condition, count, eventually, send, untampered};

/// More than the operator takes for small: what looks at all rows is a job, in batches.
const ROWS: usize = 60_000;

const ACCESS: &str =
    "access: {roles: {create: [writer], read: [writer], update: [writer], history: [writer]}}\n";
const FIRST: &str = "
fields:
  - {name: code, type: string, filterable: true}
  - {name: amount, type: integer}
  - {name: extra, type: string}
";
/// Another type, a field less, an index and a NOT NULL more.
const SECOND: &str = "
fields:
  - {name: code, type: string, filterable: true}
  - {name: amount, type: number, precision: 20, scale: 2, required: true}
indexes:
  - {fields: [code, -amount]}
";

fn first() -> String {
    format!("{FIRST}{ACCESS}")
}

fn second() -> String {
    format!("{SECOND}{ACCESS}")
}

/// A domain with a filled table.
async fn filled(cluster: &Cluster, rows: usize) -> (Domain<'_>, Client) {
    let domain = Domain::new(cluster);
    domain.apply("thing", &first()).await;
    let (sql, table) = (cluster.sql().await, domain.table("thing"));
    sql.batch_execute(&format!(
        "begin; set local velocity.actor = 'seeder';
         insert into {table} (id, code, amount, extra)
         select gen_random_uuid(), 'c-' || n, n, 'extra ' || n from generate_series(1, {rows}) n;
         commit; analyze {table}"
    ))
    .await
    .unwrap();
    (domain, sql)
}

/// Applies the second spec and agrees to its plan.
async fn approve(domain: &Domain<'_>) -> Value {
    domain.put("thing", &second()).await.expect(200);
    let status = domain.settled("thing", &["Blocked"]).await;
    domain.annotate("thing", &json!({"velocity.sh/approve-breaking": status["planHash"]})).await;
    status["planHash"].clone()
}

/// Somebody who works on the record with the highest id, which a backfill meets last, from when the shadow column is there: the
/// backfill does not end before they do.
async fn hold_the_last(cluster: &Cluster, domain: &Domain<'_>) -> Client {
    let holder = cluster.sql().await;
    let table = domain.table("thing");
    let shadow = "select count(*) from pg_attribute where attname = '_new_amount' and not attisdropped";
    eventually("a shadow column", async || (count(&holder, shadow).await > 0).then_some(())).await;
    holder
        .batch_execute(&format!(
            "begin; select from {table} where id = (select max(id::text)::uuid from {table}) for update"
        ))
        .await
        .unwrap();
    holder
}

async fn backfilling(sql: &Client) {
    eventually("a backfill in its middle", async || {
        (count(sql, "select coalesce(max(rows), 0) from platform.backfills").await > 0).then_some(())
    })
    .await;
}

/// The change is made, and everything is as if nobody had been killed.
async fn complete(cluster: &Cluster, domain: &Domain<'_>, sql: &Client, rows: usize) {
    domain.served("thing").await;
    let table = domain.table("thing");
    let kept = format!("select count(*) from {table} where code = 'c-' || amount::integer");
    assert_eq!(usize::try_from(count(sql, &kept).await).unwrap(), rows);
    assert_eq!(count(sql, "select count(*) from pg_index where not indisvalid").await, 0);
    assert_eq!(count(sql, "select count(*) from pg_constraint where not convalidated").await, 0);
    assert_eq!(count(sql, "select count(*) from platform.plans where state = 'running'").await, 0);
    assert_eq!(count(sql, "select count(*) from platform.trash where field = 'extra'").await, 1);
    let indexes = format!(
        "select count(*) from pg_indexes where schemaname || '.' || tablename = '{table}' and indexdef like '%(code, amount DESC%'"
    );
    assert_eq!(count(sql, &indexes).await, 1);
    let writer = cluster.actor("ravi", &["writer"]);
    let made = writer.post(&domain.route("thing"), &json!({"code": "new", "amount": 1.5})).await.expect(201);
    assert!(made.text.contains("1.50"), "{made:?}");
    let (records, events) = untampered(sql, &table).await;
    assert_eq!(records, events, "a conversion makes no event");
}

/// Works all the time with what both specs have.
async fn writes_pass(cluster: &Cluster, domain: &Domain<'_>) {
    let writer = cluster.actor("ravi", &["writer"]);
    let list = format!("{}?filter[code]=c-7", domain.route("thing"));
    let found = writer.get(&list).await.expect(200).data();
    let path = format!("{}/{}", domain.route("thing"), found[0]["id"].as_str().unwrap());
    let record = writer.get(&path).await.expect(200).data();
    assert_eq!(record["extra"], "extra 7", "the old shape is served: {record}");
}

#[tokio::test]
async fn an_operator_killed_in_an_approved_backfill_goes_on_without_another_approval() {
    let (cluster, operator) = Cluster::start().await;
    let (domain, sql) = filled(&cluster, ROWS).await;
    let approved = approve(&domain).await;
    let holder = hold_the_last(&cluster, &domain).await;
    backfilling(&sql).await;

    operator.kill();
    writes_pass(&cluster, &domain).await;
    let before = count(&sql, "select max(rows) from platform.backfills").await;
    let operator = cluster.operator("operator-1");
    // It comes to where the row is held, further than the first one or as far, and not from the beginning.
    eventually("the operator to be at it again", async || {
        let busy =
            "select count(*) from pg_locks where not granted and locktype in ('tuple', 'transactionid')";
        (count(&sql, busy).await > 0).then_some(())
    })
    .await;
    assert!(count(&sql, "select max(rows) from platform.backfills").await >= before);
    holder.batch_execute("rollback").await.unwrap();

    complete(&cluster, &domain, &sql, ROWS).await;
    let object = cluster.schema_object(&domain.namespace(), "thing").await;
    assert_eq!(object["metadata"]["annotations"]["velocity.sh/approve-breaking"], approved);
    assert_eq!(condition(&object["status"], "MigrationBlocked")["status"], "False");
    drop(operator);
}

#[tokio::test]
async fn an_operator_killed_again_and_again_gets_there() {
    let (cluster, operator) = Cluster::start().await;
    let (domain, sql) = filled(&cluster, 3000).await;
    approve(&domain).await;
    let (mut operator, mut seen) = (Some(operator), BTreeSet::new());
    // Each time the plan on record is one step further than it was at any kill before.
    while seen.len() < 12 {
        let state = "select coalesce((select id * 1000 + next_step from platform.plans
            where spec_hash <> (select spec_hash from platform.schemas where path like '%/thing/v1')
            order by id desc limit 1), 0), (select count(*) from platform.trash where field = 'extra')";
        let row = sql.query_one(state, &[]).await.unwrap();
        let (at, switched): (i64, i64) = (row.get(0), row.get(1));
        if switched > 0 {
            break;
        }
        if at > 0 && seen.insert(at) {
            operator.take().unwrap().kill();
            writes_pass(&cluster, &domain).await;
            operator = Some(cluster.operator("operator-1"));
        }
    }
    assert!(seen.len() > 1, "it was killed in the middle: {seen:?}");
    eprintln!("killed at {seen:?}");
    complete(&cluster, &domain, &sql, 3000).await;
}

#[tokio::test]
async fn an_index_that_a_killed_operator_left_to_postgres_is_waited_for_and_built_once() {
    let (cluster, operator) = Cluster::start().await;
    let (domain, sql) = filled(&cluster, 2000).await;
    // Somebody reads for a long time, and the index waits for that.
    let reader = cluster.sql().await;
    let look =
        format!("begin isolation level repeatable read; select count(*) from {}", domain.table("thing"));
    reader.batch_execute(&look).await.unwrap();
    let indexed = format!("{FIRST}indexes:\n  - {{fields: [extra, -amount]}}\n{ACCESS}");
    domain.put("thing", &indexed).await.expect(200);
    let building = "select count(*) from pg_stat_activity where query ilike 'create index concurrently%' and state = 'active'";
    eventually("an unfinished index", async || (count(&sql, building).await > 0).then_some(())).await;

    operator.kill();
    let operator = cluster.operator("operator-1");
    // Postgres goes on with the statement of the one that is gone: nobody begins it a second time meanwhile.
    for _ in 0..60 {
        assert!(count(&sql, building).await <= 1);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    reader.batch_execute("commit").await.unwrap();

    domain.served("thing").await;
    assert_eq!(count(&sql, "select count(*) from pg_index where not indisvalid").await, 0);
    let built = format!(
        "select count(*) from pg_indexes where schemaname || '.' || tablename = '{}' and indexdef like '%(extra, amount DESC%'",
        domain.table("thing")
    );
    assert_eq!(count(&sql, &built).await, 1);
    drop(operator);
}

async fn leader(cluster: &Cluster) -> String {
    let path = "/apis/coordination.k8s.io/v1/namespaces/velocity-system/leases/velocity-operator";
    let lease = send(cluster.kubernetes(reqwest::Method::GET, path)).await;
    if lease.status != 200 {
        return String::new();
    }
    lease.json()["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

async fn until_leads(cluster: &Cluster, identity: &str) {
    eventually(&format!("{identity} to lead"), async || (leader(cluster).await == identity).then_some(()))
        .await;
}

/// The operators of all plans that began for the second spec, in order.
async fn who_ran(sql: &Client) -> Vec<String> {
    let query = "select operator from platform.plans where path like '%/thing/v1' order by id";
    sql.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Sessions that hold an advisory lock on a path. The lock of the platform's migrations, which a new leader takes for a moment, is
/// none: its upper half spells `velo`.
const LOCKS: &str = "select count(distinct pid) from pg_locks where locktype = 'advisory' and granted and classid <> 1986358383
    and database = (select oid from pg_database where datname = current_database())";

#[tokio::test]
async fn an_operator_that_hangs_is_replaced_and_its_plan_is_never_run_by_two() {
    let (cluster, first_one) = Cluster::start().await;
    let (domain, sql) = filled(&cluster, ROWS).await;
    let second_one = cluster.operator("operator-2");
    assert_eq!(leader(&cluster).await, "operator-1");
    approve(&domain).await;
    let holder = hold_the_last(&cluster, &domain).await;
    backfilling(&sql).await;

    first_one.signal(Signal::SIGSTOP);
    until_leads(&cluster, "operator-2").await;
    holder.batch_execute("rollback").await.unwrap();
    // The session of the one that hangs still has the path's lock: the new leader stays away from its plan.
    for _ in 0..40 {
        assert!(who_ran(&sql).await.iter().all(|operator| operator == "operator-1"));
        assert!(count(&sql, LOCKS).await <= 1);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    writes_pass(&cluster, &domain).await;
    first_one.signal(Signal::SIGCONT);

    complete(&cluster, &domain, &sql, ROWS).await;
    let ran = who_ran(&sql).await;
    assert_eq!(ran.last().unwrap(), "operator-2", "{ran:?}");
    assert!(ran.is_sorted(), "no plan of the first one after one of the second: {ran:?}");
    assert_eq!(leader(&cluster).await, "operator-2");
    drop((first_one, second_one));
}

#[tokio::test]
async fn a_leader_that_is_killed_is_followed_by_who_stands_by() {
    let (cluster, first_one) = Cluster::start().await;
    let (domain, sql) = filled(&cluster, ROWS).await;
    let second_one = cluster.operator("operator-2");
    approve(&domain).await;
    let holder = hold_the_last(&cluster, &domain).await;
    backfilling(&sql).await;
    first_one.kill();
    holder.batch_execute("rollback").await.unwrap();
    until_leads(&cluster, "operator-2").await;
    complete(&cluster, &domain, &sql, ROWS).await;
    assert!(who_ran(&sql).await.is_sorted());
    drop(second_one);
}

#[tokio::test]
async fn a_postgres_that_dies_in_a_backfill_comes_back_to_it() {
    let (cluster, operator) = Cluster::start().await;
    let (domain, sql) = filled(&cluster, ROWS).await;
    approve(&domain).await;
    let holder = hold_the_last(&cluster, &domain).await;
    backfilling(&sql).await;
    for _ in 0..2 {
        cluster.postgres.kill_postgres().await;
        cluster.postgres.restart_postgres().await;
        let sql = cluster.sql().await;
        eventually("the operator to be back", async || {
            let sessions = "select count(*) from pg_stat_activity where backend_type = 'client backend' and usename <> 'velocity_api' and pid <> pg_backend_pid()";
            (count(&sql, sessions).await > 0).then_some(())
        })
        .await;
    }
    drop((holder, sql));
    let sql = cluster.sql().await;
    complete(&cluster, &domain, &sql, ROWS).await;
    drop(operator);
}

/// Two operators at once under the same name would be two leaders; a cluster's pods have names of their own.
#[tokio::test]
async fn an_operator_that_comes_back_under_its_name_does_not_wait_for_its_lease() {
    let (cluster, operator) = Cluster::start().await;
    operator.kill();
    let started = tokio::time::Instant::now();
    let operator: Role = cluster.operator("operator-1");
    let domain = Domain::new(&cluster);
    domain.apply("thing", &first()).await;
    // Not a matter of speed: it did not wait for the thirty seconds that the lease had left.
    assert!(started.elapsed() < std::time::Duration::from_secs(25));
    drop(operator);
}
