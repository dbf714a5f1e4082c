//! Folders, options and connections for these tests.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};
use velocity_localpg::{Durability, LocalPostgres, Options};

/// A temporary folder that other users can pass through.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The data directory of these tests.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path().join("pg")
    }

    pub(crate) fn options(&self) -> Options {
        options(self.data_dir())
    }

    pub(crate) async fn start(&self) -> LocalPostgres {
        LocalPostgres::start(self.options()).await.unwrap()
    }
}

pub(crate) fn options(data_dir: PathBuf) -> Options {
    let mut options = Options::new(data_dir);
    options.bin_dir = std::env::var_os("VELOCITY_PG_BIN").map(Into::into);
    options.search_path = std::env::var_os("PATH");
    options.offline = true;
    // A killed process loses nothing by it, and nothing here can cut the machine's power.
    options.durability = Durability::None;
    options
}

pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub(crate) async fn text(url: &str, sql: &str) -> String {
    connect(url).await.query_one(sql, &[]).await.unwrap().get(0)
}

pub(crate) fn owner_url(postgres: &LocalPostgres) -> String {
    postgres.url("velocity_owner", "postgres")
}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
