//! The Postgres of `velocityd dev`: a private one, or the one that was given.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use velocity_localpg::{LocalPostgres, Options, Progress, ProgressReport};
use velocity_store::owner::OwnerPool;
use velocity_store::platform::API_LOGIN;

use super::folder::{Folder, random_hex};
use crate::cli::DevArgs;

/// The database in the private Postgres.
const DATABASE: &str = "velocity";

/// A running database.
pub(crate) struct Database {
    /// As the owner.
    pub(crate) owner_url: String,
    private: Option<LocalPostgres>,
}

/// Starts the private Postgres, or takes the given one.
pub(crate) async fn start(args: &DevArgs, folder: &Folder) -> anyhow::Result<Database> {
    if let Some(url) = &args.database_url {
        return Ok(Database { owner_url: url.clone(), private: None });
    }
    let mut options = Options::new(folder.join("postgres"));
    options.bin_dir.clone_from(&args.postgres_bin);
    options.search_path = std::env::var_os("PATH");
    options.cache_dir = cache_dir();
    options.offline = args.offline;
    options.progress = ProgressReport::new(report);
    let postgres = LocalPostgres::start(options).await?;
    if let Some(notice) = postgres.notice() {
        eprintln!("{notice}");
    }
    ensure_database(&postgres).await?;
    Ok(Database { owner_url: postgres.url(postgres.superuser(), DATABASE), private: Some(postgres) })
}

impl Database {
    /// The URL of the API's login. On a Postgres that asks for passwords the login gets one of its own, kept in the
    /// folder.
    pub(crate) async fn api_url(&self, folder: &Folder, owner: &OwnerPool) -> anyhow::Result<String> {
        if let Some(postgres) = &self.private {
            return Ok(postgres.url(API_LOGIN, DATABASE));
        }
        let password = folder.secret("api-password", || Ok(random_hex()))?;
        let sql = format!("alter role {API_LOGIN} password '{password}'"); // hex digits only
        owner
            .connection()
            .await?
            .client()
            .batch_execute(&sql)
            .await
            .context("the API's login could not be given a password")?;
        with_login(&self.owner_url, API_LOGIN, &password)
    }

    /// Restarts the private Postgres when it ends by itself; stops it at the end.
    pub(crate) async fn supervise(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Some(mut postgres) = self.private else {
            stop.cancelled().await;
            return Ok(());
        };
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    postgres.stop().await?;
                    return Ok(());
                }
                status = postgres.exited() => {
                    tracing::error!(status = %status, "Postgres ended by itself; starting it again");
                    while let Err(error) = postgres.restart().await {
                        tracing::error!(error = %error, "Postgres did not start; trying again");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            }
        }
    }
}

async fn ensure_database(postgres: &LocalPostgres) -> anyhow::Result<()> {
    let url = postgres.url(postgres.superuser(), "postgres");
    let (client, connection) =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await.context("the private Postgres refused")?;
    let connection = tokio::spawn(connection);
    let exists =
        client.query_opt("select from pg_database where datname = $1", &[&DATABASE]).await?.is_some();
    if !exists {
        client.batch_execute(&format!("create database {DATABASE}")).await?;
    }
    drop(client);
    connection.await??;
    Ok(())
}

/// The same database with another login.
fn with_login(url: &str, user: &str, password: &str) -> anyhow::Result<String> {
    let (scheme, rest) = url
        .split_once("://")
        .context("--database-url is a libpq URL, such as postgres://owner:password@host:5432/database")?;
    let (authority, tail) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    // A login may also stand among the parameters.
    let mut kept: Vec<String> = query
        .split('&')
        .filter(|p| !p.is_empty() && !p.starts_with("user=") && !p.starts_with("password="))
        .map(str::to_owned)
        .collect();
    let login = if host.is_empty() {
        // Without a host there is no place before it: a socket's folder is a parameter, and so is the login.
        kept.extend([format!("user={user}"), format!("password={password}")]);
        String::new()
    } else {
        format!("{user}:{password}@{host}")
    };
    let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    Ok(format!("{scheme}://{login}{path}{query}"))
}

fn cache_dir() -> Option<std::path::PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .filter(|dir| !dir.is_empty())
        .map(std::path::PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| std::path::Path::new(&home).join(".cache")))?;
    Some(base.join("velocity"))
}

fn report(progress: Progress) {
    let terminal = std::io::stderr().is_terminal();
    match progress {
        Progress::Downloading { received, total } if terminal => {
            let total = total.map_or_else(String::new, |total| format!(" of {} MB", total / 1_000_000));
            eprint!("\rfetching Postgres: {} MB{total} ", received / 1_000_000);
        }
        Progress::Downloading { received: 0, .. } => eprintln!("fetching Postgres"),
        Progress::Unpacking => eprintln!("\runpacking Postgres          "),
        Progress::Initialising => eprintln!("making a Postgres cluster"),
        Progress::StoppingLeftover => eprintln!("stopping what was left of a Postgres that was killed"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::with_login;

    #[test]
    fn the_apis_login_takes_the_owners_place() {
        let url = |text| with_login(text, "velocity_api", "pw").unwrap();
        assert_eq!(
            url("postgres://o:x@h:5/db?sslmode=require"),
            "postgres://velocity_api:pw@h:5/db?sslmode=require"
        );
        assert_eq!(url("postgres://h/db?user=o&password=x"), "postgres://velocity_api:pw@h/db");
        assert_eq!(
            url("postgres:///db?host=/s&user=o"),
            "postgres:///db?host=/s&user=velocity_api&password=pw"
        );
        assert_eq!(url("postgres://o@/db?host=/s"), "postgres:///db?host=/s&user=velocity_api&password=pw");
        assert_eq!(url("postgres:///db"), "postgres:///db?user=velocity_api&password=pw");
        assert!(with_login("host=x", "a", "b").is_err());
    }
}
