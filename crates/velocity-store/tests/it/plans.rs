//! Plans are on record, run in stages, and go on where they stopped.

use std::collections::BTreeSet;
use std::sync::Mutex;

use tokio::sync::Notify;
use tokio_postgres::Client;
use velocity_sql::ddl::{How, Lock, Plan, Stage, Step};
use velocity_store::ddl::{ApplyError, Change, Progress, apply, begun_statements};
use velocity_store::platform::{ProvisionedSpec, provisioned_by_path, sweep_plans};
use velocity_testkit::{PLATFORM, TestDatabase};

use crate::planned::change;

const PATH: &str = "any/plans/test/item/v1";

fn step(stage: Stage, sql: &str) -> Step {
    Step::safe(stage, format!("do {}", &sql[..sql.len().min(30)]), Lock::AccessExclusive, sql)
}

fn plan(steps: Vec<Step>) -> Plan {
    Plan { steps, ..Plan::default() }
}

fn publication(hash: &str) -> ProvisionedSpec {
    ProvisionedSpec {
        path: PATH.to_owned(),
        namespace: "test".to_owned(),
        spec: serde_json::json!({"is": hash}),
        spec_hash: hash.to_owned(),
    }
}

async fn database() -> (TestDatabase, Client) {
    let database = TestDatabase::create_from(&PLATFORM).await;
    let owner = database.owner().await;
    (database, owner)
}

