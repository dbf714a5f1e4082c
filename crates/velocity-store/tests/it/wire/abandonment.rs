//! Callers that go away, at every point, under load.

use std::{future::Future, time::Duration};

use velocity_store::wire::{Params, ResultSet, Session, Statement, TransactionMode, WireError};

use super::fixture::{Database, eventually, pipeline, sql, text};

const OWN: &str = "select tenant, current_user::text, current_setting('velocity.tenant') from items";

/// Polls a future some times, lets things happen in between, and drops it unless it has ended.
async fn abandon_after<T>(polls: usize, pause: Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        if let std::task::Poll::Ready(done) = futures::poll!(&mut future) {
            return Some(done);
        }
        if pause.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(pause).await;
        }
    }
    None
}

/// A small deterministic generator: which tenant, and how long the caller stays.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

fn assert_only(result: &ResultSet, role: &str, tenant: &str) {
    for row in 0..result.rows().len() {
        assert_eq!(text(result, row, 0), tenant, "another tenant's row");
        assert_eq!(text(result, row, 1), role, "another role");
        assert_eq!(text(result, row, 2), tenant, "another tenant's setting");
    }
}

/// Whatever was cancelled or gone may fail; anything else is a fault.
fn harmless(error: &WireError) -> bool {
    matches!(error.code(), Some(code) if code == "57014")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_requests_never_leak_a_transaction_or_another_tenants_rows() {
    let db = Database::new().await;
    let (pool, mux) = (db.exclusive(3), db.mux(2));
    let workers = (0..8_u64).map(|worker| {
        let (pool, mux) = (pool.clone(), mux.clone());
        let sessions: Vec<_> = (0..8)
            .map(|i| {
                let (role, tenant) = (["a", "b"][i % 2], format!("t{}", i / 2));
                (db.role(role), db.session(role, &tenant), tenant)
            })
            .collect();
        tokio::spawn(async move {
            let mut seed = worker;
            let mut answers = 0;
            for _ in 0..250 {
                let (role, session, tenant) = &sessions[usize::try_from(next(&mut seed) % 8).unwrap()];
                let pause =
                    Duration::from_micros([0, 0, 50, 300][usize::try_from(next(&mut seed) % 4).unwrap()]);
                let polls = usize::try_from(next(&mut seed) % 12).unwrap();
                let lane = next(&mut seed) % 4;
                let request = pipeline(session.clone(), [sql(OWN)]);
                let outcome = match lane {
                    0 => abandon_after(polls, pause, mux.pipeline(request))
                        .await
                        .map(|r| r.map(|mut r| r.remove(0))),
                    1 => abandon_after(polls, pause, pool.pipeline(request))
                        .await
                        .map(|r| r.map(|mut r| r.remove(0))),
                    2 => {
                        let slow = [sql("select pg_sleep(0.01)"), sql(OWN)];
                        let call = pool.pipeline(pipeline(session.clone(), slow));
                        abandon_after(polls, pause, call).await.map(|r| r.map(|mut r| r.remove(1)))
                    }
                    _ => abandon_after(polls * 3, pause, in_transaction(&pool, session.clone())).await,
                };
                match outcome {
                    Some(Ok(result)) => {
                        answers += 1;
                        assert_only(&result, role, tenant);
                    }
                    Some(Err(error)) => assert!(harmless(&error), "{error}"),
                    None => {}
                }
            }
            answers
        })
    });
    let answers: usize = futures::future::join_all(workers).await.into_iter().map(Result::unwrap).sum();
    assert!(answers > 200, "only {answers} calls were answered: this tested nothing");
    eventually("no transaction is left open", async || db.open_transactions().await == 0).await;
    eventually("all connections are back", async || {
        pool.counters().in_use == 0 && mux.counters().in_flight == 0
    })
    .await;
    let counters = pool.counters();
    assert!(counters.idle > 0 && counters.discarded <= counters.created, "{counters:?}");

    let rows = db.admin.query_one("select count(*) from items where note = 'leak'", &[]).await.unwrap();
    assert_eq!(rows.get::<_, i64>(0), 0, "no transaction was committed");
    for _ in 0..6 {
        let who = "select current_user::text, current_setting('velocity.tenant', true)";
        let result = pool.pipeline(pipeline(Session::login(), [sql(who)])).await.unwrap();
        assert_eq!(text(&result[0], 0, 0), db.role("api"));
        assert!(["", "null"].contains(&&*text(&result[0], 0, 1)));
    }
}

/// Writes, reads, and leaves without a commit.
async fn in_transaction(
    pool: &velocity_store::wire::Exclusive,
    session: Session,
) -> Result<ResultSet, WireError> {
    let mut transaction = pool.begin(session, TransactionMode::ReadWrite, None).await?;
    let mut params = Params::new();
    params.int4(i32::MAX);
    let insert = "insert into items (id, note) select $1 - (random() * 1000000)::int, 'leak'";
    transaction.run(Statement::new(insert, params)).await?;
    transaction.run(sql(OWN)).await
}

#[tokio::test]
async fn a_request_that_was_queued_runs_to_its_end_on_the_mux_lane_although_nobody_waits() {
    let db = Database::new().await;
    let mux = db.mux(1);
    mux.pipeline(pipeline(db.session("a", "t1"), [sql("select 1")])).await.unwrap();
    let write = mux.pipeline(pipeline(
        db.session("a", "t1"),
        [sql("select pg_sleep(0.1)"), sql("insert into parents values (77)")],
    ));
    assert!(abandon_after(1, Duration::ZERO, write).await.is_none());
    eventually("the row is there", async || {
        let row = db.admin.query_one("select count(*) from parents where id = 77", &[]).await.unwrap();
        row.get::<_, i64>(0) == 1
    })
    .await;
}

#[tokio::test]
async fn a_request_dropped_on_the_exclusive_lane_is_cancelled_and_the_next_one_is_not() {
    let db = Database::new().await;
    let pool = db.exclusive(1);
    let session = || db.session("a", "t1");
    pool.pipeline(pipeline(session(), [sql("select 1")])).await.unwrap();
    for round in 0..30 {
        let sleep = pool.pipeline(pipeline(
            session(),
            [sql("insert into parents values (1)"), sql("select pg_sleep(600)")],
        ));
        let pause = Duration::from_micros(round * 150);
        assert!(abandon_after(2, pause, sleep).await.is_none());
        // Would wait for ten minutes, or be hit by the cancel, if either were wrong.
        let next = pool.pipeline(pipeline(session(), [sql("select pg_sleep(0.002)"), sql("select 1")])).await;
        assert!(next.is_ok(), "round {round}: {next:?}");
    }
    assert_eq!(pool.counters().created, 1, "the connection was kept");
    let row = db.admin.query_one("select count(*) from parents", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 0);
}
