//! The command line of `velocityd`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use velocity_api::Environment;
use velocity_schema::schema::StrategyRef;

/// The Velocity server. Each role is a Deployment of its own on a cluster; `dev` is all of them on a laptop.
#[derive(Debug, Parser)]
#[command(name = "velocityd", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// How log lines are written.
    #[arg(long, global = true, env = "VELOCITY_LOG_FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) role: Role,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Serves the HTTP API.
    Api(ApiArgs),
    /// Makes Postgres what the SchemaDefinitions say.
    Operator(OperatorArgs),
    /// Everything in one process, with a private Postgres and a small built-in Kubernetes API.
    Dev(DevArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ApiArgs {
    /// Where the API listens.
    #[arg(long, env = "VELOCITY_LISTEN", default_value = "0.0.0.0:8080")]
    pub(crate) listen: SocketAddr,
    /// Where metrics are served.
    #[arg(long, env = "VELOCITY_METRICS_LISTEN", default_value = "0.0.0.0:9090")]
    pub(crate) metrics_listen: SocketAddr,
    /// The database as the login `velocity_api`: a libpq URL. A login with more rights is refused.
    #[arg(long, env = "VELOCITY_DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: String,
    /// The AuthStrategy of schemas that name none. It, its members and those in its namespace can make platform
    /// administrators; no other can.
    #[arg(long, env = "VELOCITY_DEFAULT_AUTH_STRATEGY", value_name = "NAMESPACE/NAME", value_parser = strategy_ref)]
    pub(crate) default_auth_strategy: Option<StrategyRef>,
    #[command(flatten)]
    pub(crate) clients: ClientArgs,
    /// What API keys made here say they are for: vel_<ENVIRONMENT>_…; 1 to 16 lower-case letters and digits.
    #[arg(long, env = "VELOCITY_ENVIRONMENT", default_value = "prod")]
    pub(crate) environment: Environment,
    /// The most requests a second of one actor; without it there is no limit.
    #[arg(long, env = "VELOCITY_RATE_LIMIT", value_name = "PER_SECOND")]
    pub(crate) rate_limit: Option<std::num::NonZeroU32>,
    /// The most requests of one actor at once, after a pause; ten seconds' worth when not given.
    #[arg(long, env = "VELOCITY_RATE_BURST", requires = "rate_limit")]
    pub(crate) rate_burst: Option<std::num::NonZeroU32>,
}

/// Who calls.
#[derive(Debug, Args)]
pub(crate) struct ClientArgs {
    /// The proxies before the API, as addresses or networks: what they say in X-Forwarded-For of the client's address is
    /// believed. Without any, the client is whoever connects.
    #[arg(long, env = "VELOCITY_TRUSTED_PROXIES", value_name = "CIDR", value_delimiter = ',', value_parser = network)]
    pub(crate) trusted_proxies: Vec<IpNet>,
}

#[derive(Debug, Args)]
pub(crate) struct OperatorArgs {
    /// The database as the owner of everything: a libpq URL.
    #[arg(long, env = "VELOCITY_DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: String,
    /// The AuthStrategy of schemas that name none, as the API has it: those in its namespace may be named everywhere.
    #[arg(long, env = "VELOCITY_DEFAULT_AUTH_STRATEGY", value_name = "NAMESPACE/NAME", value_parser = strategy_ref)]
    pub(crate) default_auth_strategy: Option<StrategyRef>,
    /// How many schemas are worked on at once.
    #[arg(long, default_value_t = 4)]
    pub(crate) concurrency: u16,
    /// How many more are worked on at once where it takes long: an index of a large table, a backfill.
    #[arg(long, default_value_t = 4)]
    pub(crate) jobs: u16,
    /// The namespace of the lease that says which operator leads; the pod's own when not given, else `velocity-system`.
    #[arg(long, env = "VELOCITY_LEASE_NAMESPACE")]
    pub(crate) lease_namespace: Option<String>,
    /// Who this operator is in the lease. No two that run at once may have the same; a pod's name is a good one.
    #[arg(long, env = "VELOCITY_IDENTITY")]
    pub(crate) identity: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Where everything is kept.
    #[arg(long, env = "VELOCITY_DATA_DIR", default_value = ".velocity")]
    pub(crate) data_dir: PathBuf,
    /// Where the API listens; port 0 picks a free one.
    #[arg(long, env = "VELOCITY_LISTEN", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Where the Kubernetes API listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) kubernetes_listen: SocketAddr,
    /// Where metrics are served.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) metrics_listen: SocketAddr,
    #[command(flatten)]
    pub(crate) clients: ClientArgs,
    /// What API keys made here say they are for: vel_<ENVIRONMENT>_….
    #[arg(long, env = "VELOCITY_ENVIRONMENT", default_value = "dev")]
    pub(crate) environment: Environment,
    /// A Postgres to use in place of a private one: a libpq URL of a login that may create roles and schemas.
    #[arg(long, env = "VELOCITY_DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,
    /// Fetch nothing: where no Postgres is installed, say what to install.
    #[arg(long)]
    pub(crate) offline: bool,
    /// The folder with the Postgres binaries to use.
    #[arg(long, env = "VELOCITY_PG_BIN", hide = true)]
    pub(crate) postgres_bin: Option<PathBuf>,
}

/// `namespace/name`.
fn strategy_ref(text: &str) -> Result<StrategyRef, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(StrategyRef { namespace: namespace.to_owned(), name: name.to_owned() })
        }
        _ => Err("it is not an AuthStrategy: use NAMESPACE/NAME".to_owned()),
    }
}

/// A network, or one address. Bits of a host in a network are most likely a mistake about its size.
fn network(text: &str) -> Result<IpNet, String> {
    let network = match text.parse::<std::net::IpAddr>() {
        Ok(address) => IpNet::from(address.to_canonical()),
        Err(_) => text
            .parse()
            .map_err(|_| "it is neither an address nor a network such as 10.0.0.0/8".to_owned())?,
    };
    if network.trunc() == network {
        Ok(network)
    } else {
        Err(format!("it is an address within a network: did you mean {}?", network.trunc()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_addresses_are_proxies_and_slips_are_told() {
        assert_eq!(network("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(network("10.0.0.7").unwrap().to_string(), "10.0.0.7/32");
        assert_eq!(network("fd00::/8").unwrap().to_string(), "fd00::/8");
        assert!(network("10.0.0.7/8").unwrap_err().contains("10.0.0.0/8"));
        for text in ["", "proxy", "10.0.0.0/33", "0.0.0.0/0/0"] {
            assert!(network(text).is_err(), "{text}");
        }
    }

    #[test]
    fn flags_are_read_and_refused_when_they_make_no_sense() {
        let api = |more: &[&str]| {
            Cli::try_parse_from([&["velocityd", "api", "--database-url", "postgres://x/y"], more].concat())
        };
        let Role::Api(args) =
            api(&["--trusted-proxies", "10.0.0.0/8,::1", "--environment", "test1"]).unwrap().role
        else {
            panic!("another role");
        };
        assert_eq!(args.clients.trusted_proxies.len(), 2);
        assert_eq!(args.environment.as_str(), "test1");
        for wrong in
            [["--environment", "Prod"], ["--default-auth-strategy", "dev"], ["--trusted-proxies", "all"]]
        {
            assert!(api(&wrong).is_err(), "{wrong:?}");
        }
    }
}