/// State, steps done and error of each plan, in order.
async fn journal(owner: &Client) -> Vec<(String, i32, Option<String>)> {
    let rows =
        owner.query("select state, next_step, error from platform.plans order by id", &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

async fn exists(owner: &Client, table: &str) -> bool {
    owner.query_one("select to_regclass($1) is not null", &[&table]).await.unwrap().get(0)
}

#[tokio::test]
async fn stages_run_in_their_order_and_the_plan_is_on_record() {
    let (_database, mut owner) = database().await;
    let all = plan(vec![
        step(Stage::Finish, "create index concurrently log_n on log (n)").alone(),
        step(Stage::Switch, "insert into public.log select 2 from public.log having count(*) = 1"),
        step(Stage::Prepare, "create table public.log as select 1 as n"),
    ]);
    let spec = publication("sha256:one");
    let seen = Mutex::new(Vec::new());
    let note = |progress: Progress| seen.lock().unwrap().push((progress.step, progress.of));
    let wanted =
        Change { publication: Some(&spec), progress: Some(&note), approved: true, ..change(&all, PATH) };
    apply(&mut owner, &wanted).await.unwrap();
    let rows: i64 = owner.query_one("select count(*) from public.log", &[]).await.unwrap().get(0);
    assert_eq!(rows, 2);
    assert_eq!(provisioned_by_path(&owner, PATH).await.unwrap(), Some(spec.clone()));
    assert_eq!(*seen.lock().unwrap(), [(1, 3), (2, 3), (3, 3)]);
    assert_eq!(journal(&owner).await, [("done".to_owned(), 3, None)]);
    let row = owner
        .query_one(
            "select path, plan_hash, approved, operator, steps #>> '{0,stage}', steps #>> '{2,how}', finished_at is not null from platform.plans",
            &[],
        )
        .await
        .unwrap();
    assert_eq!((row.get(0), row.get(1)), (PATH, all.hash().as_str()));
    assert_eq!(
        (row.get(2), row.get(3), row.get(4), row.get(5), row.get(6)),
        (true, "the test", "prepare", "alone", true)
    );
}

#[tokio::test]
async fn nothing_to_do_writes_nothing_and_upkeep_is_no_change() {
    let (_database, mut owner) = database().await;
    let spec = publication("sha256:one");
    let nothing = Plan::default();
    let wanted = Change { publication: Some(&spec), ..change(&nothing, PATH) };
    apply(&mut owner, &wanted).await.unwrap();
    assert_eq!(provisioned_by_path(&owner, PATH).await.unwrap(), Some(spec.clone()));
    // A database that takes no writes any more.
    owner.batch_execute("set default_transaction_read_only = on").await.unwrap();
    apply(&mut owner, &wanted).await.unwrap();
    owner.batch_execute("reset default_transaction_read_only").await.unwrap();
    let upkeep = plan(vec![step(Stage::Switch, "create table public.month ()").upkeep()]);
    apply(&mut owner, &Change { publication: Some(&spec), ..change(&upkeep, PATH) }).await.unwrap();
    assert!(exists(&owner, "public.month").await);
    assert_eq!(journal(&owner).await, []);
}

#[tokio::test]
async fn the_switch_is_all_or_nothing_with_its_publication() {
    let (_database, mut owner) = database().await;
    let spec = publication("sha256:one");
    let broken = plan(vec![
        step(Stage::Prepare, "create table public.prepared ()"),
        step(Stage::Switch, "create table public.switched ()"),
        step(Stage::Switch, "create table nowhere.at_all ()"),
        step(Stage::Finish, "create table public.finished ()"),
    ]);
    let error =
        apply(&mut owner, &Change { publication: Some(&spec), ..change(&broken, PATH) }).await.unwrap_err();
    assert!(matches!(&error, ApplyError::Step { summary, .. } if summary.contains("nowhere")), "{error}");
    assert!(!error.is_transient());
    assert!(exists(&owner, "public.prepared").await);
    assert!(!exists(&owner, "public.switched").await && !exists(&owner, "public.finished").await);
    assert_eq!(provisioned_by_path(&owner, PATH).await.unwrap(), None);
    assert_eq!(journal(&owner).await, [("failed".to_owned(), 1, Some(error.to_string()))]);
}

#[tokio::test]
async fn a_new_tables_plan_is_one_transaction() {
    let (_database, mut owner) = database().await;
    let mut broken = plan(vec![
        step(Stage::Switch, "create table public.first ()"),
        step(Stage::Finish, "create table nowhere.at_all ()"),
    ]);
    broken.creates_table = true;
    let spec = publication("sha256:one");
    apply(&mut owner, &Change { publication: Some(&spec), ..change(&broken, PATH) }).await.unwrap_err();
    assert!(!exists(&owner, "public.first").await);
    assert_eq!(provisioned_by_path(&owner, PATH).await.unwrap(), None);
}

#[tokio::test]
async fn an_approval_holds_for_what_is_left_of_its_plan_until_one_is_done() {
    let (_database, mut owner) = database().await;
    let begun = async |owner: &Client, hash: &str| begun_statements(owner, PATH, hash).await.unwrap();
    let none = BTreeSet::new();
    let first = plan(vec![
        step(Stage::Prepare, "create table public.a ()"),
        step(Stage::Switch, "drop table public.none"),
    ]);
    let unapproved = change(&first, PATH);
    apply(&mut owner, &unapproved).await.unwrap_err();
    assert_eq!(begun(&owner, unapproved.spec_hash).await, none);

    let rest = plan(first.steps[1..].to_vec());
    apply(&mut owner, &Change { approved: true, ..change(&rest, PATH) }).await.unwrap_err();
    let approved: BTreeSet<String> = ["drop table public.none".to_owned()].into();
    assert_eq!(begun(&owner, unapproved.spec_hash).await, approved);
    assert_eq!(begun(&owner, "sha256:of-another").await, none);
    assert_eq!(
        begun_statements(&owner, "any/plans/test/other/v1", unapproved.spec_hash).await.unwrap(),
        none
    );

    // The same once more is the same entry; another one supersedes it where it is still running.
    apply(&mut owner, &change(&rest, PATH)).await.unwrap_err();
    owner.batch_execute("update platform.plans set state = 'running' where id = 2").await.unwrap();
    let good = plan(vec![step(Stage::Switch, "create table public.none ()")]);
    let states = async |owner: &Client| -> Vec<String> {
        journal(owner).await.into_iter().map(|(state, _, _)| state).collect()
    };
    let broken = plan(vec![step(Stage::Switch, "create table nowhere.x ()")]);
    apply(&mut owner, &change(&broken, PATH)).await.unwrap_err();
    assert_eq!(states(&owner).await, ["failed", "superseded", "failed"]);
    assert_eq!(begun(&owner, unapproved.spec_hash).await, approved, "also of a superseded one");

    apply(&mut owner, &change(&good, PATH)).await.unwrap();
    assert_eq!(begun(&owner, unapproved.spec_hash).await, none);
}

#[tokio::test]
async fn a_full_disk_is_named_and_tried_again() {
    let (_database, mut owner) = database().await;
    let full = plan(vec![step(
        Stage::Prepare,
        "do $$ begin raise exception 'could not extend file' using errcode = '53100'; end $$",
    )]);
    let error = apply(&mut owner, &change(&full, PATH)).await.unwrap_err();
    assert!(error.is_transient());
    assert!(error.to_string().contains("the database's disk is full (could not extend file)"), "{error}");
    assert_eq!(journal(&owner).await[0].2, Some(error.to_string()));
}

#[tokio::test]
async fn a_session_that_is_ended_is_transient_and_the_next_one_goes_on() {
    let (database, mut owner) = database().await;
    let ends = plan(vec![step(Stage::Prepare, "select pg_terminate_backend(pg_backend_pid())")]);
    let error = apply(&mut owner, &change(&ends, PATH)).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    let mut owner = database.owner().await;
    assert_eq!(journal(&owner).await, [("running".to_owned(), 0, None)]);
    apply(&mut owner, &change(&plan(vec![step(Stage::Switch, "create table public.a ()")]), PATH))
        .await
        .unwrap();
    let states: Vec<String> = journal(&owner).await.into_iter().map(|(state, _, _)| state).collect();
    assert_eq!(states, ["superseded", "done"]);
}

#[tokio::test]
async fn plans_are_forgotten_after_ninety_days_unless_they_run() {
    let (_database, mut owner) = database().await;
    for name in ["a", "b", "c"] {
        let one = plan(vec![step(Stage::Switch, &format!("create table public.{name} ()"))]);
        apply(&mut owner, &change(&one, PATH)).await.unwrap();
    }
    owner
        .batch_execute(
            "update platform.plans set finished_at = now() - interval '91 days' where id < 3;
             update platform.plans set state = 'running' where id = 2",
        )
        .await
        .unwrap();
    assert_eq!(sweep_plans(&owner).await.unwrap(), 1);
    assert_eq!(journal(&owner).await.len(), 2);
}

/// A table of so many rows, and the step that counts how often it came by each of them.
async fn backfill(owner: &Client, rows: i32, silent: bool) -> Plan {
    let sql = format!(
        "create table public.big (id text collate \"C\" primary key, touched int not null default 0, operation text, actor text);
         insert into public.big (id) select lpad(n::text, 6, '0') from generate_series(1, {rows}) n"
    );
    owner.batch_execute(&sql).await.unwrap();
    let mut step = step(
        Stage::Prepare,
        "with page as (select id from public.big where ($1::text is null or id > $1) order by id limit $2),
           done as (update public.big b set touched = touched + 1, operation = current_setting('velocity.operation', true),
             actor = current_setting('velocity.actor', true) from page where b.id = page.id)
         select max(id), count(*) from page",
    );
    step.how = How::Batches { name: "touch".to_owned(), silent };
    plan(vec![step])
}

async fn touched(owner: &Client) -> (i64, i64) {
    let row = owner
        .query_one(
            "select count(*) filter (where touched = 1), count(*) filter (where touched > 1) from public.big",
            &[],
        )
        .await
        .unwrap();
    (row.get(0), row.get(1))
}

#[tokio::test]
async fn a_backfill_goes_through_all_rows_once_and_says_who_it_is() {
    for (silent, operation) in [(true, "BACKFILL"), (false, "")] {
        let (_database, mut owner) = database().await;
        let wanted = backfill(&owner, 4_500, silent).await;
        apply(&mut owner, &change(&wanted, PATH)).await.unwrap();
        assert_eq!(touched(&owner).await, (4_500, 0));
        let rows = owner.query("select distinct operation, actor from public.big", &[]).await.unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].get::<_, &str>(0), rows[0].get::<_, &str>(1)), (operation, "velocity-operator"));
        let left: i64 = owner.query_one("select count(*) from platform.backfills", &[]).await.unwrap().get(0);
        assert_eq!(left, 0);
    }
}

