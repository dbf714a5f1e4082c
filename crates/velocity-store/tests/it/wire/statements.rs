//! Prepared statements: found again, kept apart, dropped, renewed.

use std::sync::Arc;

use velocity_store::wire::{Connection, Params, Scope, Session, Statement, TransactionMode};

use super::fixture::{Database, eventually, int8, pipeline, sql, text};

async fn connection(db: &Database) -> Connection {
    Connection::connect(&Arc::new(db.config())).await.unwrap()
}

/// Prepared statements of this connection whose text matches.
async fn prepared(connection: &Connection, like: &str) -> i64 {
    let mut params = Params::new();
    params.text(like);
    let statement =
        Statement::new("select count(*) from pg_prepared_statements where statement like $1", params);
    int8(&connection.pipeline(pipeline(Session::login(), [statement])).await.unwrap()[0], 0, 0)
}

#[tokio::test]
async fn a_statement_is_prepared_once_per_role() {
    let db = Database::new().await;
    let connection = connection(&db).await;
    for _ in 0..5 {
        for role in ["a", "b"] {
            connection
                .pipeline(pipeline(db.session(role, "t1"), [sql("select id from items")]))
                .await
                .unwrap();
        }
    }
    assert_eq!(prepared(&connection, "select id from items").await, 2);
    assert_eq!(prepared(&connection, "%set_config%").await, 1, "one for all sessions of this shape");
}

#[tokio::test]
async fn the_server_keeps_no_more_statements_than_the_cache() {
    let db = Database::new().await;
    let connection = connection(&db).await;
    for round in 0..2 {
        for i in 0..300 {
            let statements = [sql(&format!("select {i}::int8"))];
            let results = connection.pipeline(pipeline(db.session("a", "t1"), statements)).await.unwrap();
            assert_eq!(int8(&results[0], 0, 0), i, "round {round}");
        }
    }
    assert!(prepared(&connection, "%").await <= 256 + 2);
}

#[tokio::test]
async fn a_pipeline_longer_than_the_cache_runs() {
    let db = Database::new().await;
    let connection = connection(&db).await;
    for _ in 0..2 {
        let statements: Vec<_> = (0..400).map(|i| sql(&format!("select {i}::int8"))).collect();
        let results = connection.pipeline(pipeline(db.session("a", "t1"), statements)).await.unwrap();
        assert!((0..400).all(|i| int8(&results[i], 0, 0) == i64::try_from(i).unwrap()));
    }
}

#[tokio::test]
async fn a_changed_table_renews_the_statement_without_the_caller_noticing() {
    let db = Database::new().await;
    let connection = connection(&db).await;
    let all = || [sql("select * from parents"), sql("select * from items limit 1")];
    connection.pipeline(pipeline(db.session("a", "t1"), all())).await.unwrap();
    db.run("alter table parents add column extra text default 'new'; insert into parents values (1)").await;
    let results = connection.pipeline(pipeline(db.session("a", "t1"), all())).await.unwrap();
    assert_eq!(results[0].columns().len(), 2);
    assert_eq!(text(&results[0], 0, 1), "new");
    db.run("alter table parents drop column extra").await;
    let results = connection.pipeline(pipeline(db.session("a", "t1"), all())).await.unwrap();
    assert_eq!(results[0].columns().len(), 1);
}

#[tokio::test]
async fn statements_that_the_server_forgot_are_prepared_anew() {
    let db = Database::new().await;
    let connection = connection(&db).await;
    let statements = || [sql("select 1::int8"), sql("select 2::int8")];
    connection.pipeline(pipeline(db.session("a", "t1"), statements())).await.unwrap();
    connection.pipeline(pipeline(Session::login(), [sql("deallocate all")])).await.unwrap();
    let results = connection.pipeline(pipeline(db.session("a", "t1"), statements())).await.unwrap();
    assert_eq!(int8(&results[1], 0, 0), 2);
}

#[tokio::test]
async fn a_transactions_first_statement_is_renewed_too_and_a_commit_needs_no_prepared_statement() {
    let db = Database::new().await;
    let pool = db.exclusive(1);
    let read = sql("select * from parents");
    pool.pipeline(pipeline(db.session("a", "t1"), [read.clone()])).await.unwrap();
    db.run("alter table parents add column extra int").await;
    let mut transaction = pool.begin(db.session("a", "t1"), TransactionMode::ReadWrite, None).await.unwrap();
    assert_eq!(transaction.run(read.clone()).await.unwrap().columns().len(), 2);
    transaction.run(sql("insert into parents values (5)")).await.unwrap();
    transaction.run(sql("deallocate all")).await.unwrap();
    transaction.commit().await.unwrap();
    let results = pool.pipeline(pipeline(db.session("a", "t1"), [read])).await.unwrap();
    assert_eq!(results[0].rows().len(), 1);
    assert_eq!(pool.counters().created, 1);
}

