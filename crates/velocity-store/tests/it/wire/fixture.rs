//! One private cluster per test process, one database per test.

use std::{
    path::{Path, PathBuf},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};
use velocity_localpg::{Durability, LocalPostgres, Options};
use velocity_store::wire::{
    Config, Exclusive, ExclusiveLimits, Mux, MuxLimits, Params, Pipeline, ResultSet, Session, Statement,
};

/// Fast, and enough connections for all tests at once.
pub(crate) fn options(dir: &Path) -> Options {
    let mut options = Options::new(dir);
    options.durability = Durability::None;
    options.offline = true;
    options.settings.push(("max_connections".into(), "300".into()));
    options
}

struct Cluster {
    postgres: LocalPostgres,
    _dir: TempDir,
}

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
    // Tests come and go with their runtimes; the cluster stays until the process ends.
    std::thread::spawn(|| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let postgres = runtime.block_on(LocalPostgres::start(options(dir.path()))).unwrap();
        std::mem::forget(runtime);
        Cluster { postgres, _dir: dir }
    })
    .join()
    .unwrap()
});

/// A database with two tenants' rows under row-level security.
pub(crate) struct Database {
    pub(crate) name: String,
    pub(crate) admin: Client,
    pub(crate) socket_dir: String,
    pub(crate) bin_dir: PathBuf,
}

/// How many rows each tenant has.
pub(crate) const ROWS: u64 = 20;

impl Database {
    /// In the shared cluster.
    pub(crate) async fn new() -> Self {
        let cluster = tokio::task::spawn_blocking(|| &*CLUSTER).await.unwrap();
        Self::in_cluster(&cluster.postgres).await
    }

    pub(crate) async fn in_cluster(postgres: &LocalPostgres) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("wire{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let root = connect(&postgres.url(postgres.superuser(), "postgres")).await;
        root.batch_execute(&format!("create database {name}")).await.unwrap();
        let admin = connect(&postgres.url(postgres.superuser(), &name)).await;
        admin.batch_execute(&SETUP.replace("$db", &name).replace("$rows", &ROWS.to_string())).await.unwrap();
        let socket_dir = postgres.socket_dir().display().to_string();
        Self { name, admin, socket_dir, bin_dir: postgres.bin_dir().to_owned() }
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.admin.batch_execute(&sql.replace("$db", &self.name)).await.unwrap();
    }

    /// For the API's login role.
    pub(crate) fn config(&self) -> Config {
        self.config_of(&format!("{}_api", self.name))
    }

    pub(crate) fn config_of(&self, user: &str) -> Config {
        let text = format!("host={} user={user} dbname={}", self.socket_dir, self.name);
        text.parse().unwrap()
    }

    pub(crate) fn exclusive(&self, connections: usize) -> Exclusive {
        Exclusive::new(self.config(), ExclusiveLimits { connections, ..ExclusiveLimits::default() })
    }

    pub(crate) fn mux(&self, connections: usize) -> Mux {
        let limits =
            MuxLimits { connections, statement_timeout: Duration::from_secs(30), ..MuxLimits::default() };
        Mux::new(self.config(), limits)
    }

    /// The role of the domain whose name ends in `role`.
    pub(crate) fn role(&self, role: &str) -> String {
        format!("{}_{role}", self.name)
    }

    /// A session of role `a` or `b` for a tenant.
    pub(crate) fn session(&self, role: &str, tenant: &str) -> Session {
        Session::with(self.role(role), &[("velocity.tenant", tenant)]).unwrap()
    }

    /// How many backends of the API's login role sit inside a transaction.
    pub(crate) async fn open_transactions(&self) -> i64 {
        let row = self
            .admin
            .query_one(
                "select count(*) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid() \
                 and xact_start is not null",
                &[&self.name],
            )
            .await
            .unwrap();
        row.get(0)
    }
}

const SETUP: &str = "
    create role $db_api login noinherit;
    create role $db_a; create role $db_b; create role $db_stranger;
    grant $db_a, $db_b to $db_api;
    create table items (tenant text not null default current_setting('velocity.tenant'), id int not null,
        amount numeric not null default 0, note text, primary key (tenant, id));
    create table parents (id int primary key);
    create table children (id int primary key,
        parent int constraint children_parent references parents deferrable initially deferred);
    insert into items (tenant, id, amount, note)
        select 't' || t, i, i + 0.5, 'note ' || i from generate_series(1, $rows) i, generate_series(0, 3) t;
    alter table items enable row level security;
    create policy tenant on items using
        (tenant = (select nullif(current_setting('velocity.tenant', true), '')));
    grant select, insert, update, delete on items, parents, children to $db_a, $db_b;
";

pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A statement without parameters.
pub(crate) fn sql(text: &str) -> Statement {
    Statement::new(text, Params::new())
}

pub(crate) fn pipeline(session: Session, statements: impl Into<Vec<Statement>>) -> Pipeline {
    Pipeline { session, statement_timeout: None, statements: statements.into() }
}

/// A value as text, null as "null".
pub(crate) fn text(result: &ResultSet, row: usize, column: usize) -> String {
    let value = result.rows().get(row).unwrap().get(column);
    value.map_or("null".into(), |value| String::from_utf8(value.to_vec()).unwrap())
}

/// A `bigint` value.
pub(crate) fn int8(result: &ResultSet, row: usize, column: usize) -> i64 {
    let value = result.rows().get(row).unwrap().get(column).unwrap();
    i64::from_be_bytes(value.try_into().unwrap())
}

/// Waits until something is so, for as long as a slow machine may need.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}
