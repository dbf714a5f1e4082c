//! What one request sees, leaves behind, and reports.

use std::sync::Arc;

use velocity_store::wire::{
    Connection, Params, Place, RequestError, ResultLimit, Session, SqlState, Statement, WireError, types,
};

use super::fixture::{Database, ROWS, int8, pipeline, sql, text};

const WHO: &str = "select current_user::text, current_setting('velocity.tenant', true), \
                   current_setting('statement_timeout')";

async fn connection(db: &Database) -> Connection {
    Connection::connect(&Arc::new(db.config())).await.unwrap()
}

#[tokio::test]
async fn role_settings_and_timeout_hold_for_the_statements_of_the_request_and_no_longer() {
    let db = Database::new().await;
    let connection = connection(&db).await;
    let request = pipeline(db.session("a", "t1"), [sql(WHO), sql("select count(*) from items")])
        .statement_timeout(std::time::Duration::from_millis(1234));
    let results = connection.pipeline(request).await.unwrap();
    assert_eq!(text(&results[0], 0, 0), db.role("a"));
    assert_eq!(text(&results[0], 0, 1), "t1");
    assert_eq!(text(&results[0], 0, 2), "1234ms");
    assert_eq!(int8(&results[1], 0, 0), i64::try_from(ROWS).unwrap());

    let after = connection.pipeline(pipeline(Session::login(), [sql(WHO)])).await.unwrap();
    assert_eq!(text(&after[0], 0, 0), db.role("api"));
    assert_eq!(text(&after[0], 0, 1), "");
    assert_eq!(text(&after[0], 0, 2), "0");
}

#[tokio::test]
async fn nothing_is_left_after_an_error_either() {
    let db = Database::new().await;
    let connection = connection(&db).await;
    let statements = [sql("insert into parents values (1)"), sql("select 1 / 0")];
    let error = connection.pipeline(pipeline(db.session("a", "t1"), statements)).await.unwrap_err();
    let error = error.database().unwrap();
    assert_eq!((error.code.as_str(), error.place), ("22012", Place::Statement(1)));

    let after = connection.pipeline(pipeline(Session::login(), [sql(WHO)])).await.unwrap();
    assert_eq!(text(&after[0], 0, 0), db.role("api"));
    assert_eq!(text(&after[0], 0, 1), "");
    let count =
        connection.pipeline(pipeline(db.session("a", "t1"), [sql("select count(*) from parents")])).await;
    assert_eq!(int8(&count.unwrap()[0], 0, 0), 0, "the insert before the error was undone");
}

