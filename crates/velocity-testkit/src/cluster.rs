//! Postgres servers for tests.

use velocity_localpg::{Durability, LocalPostgres, Options};

use tokio::sync::{Mutex, OnceCell};
use tokio_postgres::{Client, NoTls};

use crate::database::TestDatabase;
use crate::scratch::Scratch;
use crate::template::Template;
use crate::{API, OWNER};

/// A Postgres of the test's own. It is stopped and removed when dropped.
pub struct TestCluster {
    // Stopped before the folder goes.
    postgres: Mutex<LocalPostgres>,
    admin_url: String,
    _scratch: Scratch,
}

impl TestCluster {
    /// Starts a Postgres with nothing in it but the roles [`OWNER`] and [`API`] (about 0.7 s).
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same, after `change` has had a look at the options.
    pub async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let scratch = Scratch::new().unwrap_or_else(|error| panic!("no temporary folder: {error}"));
        let mut options = Options::new(scratch.path().join("postgres"));
        options.bin_dir = std::env::var_os("VELOCITY_PG_BIN").map(Into::into);
        options.search_path = std::env::var_os("PATH");
        options.durability = Durability::None;
        // Many tests at once, each with pools.
        options.settings = vec![("max_connections".to_owned(), "400".to_owned())];
        change(&mut options);
        let postgres = LocalPostgres::start(options)
            .await
            .unwrap_or_else(|error| panic!("tests need a Postgres: {}", with_causes(&error)));
        let admin_url = postgres.url(OWNER, "postgres");
        let cluster = Self { postgres: Mutex::new(postgres), admin_url, _scratch: scratch };
        cluster.execute(&format!("create role {API} login noinherit")).await;
        cluster
    }

    /// The Postgres that the tests of this process share. It must not be restarted or killed.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceCell<TestCluster> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// A fresh, empty database.
    pub async fn create_database(&self) -> TestDatabase {
        TestDatabase::create_in(self, "template1").await
    }

    /// A fresh database that the template's setup has run in.
    pub async fn create_database_with(&self, template: &Template) -> TestDatabase {
        let database = self.create_database().await;
        template.set_up(database.owner_url()).await;
        database
    }

    /// A connection URL for any role and database of this cluster.
    pub async fn url(&self, user: &str, database: &str) -> String {
        self.postgres.lock().await.url(user, database)
    }

    /// Stops Postgres and starts it again, as an administrator would. Connections break.
    pub async fn restart_postgres(&self) {
        let result = self.postgres.lock().await.restart().await;
        result.unwrap_or_else(|error| panic!("Postgres did not restart: {}", with_causes(&error)));
    }

    /// Kills Postgres without any shutdown. [`TestCluster::restart_postgres`] brings it back.
    pub async fn kill_postgres(&self) {
        let result = self.postgres.lock().await.kill().await;
        result.unwrap_or_else(|error| panic!("Postgres could not be killed: {}", with_causes(&error)));
    }

    pub(crate) fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// Runs one statement as the owner, outside any test database.
    pub(crate) async fn execute(&self, sql: &str) {
        execute(&self.admin_url, sql)
            .await
            .unwrap_or_else(|error| panic!("`{sql}` failed: {}", with_causes(&error)));
    }
}

pub(crate) async fn execute(url: &str, sql: &str) -> Result<(), tokio_postgres::Error> {
    connect(url).await?.batch_execute(sql).await
}

/// A client whose connection is driven by the current runtime.
pub(crate) async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // Its errors reach whoever uses the client.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
