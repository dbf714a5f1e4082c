//! Databases that are set up once and cloned.

use std::pin::Pin;

use tokio::sync::OnceCell;

use crate::cluster::TestCluster;

/// A database that is set up once per process and cloned for each test: cloning costs the same,
/// however long the setup takes.
///
/// ```no_run
/// use velocity_testkit::{Template, TestDatabase};
///
/// static MIGRATED: Template = Template::new("migrated", |owner_url| Box::pin(async move {
///     // connect to `owner_url`, create tables; panic when that fails
///     let _ = owner_url;
/// }));
///
/// # async fn test() {
/// let database = TestDatabase::create_from(&MIGRATED).await;
/// # }
/// ```
pub struct Template {
    name: &'static str,
    setup: Setup,
    database: OnceCell<String>,
}

type Setup = fn(String) -> Pin<Box<dyn Future<Output = ()> + Send>>;

impl Template {
    /// A template of a name that is unique in the test binary, with what fills it: a function of the owner's URL.
    pub const fn new(name: &'static str, setup: Setup) -> Self {
        Self { name, setup, database: OnceCell::const_new() }
    }

    pub(crate) async fn set_up(&self, owner_url: &str) {
        (self.setup)(owner_url.to_owned()).await;
    }

    /// The name of the database to clone, set up by the first who asks.
    pub(crate) async fn database(&self, cluster: &TestCluster) -> &str {
        self.database.get_or_init(|| self.make(cluster)).await
    }

    async fn make(&self, cluster: &TestCluster) -> String {
        let name = format!("template_{}", self.name);
        // A setup that panicked left half a template.
        cluster.execute(&format!("drop database if exists {name} with (force)")).await;
        cluster.execute(&format!("create database {name}")).await;
        self.set_up(&cluster.url(crate::OWNER, &name).await).await;
        // Nobody may be connected to a database that is cloned.
        cluster.execute(&format!("alter database {name} allow_connections false")).await;
        cluster
            .execute(&format!(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
            ))
            .await;
        name
    }
}