#[tokio::test]
async fn a_role_that_the_login_may_not_take_runs_nothing() {
    let db = Database::new().await;
    let connection = connection(&db).await;
    for role in ["stranger", "nobody_at_all"] {
        let statements = [sql("insert into parents values (7)")];
        let error = connection.pipeline(pipeline(db.session(role, "t1"), statements)).await.unwrap_err();
        assert_eq!(error.database().unwrap().place, Place::Settings, "{role}");
    }
    let rows = db.admin.query_one("select count(*) from parents", &[]).await.unwrap();
    assert_eq!(rows.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn without_a_role_the_login_may_do_nothing() {
    let db = Database::new().await;
    let connection = connection(&db).await;
    let error =
        connection.pipeline(pipeline(Session::login(), [sql("select * from items")])).await.unwrap_err();
    assert_eq!(error.code(), Some(SqlState::INSUFFICIENT_PRIVILEGE));
}

#[tokio::test]
async fn a_deferred_constraint_that_fails_at_the_sync_is_an_error_with_all_its_fields() {
    let db = Database::new().await;
    let connection = connection(&db).await;
    let statements = [sql("insert into children values (1, 99)")];
    let error = connection.pipeline(pipeline(db.session("a", "t1"), statements)).await.unwrap_err();
    let error = error.database().unwrap();
    assert_eq!((error.code, error.place), (SqlState::FOREIGN_KEY_VIOLATION, Place::Commit));
    assert_eq!(error.constraint.as_deref(), Some("children_parent"));
    assert_eq!(error.table.as_deref(), Some("children"));
    assert_eq!(error.schema.as_deref(), Some("public"));
    assert!(error.detail.as_deref().unwrap().contains("(99)"));
    assert!(!format!("{error:?}").contains("(99)"), "values stay out of debug output");

    let error = connection
        .pipeline(pipeline(db.session("a", "t1"), [sql("insert into items (id) values (null)")]))
        .await
        .unwrap_err();
    assert_eq!(error.database().unwrap().column.as_deref(), Some("id"));
    let rows = db.admin.query_one("select count(*) from children", &[]).await.unwrap();
    assert_eq!(rows.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn parameters_keep_their_declared_type_from_one_value_to_the_next() {
    let db = Database::new().await;
    let connection = connection(&db).await;
    let count = async |numeric: &[u8]| {
        let mut params = Params::new();
        params.push(types::NUMERIC, Some(numeric));
        let statement = Statement::new("select count(*) from items where amount >= $1", params);
        let result = connection.pipeline(pipeline(db.session("a", "t1"), [statement])).await;
        int8(&result.unwrap()[0], 0, 0)
    };
    // Amounts are 1.5, 2.5 .. 20.5: ten of them are above 10, and one less above 11.5 with its fraction.
    assert_eq!(count(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 11]).await, 10);
    assert_eq!(count(&[0, 2, 0, 0, 0, 0, 0, 1, 0, 11, 0x17, 0x70]).await, 9, "11.6");
    assert_eq!(count(&[0, 2, 0, 0, 0, 0, 0, 1, 0, 10, 0x13, 0x88]).await, 11, "10.5");
}

#[tokio::test]
async fn the_same_text_with_another_parameter_type_is_another_statement() {
    let db = Database::new().await;
    let connection = connection(&db).await;
    let type_of = async |oid, value: &[u8]| {
        let mut params = Params::new();
        params.push(oid, Some(value));
        let statement = Statement::new("select pg_typeof($1)::text", params);
        let result = connection.pipeline(pipeline(db.session("a", "t1"), [statement])).await.unwrap();
        text(&result[0], 0, 0)
    };
    assert_eq!(type_of(types::INT4, &[0, 0, 0, 1]).await, "integer");
    assert_eq!(type_of(types::TEXT, b"1").await, "text");
    assert_eq!(type_of(types::INT4, &[0, 0, 0, 1]).await, "integer");
}

#[tokio::test]
async fn values_come_back_binary_with_their_columns_and_the_affected_count() {
    let db = Database::new().await;
    let connection = connection(&db).await;
    let statements = [
        sql("update items set note = null where id <= 3 returning id, note"),
        sql("select 1::int8 as one where false"),
        sql(""),
    ];
    let results = connection.pipeline(pipeline(db.session("a", "t1"), statements)).await.unwrap();
    assert_eq!(results.len(), 3);
    assert_eq!((results[0].affected(), results[0].tag()), (3, "UPDATE 3"));
    let columns: Vec<_> = results[0].columns().iter().map(|c| (&*c.name, c.oid)).collect();
    assert_eq!(columns, [("id", types::INT4), ("note", types::TEXT)]);
    assert_eq!(
        results[0].rows().get(0).unwrap().values().collect::<Vec<_>>(),
        [Some(&[0, 0, 0, 1][..]), None]
    );
    assert!(results[1].rows().is_empty());
    assert_eq!(results[1].columns().len(), 1);
}

#[tokio::test]
async fn a_result_beyond_its_limit_is_an_error_and_the_connection_goes_on() {
    let db = Database::new().await;
    let connection = connection(&db).await;
    let rows = sql("select repeat('x', 1000) from generate_series(1, 50000)");
    let huge = sql("select repeat('x', 30000000)");
    for (statement, limit) in [
        (rows.clone(), ResultLimit { max_rows: 100, max_bytes: usize::MAX }),
        (rows, ResultLimit { max_rows: usize::MAX, max_bytes: 100_000 }),
        (huge, ResultLimit { max_rows: 1, max_bytes: 100_000 }),
    ] {
        let statements = [sql("select 1"), statement.limit(limit)];
        let error = connection.pipeline(pipeline(db.session("a", "t1"), statements)).await.unwrap_err();
        assert!(
            matches!(error, WireError::ResultTooLarge { statement: 1, limit: found } if found == limit),
            "{error}"
        );
    }
    assert!(connection.pipeline(pipeline(db.session("a", "t1"), [sql(WHO)])).await.is_ok());
}

#[tokio::test]
async fn a_statement_that_would_open_a_transaction_ends_the_connection() {
    let db = Database::new().await;
    let connection = connection(&db).await;
    let error = connection.pipeline(pipeline(db.session("a", "t1"), [sql("begin")])).await.unwrap_err();
    assert!(matches!(error, WireError::TransactionState { state: 'T' }), "{error}");
    assert!(connection.is_closed());
    let error = connection.pipeline(pipeline(db.session("a", "t1"), [sql(WHO)])).await.unwrap_err();
    assert!(error.unavailable().is_some());
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_it_is_queued() {
    let db = Database::new().await;
    let connection = connection(&db).await;
    let mut untyped = Params::new();
    untyped.push(0, Some(b"1"));
    for statement in [sql("select '\0'"), Statement::new("select $1", untyped)] {
        let error = connection.pipeline(pipeline(db.session("a", "t1"), [statement])).await.unwrap_err();
        assert!(matches!(error, WireError::Request(_)), "{error}");
    }
    assert!(matches!(Session::with("r", &[("role", "x")]), Err(RequestError::SettingName { .. })));
    // What Postgres itself refuses is its error, and does no harm.
    let mut params = Params::new();
    params.text("a\0b");
    let error = connection
        .pipeline(pipeline(db.session("a", "t1"), [Statement::new("select $1", params)]))
        .await
        .unwrap_err();
    assert_eq!(error.code().unwrap(), "22021");
    assert!(connection.pipeline(pipeline(db.session("a", "t1"), [sql(WHO)])).await.is_ok());
}

#[tokio::test]
async fn notices_and_changed_parameters_do_not_disturb_the_answer() {
    let db = Database::new().await;
    let connection = connection(&db).await;
    assert!(connection.parameter("server_version").unwrap().starts_with("15"));
    let statements = [
        sql("select set_config('application_name', 'changed', true)"),
        sql("do $$ begin raise notice 'one'; raise warning 'two'; end $$"),
        sql("select 42::int8"),
    ];
    let results = connection.pipeline(pipeline(db.session("a", "t1"), statements)).await.unwrap();
    assert_eq!(int8(&results[2], 0, 0), 42);
}