#[tokio::test]
async fn a_backfill_that_was_killed_goes_on_behind_its_last_batch() {
    let (database, mut owner) = database().await;
    let wanted = backfill(&owner, 9_000, true).await;
    let reached = Notify::new();
    let note = |progress: Progress| {
        if progress.rows > 0 {
            reached.notify_one();
        }
    };
    let first = Change { progress: Some(&note), ..change(&wanted, PATH) };
    tokio::select! {
        biased;
        () = reached.notified() => {}
        result = apply(&mut owner, &first) => panic!("it was not stopped: {result:?}"),
    }
    drop(owner);
    let mut owner = database.owner().await;
    let cursor = owner
        .query_one("select last_id, rows from platform.backfills where path = $1", &[&PATH])
        .await
        .unwrap();
    assert_eq!((cursor.get::<_, &str>(0), cursor.get::<_, i64>(1)), ("002000", 2_000));
    apply(&mut owner, &change(&wanted, PATH)).await.unwrap();
    assert_eq!(touched(&owner).await, (9_000, 0));
    assert_eq!(journal(&owner).await, [("done".to_owned(), 1, None)], "it is the same plan");
}

#[tokio::test]
async fn a_row_that_someone_holds_lets_a_batch_wait_and_not_fail() {
    let (database, mut owner) = database().await;
    let wanted = backfill(&owner, 3_000, true).await;
    let holder = database.owner().await;
    holder.batch_execute("begin; select from public.big where id = '002500' for update").await.unwrap();
    let applied = tokio::spawn(async move {
        apply(&mut owner, &change(&wanted, PATH)).await.unwrap();
        owner
    });
    // Once it has waited for as long as it does, and was told that the lock is not to be had.
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let waits = async || holder.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) > 0;
    while !waits().await {
        tokio::task::yield_now().await;
    }
    while waits().await {
        tokio::task::yield_now().await;
    }
    holder.batch_execute("rollback").await.unwrap();
    assert_eq!(touched(&applied.await.unwrap()).await, (3_000, 0));
}

#[tokio::test]
async fn another_plan_forgets_the_cursors_that_it_has_no_part_in() {
    let (_database, mut owner) = database().await;
    let sql = "insert into platform.backfills (path, name, last_id) values ($1, 'touch', '1'), ('any/plans/test/other/v1', 'touch', '1')";
    owner.execute(sql, &[&PATH]).await.unwrap();
    apply(&mut owner, &change(&plan(vec![step(Stage::Switch, "create table public.a ()")]), PATH))
        .await
        .unwrap();
    let left = owner.query("select path from platform.backfills", &[]).await.unwrap();
    assert_eq!((left.len(), left[0].get::<_, &str>(0)), (1, "any/plans/test/other/v1"));
}
