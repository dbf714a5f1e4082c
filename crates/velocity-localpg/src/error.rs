//! Why there is no Postgres, in words that say what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Why a private Postgres could not be started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No usable installation, and fetching one was not allowed or not possible.
    #[error("no usable Postgres found.\n{searched}\n{way_out}")]
    NotInstalled {
        /// One line for each place that was looked at.
        searched: String,
        /// What to install.
        way_out: String,
    },
    /// The folder that the caller named is not a usable installation.
    #[error("VELOCITY_PG_BIN is {}, but {reason}; name the folder that holds `postgres` and `initdb`", dir.display())]
    BadBinDir {
        /// What was named.
        dir: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The cluster belongs to another major version than any installed Postgres.
    #[error(
        "{} was made by Postgres {data}, and no Postgres {data} was found.\n{searched}\nInstall Postgres {data}, or set \
         VELOCITY_PG_BIN to its folder, or move the data away to begin anew", data_dir.display()
    )]
    OtherMajor {
        /// The cluster.
        data_dir: PathBuf,
        /// Its major version.
        data: u32,
        /// One line for each place that was looked at.
        searched: String,
    },
    /// Another process runs a Postgres on this folder.
    #[error("{} is in use by another process; stop that one first, or use another data directory", data_dir.display())]
    InUse {
        /// The folder.
        data_dir: PathBuf,
    },
    /// The account that runs Postgres cannot get at a folder.
    #[error(
        "Postgres does not run as root, and the user `{account}`, which runs it instead, cannot enter {}: \
         {} keeps it out. Use a data directory elsewhere, or `chmod o+x {}`", path.display(), blocked_by.display(),
        blocked_by.display()
    )]
    NotReachable {
        /// The user.
        account: String,
        /// Where it has to get to.
        path: PathBuf,
        /// The folder on the way that it may not enter.
        blocked_by: PathBuf,
    },
    /// The cluster was made by another user.
    #[error(
        "{} belongs to the user with id {owner}, and this process runs as {me}: start it as that user or as root, or use \
         another data directory", path.display()
    )]
    OwnedByOther {
        /// The cluster.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who asks.
        me: u32,
    },
    /// Neither `postgres` nor `nobody` exists, and Postgres refuses to run as root.
    #[error(
        "Postgres does not run as root, and there is neither a user `postgres` nor `nobody` to run it as"
    )]
    NoAccount,
    /// A folder where nobody else may put things was tampered with.
    #[error("{} is not what this program made: {reason}. Look at it, then remove it", path.display())]
    Tampered {
        /// The path.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A setting that keeps the server private or that names one of our paths.
    #[error("the setting `{name}` cannot be chosen: it is what keeps this Postgres private")]
    ReservedSetting {
        /// The setting.
        name: String,
    },
    /// Not the name of a setting.
    #[error("`{name}` is not the name of a Postgres setting")]
    BadSettingName {
        /// What was given.
        name: String,
    },
    /// A path that Postgres's own programs refuse.
    #[error("the data directory {path:?} has a line break in its name, which Postgres cannot use")]
    BadDataDir {
        /// What was given.
        path: PathBuf,
    },
    /// A name that Postgres would refuse or cut.
    #[error("`{name}` cannot be the superuser's name: it must have 1 to 63 bytes and not begin with `pg_`")]
    BadSuperuser {
        /// What was given.
        name: String,
    },
    /// `initdb` failed.
    #[error("initdb failed ({status}):\n{output}")]
    Initdb {
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        output: String,
    },
    /// The server ended before it was ready.
    #[error("Postgres did not start ({status}). The end of {}:\n{tail}", log.display())]
    DidNotStart {
        /// How it ended.
        status: ExitStatus,
        /// The log file.
        log: PathBuf,
        /// What this start wrote there.
        tail: String,
    },
    /// The server runs but accepts no connections.
    #[error("Postgres was not ready after {seconds} s. The end of {}:\n{tail}", log.display())]
    NotReady {
        /// How long was waited.
        seconds: u64,
        /// The log file.
        log: PathBuf,
        /// What this start wrote there.
        tail: String,
    },
    /// A process does not end, not even when killed.
    #[error("the Postgres with process id {pid} does not stop")]
    WillNotStop {
        /// The process.
        pid: i32,
    },
    /// The operating system refused something.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The refusal.
        #[source]
        source: io::Error,
    },
    /// The binaries could not be fetched.
    #[error("could not fetch Postgres. {way_out}")]
    Download {
        /// How to do without.
        way_out: String,
        /// What went wrong.
        #[source]
        source: DownloadError,
    },
    /// The async runtime is going away.
    #[error("interrupted: the runtime is shutting down")]
    Interrupted,
}

impl Error {
    pub(crate) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// Why binaries could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// No binaries are published for this machine.
    #[error("there is none for {platform}")]
    NoneForPlatform {
        /// Operating system and processor.
        platform: String,
    },
    /// The registry could not be reached or did not answer well.
    #[error("could not get {url}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What arrived is not what was pinned.
    #[error("{url} has the sha512 {actual}, not the pinned {expected}: it was not used")]
    ChecksumMismatch {
        /// Where it came from.
        url: String,
        /// What is pinned in this program.
        expected: String,
        /// What arrived.
        actual: String,
    },
    /// More arrived than any Postgres is long.
    #[error("{url} is longer than {limit} bytes: it was not used")]
    TooLong {
        /// Where it came from.
        url: String,
        /// Bytes.
        limit: u64,
    },
    /// The archive holds something that has no place in it.
    #[error("the archive is not as expected: {reason}")]
    BadArchive {
        /// What.
        reason: String,
    },
    /// Writing to the cache failed.
    #[error("could not {action} {}", path.display())]
    Cache {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The refusal.
        #[source]
        source: io::Error,
    },
    /// The fetched binaries do not run here.
    #[error("the fetched binaries do not run on this system: {reason}")]
    DoesNotRun {
        /// What was tried and what it said.
        reason: String,
    },
    /// The async runtime is going away.
    #[error("interrupted: the runtime is shutting down")]
    Interrupted,
}
