//! The shared Postgres and its databases, as a test uses them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;
use velocity_testkit::{Template, TestCluster, TestDatabase};

static WITH_A_TABLE: Template = Template::new("with_a_table", |owner_url| {
    Box::pin(async move {
        let (client, connection) = tokio_postgres::connect(&owner_url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
            .batch_execute("create table made_once (id int); insert into made_once values (7)")
            .await
            .unwrap();
    })
});

#[tokio::test]
async fn databases_of_one_template_do_not_see_each_others_rows() {
    let (one, other) =
        tokio::join!(TestDatabase::create_from(&WITH_A_TABLE), TestDatabase::create_from(&WITH_A_TABLE));
    one.owner().await.batch_execute("delete from made_once").await.unwrap();

    let left = |rows: Vec<tokio_postgres::Row>| rows.len();
    assert_eq!(left(one.owner().await.query("select id from made_once", &[]).await.unwrap()), 0);
    assert_eq!(left(other.owner().await.query("select id from made_once", &[]).await.unwrap()), 1);
}

#[tokio::test]
async fn a_plain_database_is_empty_and_its_api_role_may_do_nothing() {
    let database = TestDatabase::create().await;
    let (client, connection) =
        tokio_postgres::connect(database.api_url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let who = client.query_one("select current_user::text, current_database()::text", &[]).await.unwrap();
    assert_eq!((who.get::<_, &str>(0), who.get::<_, &str>(1)), ("velocity_api", database.name()));

    let error = client.batch_execute("create table mine (id int)").await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
}

#[tokio::test]
async fn a_killed_postgres_comes_back_with_what_was_committed() {
    let cluster = TestCluster::start().await;
    let database = cluster.create_database_with(&WITH_A_TABLE).await;
    let client = database.owner().await;
    client.batch_execute("insert into made_once values (8)").await.unwrap();

    cluster.kill_postgres().await;
    // A backend ends when it notices that its postmaster is gone, which takes it a moment.
    let mut attempts = 0;
    while client.batch_execute("select 1").await.is_ok() {
        attempts += 1;
        assert!(attempts < 1000, "the connection outlives its server");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    cluster.restart_postgres().await;

    let count: i64 =
        database.owner().await.query_one("select count(*) from made_once", &[]).await.unwrap().get(0);
    assert_eq!(count, 2);
}

#[tokio::test]
async fn a_database_is_dropped_with_its_value_also_while_someone_is_connected() {
    let cluster = TestCluster::start().await;
    let database = cluster.create_database().await;
    let _still_connected = database.owner().await;
    let name = database.name().to_owned();
    drop(database);

    let other = cluster.create_database().await;
    let other = other.owner().await;
    let begin = Instant::now();
    while other.query_opt("select from pg_database where datname = $1", &[&name]).await.unwrap().is_some() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{name} stays");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

const HOLD: &str = "TESTKIT_HOLD";

/// Not a test: what the next one kills.
#[tokio::test]
#[ignore = "run by another test, in a process of its own"]
async fn hold_a_cluster() {
    if std::env::var_os(HOLD).is_none() {
        return;
    }
    let cluster = TestCluster::start().await;
    println!("\n{}", cluster.url("velocity_owner", "postgres").await);
    std::future::pending::<()>().await;
}

#[test]
fn a_killed_test_process_leaves_neither_server_nor_files() {
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hold_a_cluster", "--ignored", "--nocapture"])
        .env(HOLD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let url = lines.map(Result::unwrap).find(|line| line.starts_with("postgres://")).unwrap();
    let config: tokio_postgres::Config = url.parse().unwrap();
    let [Host::Unix(socket_dir)] = config.get_hosts() else { panic!("{url}") };
    let folder: PathBuf = socket_dir.ancestors().nth(2).unwrap().to_owned();
    assert!(folder.file_name().unwrap().to_str().unwrap().starts_with("velocity-test-"), "{folder:?}");

    holder.kill().unwrap();
    holder.wait().unwrap();

    let begin = Instant::now();
    while folder.exists() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{} stays", folder.display());
        std::thread::sleep(Duration::from_millis(10));
    }
    let servers = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    let servers = String::from_utf8_lossy(&servers.stdout).into_owned();
    assert!(!servers.contains(folder.to_str().unwrap()), "{servers}");
}
mod workspace;
