//! Limits of both lanes: who waits, who is refused, what is counted.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use velocity_store::wire::{
    Exclusive, ExclusiveLimits, Mux, MuxLimits, Params, Ran, ResultLimit, Session, Statement,
    TransactionMode, UnavailableReason, WireError,
};

use super::fixture::{Database, eventually, int8, pipeline, sql, text};

const SLEEP: &str = "select pg_sleep(600)";

fn reason(error: &WireError) -> UnavailableReason {
    let unavailable = error.unavailable().unwrap_or_else(|| panic!("{error}"));
    assert_eq!(unavailable.ran, Ran::No);
    assert!(!unavailable.retry_after.is_zero());
    unavailable.reason
}

#[tokio::test]
async fn an_exhausted_exclusive_lane_lets_some_wait_for_a_while_and_refuses_the_rest() {
    let db = Database::new().await;
    let limits = ExclusiveLimits {
        connections: 1,
        waiting: 1,
        acquire_timeout: Duration::from_millis(300),
        ..ExclusiveLimits::default()
    };
    let pool = Exclusive::new(db.config(), limits);
    let holder = tokio::spawn({
        let (pool, session) = (pool.clone(), db.session("a", "t1"));
        async move { pool.pipeline(pipeline(session, [sql(SLEEP)])).await }
    });
    eventually("the connection is in use", async || pool.counters().in_use == 1).await;
    let waiter = tokio::spawn({
        let (pool, session) = (pool.clone(), db.session("a", "t1"));
        async move { pool.pipeline(pipeline(session, [sql("select 1")])).await }
    });
    eventually("somebody waits", async || pool.counters().waiting == 1).await;
    let refused = pool.pipeline(pipeline(db.session("a", "t1"), [sql("select 1")])).await.unwrap_err();
    assert_eq!(reason(&refused), UnavailableReason::QueueFull);
    assert_eq!(reason(&waiter.await.unwrap().unwrap_err()), UnavailableReason::AcquireTimeout);
    let counters = pool.counters();
    assert_eq!((counters.in_use, counters.idle, counters.waiting, counters.refused), (1, 0, 0, 2));

    holder.abort();
    eventually("the connection is free again", async || pool.counters().idle == 1).await;
    assert!(pool.pipeline(pipeline(db.session("a", "t1"), [sql("select 1")])).await.is_ok());
    assert_eq!(pool.counters().created, 1);
}