#[tokio::test]
async fn a_changed_table_is_not_noticed_by_transactions_however_many_connections_have_the_old_plan() {
    let db = Database::new().await;
    let pool = db.exclusive(3);
    let read = sql("select * from parents");
    let warm_up = (0..3).map(|_| {
        let (pool, request) =
            (pool.clone(), pipeline(db.session("a", "t1"), [read.clone(), sql("select pg_sleep(0.1)")]));
        async move { pool.pipeline(request).await.unwrap() }
    });
    futures::future::join_all(warm_up).await;
    assert_eq!(pool.counters().created, 3);
    db.run("alter table parents add column extra int").await;
    let mut transactions = Vec::new();
    for _ in 0..3 {
        let mut transaction =
            pool.begin(db.session("a", "t1"), TransactionMode::ReadWrite, None).await.unwrap();
        assert_eq!(transaction.run(read.clone()).await.unwrap().columns().len(), 2);
        transactions.push(transaction);
    }
    for transaction in transactions {
        transaction.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_renewed_transaction_keeps_its_connection_although_others_wait_for_one() {
    let db = Database::new().await;
    let pool = db.exclusive(2);
    let begin = async || pool.begin(db.session("a", "t1"), TransactionMode::ReadWrite, None).await.unwrap();
    let read = sql("select * from parents");
    let (mut one, mut two) = (begin().await, begin().await);
    one.run(read.clone()).await.unwrap();
    two.run(read.clone()).await.unwrap();
    one.commit().await.unwrap();
    two.commit().await.unwrap();
    db.run("alter table parents add column extra int").await;
    let (holder, mut transaction) = (begin().await, begin().await);
    let waiter = tokio::spawn({
        let (pool, session) = (pool.clone(), db.session("a", "t1"));
        async move { pool.pipeline(pipeline(session, [sql("select pg_sleep(0.5)")])).await }
    });
    eventually("somebody waits", async || pool.counters().waiting == 1).await;
    // A connection that went to the waiter meanwhile would leave only the other one, whose plan is old too.
    let release = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        drop(holder);
    };
    let (renewed, ()) = futures::join!(transaction.run(read), release);
    assert_eq!(renewed.unwrap().columns().len(), 2);
    transaction.commit().await.unwrap();
    waiter.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_schemas_new_generation_drops_its_statements() {
    let db = Database::new().await;
    let connection = connection(&db).await;
    let at = |schema, generation, text: &str| sql(text).scope(Scope { schema, generation });
    let run = async |statement| {
        connection.pipeline(pipeline(db.session("a", "t1"), [statement])).await.unwrap();
    };
    run(at(1, 1, "select 'one'")).await;
    run(at(1, 1, "select 'one' || 'more'")).await;
    run(at(2, 1, "select 'two'")).await;
    run(at(1, 2, "select 'one'")).await;
    // Close messages travel with the next request.
    run(sql("select 0")).await;
    assert_eq!(prepared(&connection, "select 'one'%").await, 1);
    assert_eq!(prepared(&connection, "select 'two'").await, 1);
}

#[tokio::test]
async fn many_callers_of_a_new_statement_at_once_all_get_their_answer_and_none_runs_twice() {
    let db = Database::new().await;
    db.run("create sequence runs; grant usage on runs to $db_a").await;
    let connection = Arc::new(connection(&db).await);
    // Every other request fails before its statement is parsed: nobody may rely on that one's Parse.
    let calls = (0..60).map(|i| {
        let (connection, session) = (Arc::clone(&connection), db.session("a", "t1"));
        async move {
            let mut params = Params::new();
            params.int8(i);
            let echo = Statement::new("select $1 as echo", params);
            let statements = if i % 2 == 0 {
                vec![sql("select 1 / 0"), echo]
            } else {
                vec![sql("select nextval('runs')"), echo]
            };
            (i, connection.pipeline(pipeline(session, statements)).await)
        }
    });
    for (i, outcome) in futures::future::join_all(calls).await {
        match outcome {
            Ok(results) => assert_eq!(int8(&results[1], 0, 0), i),
            Err(error) => assert!(i % 2 == 0 && error.code().unwrap() == "22012", "{i}: {error}"),
        }
    }
    let runs: i64 = db.admin.query_one("select last_value from runs", &[]).await.unwrap().get(0);
    assert_eq!(runs, 30);
    let mut params = Params::new();
    params.int8(0);
    let echo = Statement::new("select $1 as echo", params);
    connection.pipeline(pipeline(db.session("a", "t1"), [echo])).await.unwrap();
    assert_eq!(prepared(&connection, "%as echo").await, 1);
}
