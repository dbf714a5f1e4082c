//! The private Postgres itself.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::PORT;
use crate::binaries::{self, Binaries, Search, Version};
use crate::cluster;
use crate::error::Error;
use crate::install_hint::install_hint;
use crate::layout::Layout;
use crate::leftover;
use crate::options::{Options, Progress};
use crate::postmaster::Postmaster;
use crate::url::socket_url;

/// A running Postgres that is this process's own. Dropping it stops it and waits for that;
/// [`LocalPostgres::stop`] does the same without holding up a thread of the runtime.
pub struct LocalPostgres {
    // Declared before `layout`: the server has ended when the lock on the folder goes.
    server: Option<Postmaster>,
    layout: Arc<Layout>,
    binaries: Binaries,
    options: Arc<Options>,
}

impl LocalPostgres {
    /// Starts the Postgres of `options.data_dir`, making its cluster on first use.
    pub async fn start(options: Options) -> Result<Self, Error> {
        options.check()?;
        let options = Arc::new(options);
        let layout = {
            let data_dir = options.data_dir.clone();
            Arc::new(blocking(move || Layout::prepare(&data_dir)).await?)
        };
        if let Some(notice) = layout.notice() {
            tracing::warn!("{notice}");
        }
        let binaries = obtain_binaries(&layout, &options).await?;
        let server = {
            let (layout, binaries, options) = (layout.clone(), binaries.clone(), options.clone());
            blocking(move || {
                leftover::clear(&layout, &options)?;
                cluster::ensure(&layout, &binaries, &options)?;
                options.progress.report(Progress::Starting);
                Postmaster::start(&layout, &binaries, &options)
            })
            .await?
        };
        Ok(Self { server: Some(server), layout, binaries, options })
    }

    /// A connection URL for libpq and tokio-postgres.
    pub fn url(&self, user: &str, database: &str) -> String {
        socket_url(&self.layout.socket_dir, user, database)
    }

    /// The superuser that this cluster was asked to have.
    pub fn superuser(&self) -> &str {
        &self.options.superuser
    }

    /// The folder of the socket, for `host=`.
    pub fn socket_dir(&self) -> &Path {
        &self.layout.socket_dir
    }

    /// The port that clients must name to find the socket.
    pub fn port(&self) -> u16 {
        PORT
    }

    /// The cluster's folder, where it really is.
    pub fn cluster_dir(&self) -> PathBuf {
        self.layout.data()
    }

    /// The server's log.
    pub fn log_file(&self) -> PathBuf {
        self.layout.log()
    }

    /// The version that runs.
    pub fn version(&self) -> &Version {
        &self.binaries.version
    }

    /// The folder of the programs that run.
    pub fn bin_dir(&self) -> &Path {
        &self.binaries.dir
    }

    /// The server's process id.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Postmaster::pid)
    }

    /// What a person should be told, in one sentence: that the data is not below the folder they named.
    pub fn notice(&self) -> Option<String> {
        self.layout.notice()
    }

    /// Waits until the server has ended, by a crash, a signal or [`LocalPostgres::kill`].
    pub async fn exited(&self) -> ExitStatus {
        let Some(mut ended) = self.server.as_ref().map(Postmaster::ended) else {
            return ExitStatus::default();
        };
        let status = ended.wait_for(Option::is_some).await;
        status.ok().and_then(|status| *status).unwrap_or_default()
    }

    /// Kills the server as a crash would: nothing is rolled back or written first. For tests of recovery.
    pub async fn kill(&mut self) -> Result<(), Error> {
        match self.server.take() {
            Some(server) => blocking(move || server.kill()).await,
            None => Ok(()),
        }
    }

    /// Stops the server, when it runs, and starts it again on the same socket.
    pub async fn restart(&mut self) -> Result<(), Error> {
        let server = self.server.take();
        let (layout, binaries, options) = (self.layout.clone(), self.binaries.clone(), self.options.clone());
        let server = blocking(move || {
            if let Some(server) = server {
                server.stop()?;
            }
            leftover::clear(&layout, &options)?;
            Postmaster::start(&layout, &binaries, &options)
        })
        .await?;
        self.server = Some(server);
        Ok(())
    }

    /// Stops the server: open transactions are rolled back, everyone is disconnected, and all is on disk.
    pub async fn stop(mut self) -> Result<(), Error> {
        if let Some(server) = self.server.take() {
            blocking(move || server.stop()).await?;
        }
        Ok(())
    }
}

/// Runs `work` where it may block. A result that nobody takes any more is dropped there: a server is stopped.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(failure) => match failure.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_cancelled) => Err(Error::Interrupted),
        },
    }
}

/// An installed Postgres, one fetched earlier, or one fetched now.
async fn obtain_binaries(layout: &Arc<Layout>, options: &Arc<Options>) -> Result<Binaries, Error> {
    let (searched, major) = {
        let (layout, options) = (layout.clone(), options.clone());
        let search = move || {
            let major = cluster::major(&layout.data())?;
            Ok((binaries::find(&options, &layout.account, major)?, major))
        };
        match blocking(search).await? {
            (Search::Found(binaries), _) => return Ok(binaries),
            (Search::Missing(searched), major) => (searched, major),
        }
    };
    if options.bin_dir.is_none()
        && let Some(binaries) = fetch(layout, options, major).await?
    {
        return Ok(binaries);
    }
    Err(match major {
        Some(data) => Error::OtherMajor { data_dir: layout.data(), data, searched },
        None => Error::NotInstalled { searched, way_out: install_hint() },
    })
}

#[cfg(feature = "download")]
async fn fetch(
    layout: &Arc<Layout>,
    options: &Arc<Options>,
    major: Option<u32>,
) -> Result<Option<Binaries>, Error> {
    use crate::download;

    let Some(cache_dir) = options.cache_dir.clone() else { return Ok(None) };
    if major.is_some_and(|major| major != download::MAJOR) {
        return Ok(None);
    }
    let cached = {
        let account = layout.account.clone();
        blocking(move || Ok(download::cached(&cache_dir, &account))).await?
    };
    if cached.is_some() || options.offline {
        return Ok(cached);
    }
    download::fetch(options, &layout.account).await.map(Some).map_err(|source| Error::Download {
        way_out: format!("{} Or set VELOCITY_PG_BIN to the folder of one.", install_hint()),
        source,
    })
}

#[cfg(not(feature = "download"))]
#[expect(clippy::unused_async, reason = "the same shape as with the feature")]
async fn fetch(_: &Arc<Layout>, _: &Arc<Options>, _: Option<u32>) -> Result<Option<Binaries>, Error> {
    Ok(None)
}
