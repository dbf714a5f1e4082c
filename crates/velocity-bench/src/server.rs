//! `velocityd dev` as a child process on a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use tokio::process::{Child, Command};

use crate::args::Args;
use crate::http::{Connection, address};
use crate::process::{Cpu, memory_mib};

/// Includes making a Postgres cluster on a slow disk.
const START_TIMEOUT: Duration = Duration::from_mins(1);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// What the server writes once it serves.
#[derive(Debug, Clone, Deserialize)]
struct Endpoints {
    api: String,
    postgres: String,
}

/// A running server. Killed when dropped; [`Self::stop`] it to keep its data whole.
pub(crate) struct Server {
    dir: PathBuf,
    child: Child,
    pid: u32,
    endpoints: Endpoints,
}

impl Server {
    /// Starts on a folder and waits until everything serves.
    pub(crate) async fn start(args: &Args, dir: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(args.bin_dir.join("velocityd"));
        command.args(["dev", "--listen", "127.0.0.1:0", "--data-dir"]).arg(dir);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.with_extension("log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().context("velocityd cannot be started; build it first")?;
        let endpoints = wait_until_ready(&mut child, dir).await?;
        let pid = child.id().context("velocityd has ended")?;
        Ok(Self { dir: dir.to_owned(), child, pid, endpoints })
    }

    pub(crate) fn api(&self) -> anyhow::Result<SocketAddr> {
        address(&self.endpoints.api)
    }

    /// The owner's login.
    pub(crate) fn postgres(&self) -> anyhow::Result<tokio_postgres::Config> {
        self.endpoints.postgres.parse().context("the URL of Postgres")
    }

    /// The data folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The CLI's configuration, as the administrator.
    pub(crate) fn config(&self) -> PathBuf {
        self.dir.join("config.yaml")
    }

    /// The log of the private Postgres.
    pub(crate) fn postgres_log(&self) -> PathBuf {
        self.dir.join("postgres/postgres.log")
    }

    /// Memory in MiB, of the server alone, not of Postgres.
    pub(crate) fn memory_mib(&self, name: &str) -> anyhow::Result<f64> {
        memory_mib(self.pid, name)
    }

    /// Processor time: its own, and that of Postgres below it.
    pub(crate) fn cpu(&self) -> anyhow::Result<Cpu> {
        Cpu::of(self.pid)
    }

    /// As Ctrl-C does.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(self.pid.cast_signed()), Signal::SIGTERM)?;
        let status = tokio::time::timeout(STOP_TIMEOUT, self.child.wait())
            .await
            .context("velocityd does not stop")??;
        ensure!(status.success(), "velocityd stopped with {status}");
        Ok(())
    }
}

async fn wait_until_ready(child: &mut Child, dir: &Path) -> anyhow::Result<Endpoints> {
    let path = dir.join("endpoints.json");
    let started = Instant::now();
    let log = dir.with_extension("log");
    loop {
        if let Ok(text) = std::fs::read_to_string(&path)
            && let Ok(endpoints) = serde_json::from_str::<Endpoints>(&text)
            && is_ready(&endpoints).await
        {
            return Ok(endpoints);
        }
        if let Some(status) = child.try_wait()? {
            bail!("velocityd ended with {status}: {}", std::fs::read_to_string(&log).unwrap_or_default());
        }
        ensure!(
            started.elapsed() < START_TIMEOUT,
            "velocityd is not ready after {START_TIMEOUT:?}; see {}",
            log.display()
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A file that a killed server left names a port where nobody listens.
async fn is_ready(endpoints: &Endpoints) -> bool {
    let Ok(address) = address(&endpoints.api) else { return false };
    let Ok(mut connection) = Connection::open(address).await else { return false };
    let request = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    connection.exchange(request).await.is_ok_and(|reply| reply.status == 200)
}

/// A folder for data, removed at the end. Others may pass through it: started as root, Postgres is another user.
pub(crate) fn folder() -> anyhow::Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::Builder::new().prefix("velocity-bench-").tempdir()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))?;
    Ok(folder)
}
