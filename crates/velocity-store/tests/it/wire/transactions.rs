//! Transactions of several round trips, and rows in chunks.

use velocity_store::wire::{
    ResultLimit, SqlState, Transaction, TransactionMode, UnavailableReason, WireError,
};

use super::fixture::{Database, ROWS, eventually, int8, pipeline, sql, text};

async fn begin(db: &Database, pool: &velocity_store::wire::Exclusive) -> Transaction {
    pool.begin(db.session("a", "t1"), TransactionMode::ReadWrite, None).await.unwrap()
}

async fn parents(db: &Database) -> i64 {
    db.admin.query_one("select count(*) from parents", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_committed_transaction_stays_and_its_settings_do_not() {
    let db = Database::new().await;
    let pool = db.exclusive(1);
    let mut transaction = begin(&db, &pool).await;
    transaction.run(sql("insert into parents values (1)")).await.unwrap();
    let who = "select current_user::text, current_setting('velocity.tenant')";
    let seen = transaction.run_all(vec![sql(who), sql("select count(*) from items")]).await.unwrap();
    assert_eq!((text(&seen[0], 0, 0), text(&seen[0], 0, 1)), (db.role("a"), "t1".into()));
    assert_eq!(int8(&seen[1], 0, 0), i64::try_from(ROWS).unwrap());
    assert_eq!(parents(&db).await, 0, "not before the commit");
    transaction.commit().await.unwrap();
    assert_eq!(parents(&db).await, 1);
    let after = pool.pipeline(pipeline(
        velocity_store::wire::Session::login(),
        [sql("select current_user::text, current_setting('velocity.tenant', true)")],
    ));
    let after = after.await.unwrap();
    assert_eq!((text(&after[0], 0, 0), text(&after[0], 0, 1)), (db.role("api"), String::new()));
    assert_eq!(pool.counters().created, 1);
}

#[tokio::test]
async fn rolled_back_and_dropped_transactions_leave_nothing_and_give_the_connection_back() {
    let db = Database::new().await;
    let pool = db.exclusive(1);
    let mut transaction = begin(&db, &pool).await;
    transaction.run(sql("insert into parents values (1)")).await.unwrap();
    transaction.rollback().await.unwrap();
    let mut transaction = begin(&db, &pool).await;
    transaction.run(sql("insert into parents values (2)")).await.unwrap();
    drop(transaction);
    drop(begin(&db, &pool).await);
    begin(&db, &pool).await.commit().await.unwrap();
    pool.pipeline(pipeline(db.session("a", "t1"), [sql("select 1")])).await.unwrap();
    assert_eq!(parents(&db).await, 0);
    let counters = pool.counters();
    assert_eq!((counters.created, counters.discarded), (1, 0));
}

#[tokio::test]
async fn a_call_that_is_dropped_half_way_is_cancelled_and_poisons_its_transaction() {
    let db = Database::new().await;
    let pool = db.exclusive(1);
    let mut transaction = begin(&db, &pool).await;
    transaction.run(sql("insert into parents values (1)")).await.unwrap();
    {
        let mut call = Box::pin(transaction.run(sql("select pg_sleep(600)")));
        assert!(futures::poll!(&mut call).is_pending());
    }
    assert!(matches!(transaction.run(sql("select 1")).await, Err(WireError::TransactionAbandoned)));
    assert!(matches!(transaction.commit().await, Err(WireError::TransactionAbandoned)));
    // Would wait for ten minutes without the cancel.
    pool.pipeline(pipeline(db.session("a", "t1"), [sql("select 1")])).await.unwrap();
    assert_eq!(parents(&db).await, 0);
    eventually("no transaction is left open", async || db.open_transactions().await == 0).await;
}

#[tokio::test]
async fn a_commit_that_is_dropped_half_way_still_commits() {
    let db = Database::new().await;
    let pool = db.exclusive(1);
    let mut transaction = begin(&db, &pool).await;
    transaction.run(sql("insert into parents values (1)")).await.unwrap();
    let mut commit = Box::pin(transaction.commit());
    assert!(futures::poll!(&mut commit).is_pending());
    drop(commit);
    eventually("the row is there", async || parents(&db).await == 1).await;
    pool.pipeline(pipeline(db.session("a", "t1"), [sql("select 1")])).await.unwrap();
    assert_eq!(pool.counters().created, 1);
}

#[tokio::test]
async fn after_an_error_nothing_can_be_committed_except_from_a_savepoint() {
    let db = Database::new().await;
    let pool = db.exclusive(1);
    let mut transaction = begin(&db, &pool).await;
    transaction.run(sql("insert into parents values (1)")).await.unwrap();
    assert!(transaction.run(sql("select 1 / 0")).await.is_err());
    assert!(matches!(transaction.commit().await, Err(WireError::TransactionFailed)));
    assert_eq!(parents(&db).await, 0);

    let mut transaction = begin(&db, &pool).await;
    transaction.run_all(vec![sql("insert into parents values (1)"), sql("savepoint s")]).await.unwrap();
    let error = transaction.run(sql("insert into parents values (1)")).await.unwrap_err();
    assert_eq!(error.code(), Some(SqlState::UNIQUE_VIOLATION));
    transaction.run(sql("rollback to savepoint s")).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(parents(&db).await, 1);
}

#[tokio::test]
async fn a_deferred_constraint_fails_the_commit() {
    let db = Database::new().await;
    let pool = db.exclusive(1);
    let mut transaction = begin(&db, &pool).await;
    transaction.run(sql("insert into children values (1, 99)")).await.unwrap();
    let error = transaction.commit().await.unwrap_err();
    assert_eq!(error.code(), Some(SqlState::FOREIGN_KEY_VIOLATION));
    pool.pipeline(pipeline(db.session("a", "t1"), [sql("select 1")])).await.unwrap();
}

#[tokio::test]
async fn the_closure_form_commits_on_success_and_rolls_back_on_failure() {
    let db = Database::new().await;
    let pool = db.exclusive(1);
    let insert = async |fail: bool| {
        pool.transaction(db.session("a", "t1"), TransactionMode::ReadWrite, None, async |transaction| {
            transaction.run(sql("insert into parents values (3)")).await?;
            if fail { Err(WireError::TransactionFailed) } else { Ok(7) }
        })
        .await
    };
    assert!(insert(true).await.is_err());
    assert_eq!(parents(&db).await, 0);
    assert_eq!(insert(false).await.unwrap(), 7);
    assert_eq!(parents(&db).await, 1);
}

#[tokio::test]
async fn a_role_that_may_not_be_taken_fails_the_transactions_first_statement() {
    let db = Database::new().await;
    let pool = db.exclusive(1);
    let session = db.session("stranger", "t1");
    let mut transaction = pool.begin(session, TransactionMode::ReadWrite, None).await.unwrap();
    let error = transaction.run(sql("insert into parents values (1)")).await.unwrap_err();
    assert_eq!(error.code(), Some(SqlState::INSUFFICIENT_PRIVILEGE));
    assert!(transaction.run(sql("insert into parents values (1)")).await.is_err());
    assert!(transaction.commit().await.is_err());
    assert_eq!(parents(&db).await, 0);
}

#[tokio::test]
async fn a_result_that_is_too_large_leaves_the_transaction_usable() {
    let db = Database::new().await;
    let pool = db.exclusive(1);
    let mut transaction = begin(&db, &pool).await;
    let large = sql("select repeat('x', 1000) from generate_series(1, 20000)")
        .limit(ResultLimit { max_rows: 10, max_bytes: 1_000_000 });
    for _ in 0..20 {
        let error = transaction.run(large.clone()).await.unwrap_err();
        assert!(matches!(error, WireError::ResultTooLarge { .. }), "{error}");
        transaction.run(sql("select pg_sleep(0.001)")).await.unwrap();
    }
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn a_dead_idle_connection_is_replaced_before_the_transaction_begins() {
    let db = Database::new().await;
    let pool = db.exclusive(1);
    pool.pipeline(pipeline(db.session("a", "t1"), [sql("select 1")])).await.unwrap();
    let mut transaction = begin(&db, &pool).await;
    db.admin
        .execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1",
            &[&db.role("api")],
        )
        .await
        .unwrap();
    let other = db.exclusive(1);
    eventually("the pool has noticed", async || {
        other.pipeline(pipeline(db.session("a", "t1"), [sql("select 1")])).await.is_ok()
    })
    .await;
    // Either it was noticed before anything was sent, or the outcome is unknown and said to be.
    match transaction.run(sql("select 1")).await {
        Ok(_) => transaction.commit().await.unwrap(),
        Err(error) => assert_eq!(error.unavailable().unwrap().reason, UnavailableReason::ServerClosing),
    }
}

#[tokio::test]
async fn rows_come_in_chunks_and_the_server_works_only_as_far_as_it_is_asked() {
    let db = Database::new().await;
    db.run("create sequence made; grant usage, select on made to $db_a").await;
    let pool = db.exclusive(1);
    let mut transaction = pool.begin(db.session("a", "t1"), TransactionMode::ReadWrite, None).await.unwrap();
    let rows = sql("select nextval('made'), repeat('x', 100) as filler from generate_series(1, 100000)");
    let mut stream = transaction.stream(rows, 500).unwrap();
    let mut expected = 1;
    for _ in 0..3 {
        let chunk = stream.next_chunk().await.unwrap().unwrap();
        assert_eq!(chunk.len(), 500);
        for row in chunk.iter() {
            assert_eq!(row.get(0).unwrap(), i64::to_be_bytes(expected));
            expected += 1;
        }
        let made: i64 = db.admin.query_one("select last_value from made", &[]).await.unwrap().get(0);
        assert_eq!(made, expected - 1, "nothing is computed ahead");
    }
    assert_eq!(stream.columns()[1].name, "filler");
    while let Some(chunk) = stream.next_chunk().await.unwrap() {
        expected += i64::try_from(chunk.len()).unwrap();
    }
    assert_eq!(expected, 100_001);
    assert!(stream.next_chunk().await.unwrap().is_none());
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn a_stream_can_be_left_early_and_the_transaction_goes_on() {
    let db = Database::new().await;
    let pool = db.exclusive(1);
    let mut transaction = pool.begin(db.session("a", "t1"), TransactionMode::Snapshot, None).await.unwrap();
    let mut stream = transaction.stream(sql("select id from items order by id"), 7).unwrap();
    assert_eq!(stream.next_chunk().await.unwrap().unwrap().len(), 7);
    stream.close().await.unwrap();
    let mut second = transaction.stream(sql("select id from items where false"), 7).unwrap();
    assert!(second.next_chunk().await.unwrap().is_none());
    drop(second);
    let open = transaction.run(sql("select count(*) from pg_cursors where name = 'p1'")).await.unwrap();
    assert_eq!(int8(&open, 0, 0), 0);
    let error = transaction.run(sql("insert into parents values (1)")).await.unwrap_err();
    assert_eq!(error.code().unwrap(), "25006", "a snapshot is for reading");
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_stream_ends_it() {
    let db = Database::new().await;
    let pool = db.exclusive(1);
    let mut transaction = pool.begin(db.session("a", "t1"), TransactionMode::Snapshot, None).await.unwrap();
    let mut stream =
        transaction.stream(sql("select 1 / (15 - i) from generate_series(1, 50) i"), 10).unwrap();
    assert_eq!(stream.next_chunk().await.unwrap().unwrap().len(), 10);
    assert_eq!(stream.next_chunk().await.unwrap_err().code().unwrap(), "22012");
    assert!(stream.next_chunk().await.unwrap().is_none());
    drop(transaction);

    let mut transaction = pool.begin(db.session("a", "t1"), TransactionMode::Snapshot, None).await.unwrap();
    let wide = sql("select repeat('x', 2000) from generate_series(1, 50)")
        .limit(ResultLimit { max_rows: 0, max_bytes: 10_000 });
    let mut stream = transaction.stream(wide, 10).unwrap();
    assert!(matches!(stream.next_chunk().await, Err(WireError::ResultTooLarge { .. })));
}
