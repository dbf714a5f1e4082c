//! Where Postgres is and how to log in there.

use std::{path::PathBuf, time::Duration};

use super::Secret;

/// Everything that is needed to open a connection. `Debug` does not show the password.
///
/// Read from a libpq URL or keyword string with `str::parse`; nothing is taken from the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the server listens.
    pub host: Host,
    /// TCP port, or the number in the socket file's name.
    pub port: u16,
    /// The login role.
    pub user: String,
    /// Its password.
    pub password: Option<Secret>,
    /// The database; the login role's name where none is given.
    pub dbname: String,
    /// Whether the connection is encrypted and the server's identity checked.
    pub sslmode: SslMode,
    /// Whose certificates are trusted.
    pub sslrootcert: Option<SslRoots>,
    /// Whether SCRAM is tied to the TLS connection.
    pub channel_binding: ChannelBinding,
    /// Shown in `pg_stat_activity`.
    pub application_name: Option<String>,
    /// Bounds name resolution, connect, TLS and login together.
    pub connect_timeout: Duration,
    /// Command-line options for the server process, such as `-c jit=off`. PgBouncer refuses them unless
    /// told to ignore them.
    pub options: Option<String>,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A DNS name or an address.
    Tcp(String),
    /// A directory that holds the socket file `.s.PGSQL.<port>`.
    UnixDirectory(PathBuf),
}

/// libpq's `sslmode`, without `allow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// TLS if the server offers it, without checking who it is. No protection from an active attacker.
    #[default]
    Prefer,
    /// TLS, without checking who the server is unless `sslrootcert` is given.
    Require,
    /// TLS, and the certificate comes from a trusted authority.
    VerifyCa,
    /// The same, and it is made out to the host's name.
    VerifyFull,
}

/// libpq's `sslrootcert`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SslRoots {
    /// The operating system's trusted authorities.
    System,
    /// A PEM file of trusted authorities.
    File(PathBuf),
}

/// libpq's `channel_binding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// Where the server offers it.
    #[default]
    Prefer,
    /// Or no connection.
    Require,
}

impl Config {
    /// For connecting inside of a cluster: a few round trips and a process start.
    pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

    /// The address as it is named in errors.
    pub(super) fn address(&self) -> String {
        match &self.host {
            Host::Tcp(host) => format!("{host}:{}", self.port),
            Host::UnixDirectory(directory) => {
                directory.join(format!(".s.PGSQL.{}", self.port)).display().to_string()
            }
        }
    }
}
