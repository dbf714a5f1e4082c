//! Rows that do not fit a plan are counted and named.

use velocity_sql::ddl::{Check, Finding, Lock, Otherwise, Plan, Stage, Step};
use velocity_store::ddl::{ProbeError, probe};
use velocity_testkit::{PLATFORM, TestDatabase};

fn step(from: &str) -> Step {
    Step::safe(Stage::Prepare, format!("check {from}"), Lock::None, "select").needs(Check {
        from: from.to_owned(),
        complaint: "have no value".to_owned(),
        way_out: "give them one".to_owned(),
        otherwise: Otherwise::Block,
    })
}

#[tokio::test]
async fn the_rows_are_counted_and_the_first_three_named_by_id() {
    let database = TestDatabase::create_from(&PLATFORM).await;
    let mut owner = database.owner().await;
    owner
        .batch_execute(
            "create table public.item (id bigint, deleted_at timestamptz, gate text);
             insert into public.item select n, case when n = 9 then now() end, case when n < 8 then 'g' end from generate_series(1, 20) n",
        )
        .await
        .unwrap();
    let steps = vec![
        Step::safe(Stage::Prepare, "no check", Lock::None, "select"),
        step("from public.item r where r.gate is null"),
        step("from public.item r where r.id > 20"),
    ];
    let findings = probe(&mut owner, &Plan { steps, ..Plan::default() }).await.unwrap();
    let found = Finding { count: 13, samples: ["8", "9 (deleted)", "10"].map(str::to_owned).to_vec() };
    assert_eq!(findings, [(1, found), (2, Finding::default())].into());
}

#[tokio::test]
async fn a_look_writes_nothing_and_says_which_step_it_was_for() {
    let database = TestDatabase::create_from(&PLATFORM).await;
    let mut owner = database.owner().await;
    owner.batch_execute("create sequence public.s").await.unwrap();
    for from in
        ["from (select nextval('public.s') as id, null as deleted_at) r where r.id > 0", "from public.none r"]
    {
        let plan = Plan { steps: vec![step(from)], ..Plan::default() };
        let error = probe(&mut owner, &plan).await.unwrap_err();
        assert!(matches!(&error, ProbeError::Check { summary, .. } if summary.contains(from)), "{error}");
    }
    assert!(probe(&mut owner, &Plan::default()).await.unwrap().is_empty());
}