#[tokio::test]
async fn waiting_callers_are_served_in_order() {
    let db = Database::new().await;
    let pool = db.exclusive(1);
    let holder = pool.begin(db.session("a", "t1"), TransactionMode::ReadWrite, None).await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut callers = Vec::new();
    for i in 0..6 {
        let (waiting, session, order) = (pool.clone(), db.session("a", "t1"), Arc::clone(&order));
        let pool = pool.clone();
        callers.push(tokio::spawn(async move {
            pool.pipeline(pipeline(session, [sql("select 1")])).await.unwrap();
            order.lock().unwrap().push(i);
        }));
        eventually("the caller waits", async || waiting.counters().waiting == i + 1).await;
    }
    drop(holder);
    futures::future::join_all(callers).await;
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn connections_are_made_when_needed_and_up_to_the_limit() {
    let db = Database::new().await;
    let pool = db.exclusive(3);
    assert_eq!(pool.counters().created, 0);
    let calls = (0..20).map(|i| {
        let (pool, session) = (pool.clone(), db.session("a", "t1"));
        async move {
            let mut params = Params::new();
            params.int8(i);
            let echo = Statement::new("select $1, pg_sleep(0.02)", params);
            assert_eq!(int8(&pool.pipeline(pipeline(session, [echo])).await.unwrap()[0], 0, 0), i);
        }
    });
    futures::future::join_all(calls).await;
    let counters = pool.counters();
    assert_eq!((counters.created, counters.idle, counters.in_use), (3, 3, 0));
}

#[tokio::test]
async fn old_and_idle_connections_are_replaced() {
    let db = Database::new().await;
    for limits in [
        ExclusiveLimits { max_lifetime: Duration::ZERO, ..ExclusiveLimits::default() },
        ExclusiveLimits { idle_timeout: Duration::ZERO, ..ExclusiveLimits::default() },
    ] {
        let pool = Exclusive::new(db.config(), limits);
        for _ in 0..3 {
            pool.pipeline(pipeline(db.session("a", "t1"), [sql("select 1")])).await.unwrap();
        }
        assert_eq!(pool.counters().created, 3);
    }
}

#[tokio::test]
async fn a_result_that_is_too_large_is_cut_short_on_the_exclusive_lane() {
    let db = Database::new().await;
    let pool = db.exclusive(1);
    // Without a cancel this would run for hours.
    let endless =
        sql("select generate_series(1, 100000000000)").limit(ResultLimit { max_rows: 10, max_bytes: 10_000 });
    let error = pool.pipeline(pipeline(db.session("a", "t1"), [endless])).await.unwrap_err();
    assert!(matches!(error, WireError::ResultTooLarge { .. }), "{error}");
    assert!(pool.pipeline(pipeline(db.session("a", "t1"), [sql("select 1")])).await.is_ok());
    assert_eq!(pool.counters().created, 1);
}

#[tokio::test]
async fn many_requests_share_few_connections_and_each_gets_its_own_answer() {
    let db = Database::new().await;
    let mux = db.mux(2);
    let calls = (0..300).map(|i| {
        let (tenant, role) = (format!("t{}", i % 4), ["a", "b"][usize::try_from(i % 2).unwrap()]);
        let (mux, session, role) = (mux.clone(), db.session(role, &tenant), db.role(role));
        async move {
            let mut params = Params::new();
            params.int8(i);
            let echo = "select $1, current_user::text, min(tenant), max(tenant) from items";
            let results = mux.pipeline(pipeline(session, [Statement::new(echo, params)])).await.unwrap();
            assert_eq!(int8(&results[0], 0, 0), i);
            assert_eq!(text(&results[0], 0, 1), role);
            assert_eq!((text(&results[0], 0, 2), text(&results[0], 0, 3)), (tenant.clone(), tenant));
        }
    });
    futures::future::join_all(calls).await;
    let counters = mux.counters();
    assert!(counters.created <= 2 && counters.in_flight == 0, "{counters:?}");
}

#[tokio::test]
async fn one_requests_error_does_not_touch_its_neighbours_on_the_same_connection() {
    let db = Database::new().await;
    let mux = db.mux(1);
    let calls = (0..60).map(|i| {
        let (mux, session) = (mux.clone(), db.session("a", "t1"));
        async move {
            let text = if i % 3 == 0 { "select 1 / 0" } else { "select count(*) from items" };
            (i, mux.pipeline(pipeline(session, [sql(text)])).await)
        }
    });
    for (i, outcome) in futures::future::join_all(calls).await {
        assert_eq!(outcome.is_err(), i % 3 == 0, "{outcome:?}");
    }
    assert_eq!(mux.counters().created, 1);
}

#[tokio::test]
async fn the_mux_lane_is_bounded_in_requests_and_in_time() {
    let db = Database::new().await;
    let limits = MuxLimits {
        connections: 1,
        in_flight: 2,
        waiting: 1,
        statement_timeout: Duration::from_millis(300),
        ..MuxLimits::default()
    };
    let mux = Mux::new(db.config(), limits);
    let call = |timeout| {
        let (mux, session) = (mux.clone(), db.session("a", "t1"));
        tokio::spawn(async move {
            let request = pipeline(session, [sql(SLEEP)]);
            mux.pipeline(request.statement_timeout(timeout)).await
        })
    };
    // Neither a longer wish nor "none" goes beyond the lane's own limit.
    let running = [call(Duration::from_mins(15)), call(Duration::ZERO)];
    eventually("both are under way", async || mux.counters().in_flight == 2).await;
    let waiting = call(Duration::from_millis(10));
    eventually("one waits", async || mux.counters().waiting == 1).await;
    let refused = mux.pipeline(pipeline(db.session("a", "t1"), [sql("select 1")])).await.unwrap_err();
    assert_eq!(reason(&refused), UnavailableReason::QueueFull);
    for call in running.into_iter().chain([waiting]) {
        assert_eq!(call.await.unwrap().unwrap_err().code().unwrap(), "57014");
    }
    assert!(mux.pipeline(pipeline(Session::login(), [sql("select 1")])).await.is_ok());
}
