//! Databases for tests.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::Client;

use crate::cluster::{TestCluster, connect, execute, with_causes};
use crate::template::Template;
use crate::{API, OWNER};

/// A database for one test, dropped with this value.
///
/// Roles belong to the cluster, not to the database: tests that run at once and create roles of the same
/// names meet each other. Use other names, or a [`TestCluster`].
pub struct TestDatabase {
    name: String,
    admin_url: String,
    owner_url: String,
    api_url: String,
    /// A URL up to the user, who comes last.
    url_of_nobody: String,
}

impl TestDatabase {
    /// A fresh, empty database in the Postgres that the tests of this process share.
    pub async fn create() -> Self {
        TestCluster::shared().await.create_database().await
    }

    /// A fresh clone of the template's database, which is set up by whoever comes first.
    pub async fn create_from(template: &Template) -> Self {
        let cluster = TestCluster::shared().await;
        let source = template.database(cluster).await;
        Self::create_in(cluster, source).await
    }

    pub(crate) async fn create_in(cluster: &TestCluster, source: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        cluster.execute(&format!("create database {name} template {source}")).await;
        Self {
            owner_url: cluster.url(OWNER, &name).await,
            api_url: cluster.url(API, &name).await,
            admin_url: cluster.admin_url().to_owned(),
            url_of_nobody: cluster.url("", &name).await,
            name,
        }
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Connects as the superuser that owns everything, as the operator does.
    pub fn owner_url(&self) -> &str {
        &self.owner_url
    }

    /// Connects as `velocity_api`, as the API does.
    pub fn api_url(&self) -> &str {
        &self.api_url
    }

    /// Connects as any role. The name must be one that needs no escapes in a URL.
    pub fn url(&self, user: &str) -> String {
        format!("{}{user}", self.url_of_nobody)
    }

    /// A client that is logged in as the owner.
    pub async fn owner(&self) -> Client {
        self.client(OWNER).await
    }

    /// A client that is logged in as `user`.
    pub async fn client(&self, user: &str) -> Client {
        connect(&self.url(user))
            .await
            .unwrap_or_else(|error| panic!("{user} cannot log in: {}", with_causes(&error)))
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let url = std::mem::take(&mut self.admin_url);
        let sql = format!("drop database {} with (force)", self.name);
        // Beside the test, whose runtime may be ending. Nobody waits: with the process, the cluster goes too.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                drop(runtime.block_on(execute(&url, &sql)));
            }
        });
    }
}
