//! API and operator as processes of their own, as on a cluster, over a private Postgres and a Kubernetes API in this process.

use std::fs::OpenOptions;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Map, json};
use tokio::process::{Child, Command};
use velocity_access::DevKey;
use velocity_contract::AuthStrategy;
use velocity_localkube::kubeconfig;
use velocity_localpg::{LocalPostgres, Options};

use crate::args::Args;
use crate::calls::Calls;
use crate::http::Connection;
use crate::kubernetes::Kubernetes;
use crate::process::{Cpu, memory_mib};

/// The callers of the Kubernetes API.
pub(crate) const OPERATOR: &str = "operator";
pub(crate) const API: &str = "api";
const DATABASE: &str = "velocity";
const TIMEOUT: Duration = Duration::from_mins(1);
const LIFETIME: Duration = Duration::from_hours(24);

/// A running installation; its processes are killed when it is dropped.
pub(crate) struct Split {
    pub(crate) calls: Calls,
    api: Role,
    operator: Role,
    address: SocketAddr,
    dir: PathBuf,
    key: DevKey,
    postgres: LocalPostgres,
}

/// A process.
struct Role {
    _child: Child,
    pid: u32,
}

impl Split {
    /// Starts everything in a folder and waits until the API is ready.
    pub(crate) async fn start(args: &Args, dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let postgres = LocalPostgres::start(options(args, dir)).await.context("Postgres")?;
        prepare(&postgres).await?;
        let calls = Calls::start(dir)?;
        let key = DevKey::generate()?;
        strategy(&calls, &key).await?;
        let address = free_address()?;
        configure(dir, &calls, &key, address)?;
        let (owner, login) =
            (postgres.url(postgres.superuser(), DATABASE), postgres.url("velocity_api", DATABASE));
        let operator =
            Role::start(args, dir, &calls, (OPERATOR, &owner), &["operator", "--identity", OPERATOR])?;
        let metrics = free_address()?.to_string();
        let listen = address.to_string();
        let arguments = [
            "api",
            "--listen",
            &listen,
            "--metrics-listen",
            &metrics,
            "--default-auth-strategy",
            "velocity/dev",
        ];
        let api = Role::start(args, dir, &calls, (API, &login), &arguments)?;
        let split = Self { calls, api, operator, address, dir: dir.to_owned(), key, postgres };
        split.ready().await?;
        Ok(split)
    }

    async fn ready(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            if let Ok(mut connection) = Connection::open(self.address).await {
                let request = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n";
                if connection.exchange(request).await.is_ok_and(|reply| reply.status == 200) {
                    return Ok(());
                }
            }
            ensure!(
                started.elapsed() < TIMEOUT,
                "the API is not ready; see the logs in {}",
                self.dir.display()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Where the API listens.
    pub(crate) fn api(&self) -> SocketAddr {
        self.address
    }

    /// The CLI's configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.dir.join("config.yaml")
    }

    /// A token of somebody with a role.
    pub(crate) fn token(&self, role: &str) -> anyhow::Result<String> {
        token(&self.key, role)
    }

    /// Memory in MiB: of the API, and of the operator.
    pub(crate) fn memory_mib(&self) -> anyhow::Result<(f64, f64)> {
        Ok((memory_mib(self.api.pid, "VmRSS")?, memory_mib(self.operator.pid, "VmRSS")?))
    }

    /// Processor time in milliseconds: of the API, and of the operator.
    pub(crate) fn cpu_ms(&self) -> anyhow::Result<(f64, f64)> {
        Ok((Cpu::of(self.api.pid)?.own / 1000.0, Cpu::of(self.operator.pid)?.own / 1000.0))
    }

    /// Ends it, the database last.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        drop((self.api, self.operator));
        self.postgres.stop().await.context("Postgres")
    }
}

impl Role {
    fn start(
        args: &Args,
        dir: &Path,
        calls: &Calls,
        (identity, database): (&str, &str),
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let config = dir.join(format!("{identity}.kubeconfig"));
        // The token says whose calls they are.
        std::fs::write(&config, kubeconfig(&calls.url(), Some(identity)))?;
        let log = OpenOptions::new().create(true).append(true).open(dir.join(format!("{identity}.log")))?;
        let mut command = Command::new(args.bin_dir.join("velocityd"));
        command.args(arguments).env("KUBECONFIG", config).env("VELOCITY_DATABASE_URL", database);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        let child = command.spawn().context("velocityd cannot be started; build it first")?;
        let pid = child.id().context("velocityd has ended")?;
        Ok(Self { _child: child, pid })
    }
}

fn options(args: &Args, dir: &Path) -> Options {
    let mut options = Options::new(dir.join("postgres"));
    // The one whose pgbench it is.
    options.bin_dir = args.pgbench.parent().filter(|dir| dir.join("postgres").is_file()).map(Path::to_owned);
    options.search_path = std::env::var_os("PATH");
    options.offline = true;
    options
}

/// What a person sets up before anything else: the database, and the API's login.
async fn prepare(postgres: &LocalPostgres) -> anyhow::Result<()> {
    let url = postgres.url(postgres.superuser(), "postgres");
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    let driven = tokio::spawn(connection);
    client.batch_execute("create role velocity_api login noinherit").await?;
    client.batch_execute(&format!("create database {DATABASE}")).await?;
    drop(client);
    driven.await??;
    Ok(())
}

async fn strategy(calls: &Calls, key: &DevKey) -> anyhow::Result<()> {
    let mut kubernetes = Kubernetes::open(calls.address).await?;
    kubernetes.create_namespace("velocity").await?;
    let strategy = serde_json::to_value(AuthStrategy::new("velocity", "dev", key.strategy()))?;
    kubernetes.post("/apis/velocity.sh/v1/namespaces/velocity/authstrategies", &strategy).await
}

fn configure(dir: &Path, calls: &Calls, key: &DevKey, api: SocketAddr) -> anyhow::Result<()> {
    let file = dir.join("kubeconfig");
    std::fs::write(&file, kubeconfig(&calls.url(), None))?;
    let context = json!({"name": "bench", "server": format!("http://{api}"), "kubeconfig": file,
        "token": token(key, "platform-admin")?});
    let config = json!({"currentContext": "bench", "contexts": [context]});
    std::fs::write(dir.join("config.yaml"), config.to_string())?;
    Ok(())
}

fn token(key: &DevKey, role: &str) -> anyhow::Result<String> {
    Ok(key.mint("bench", &[role.to_owned()], &Map::new(), jiff::Timestamp::now(), LIFETIME)?)
}

/// An address that was free a moment ago.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
