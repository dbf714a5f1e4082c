//! Settings, one struct per concern, each default with its reason.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use velocity_access::Layers;
use velocity_schema::schema::StrategyRef;

/// Everything that can be set about the HTTP API. The database has settings of its own in the store.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Connections.
    pub connections: ConnectionConfig,
    /// Single requests.
    pub requests: RequestConfig,
    /// How much one actor may ask for; `None` switches the limit off.
    pub rate: Option<RateConfig>,
    /// The AuthStrategy of schemas that name none, and of routes that belong to no schema. Where there is none, every
    /// call to them is 401.
    pub default_strategy: Option<StrategyRef>,
    /// Proxies whose `X-Forwarded-For` is believed. From any other peer the header means nothing.
    pub trusted_proxies: Vec<IpNet>,
    /// The layers of access that stand: all, but in tests that take one away to see what it is for.
    pub layers: Layers,
    /// What API keys that are made here say they are for.
    pub environment: Environment,
}

/// The environment in API keys, `vel_<environment>_…`, so that people and secret scanners can tell them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment(String);

impl Environment {
    /// Longest name.
    const MAX: usize = 16;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self("prod".to_owned())
    }
}

/// A name that does not fit into a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an environment is 1 to {} lower-case letters and digits, such as `prod`", Environment::MAX)]
pub struct InvalidEnvironment;

impl FromStr for Environment {
    type Err = InvalidEnvironment;

    fn from_str(text: &str) -> Result<Self, InvalidEnvironment> {
        let fits = (1..=Self::MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidEnvironment) }
    }
}

/// Limits of connections.
#[derive(Debug, Clone)]
pub struct ConnectionConfig {
    /// How long a client may take to send the head of a request, which is also how long an idle connection is kept.
    /// Bounds what a slow client can hold; longer than the 15 s keep-alive of common load balancers' health checks.
    pub header_read_timeout: Duration,
    /// Largest head of a request in bytes: a 16 KiB token, a long filter, and room.
    pub max_head_bytes: usize,
    /// Most open connections. Each costs about 10 KiB when idle; more wait in the listen queue.
    pub max_connections: usize,
    /// Most requests at once on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
    /// How long requests may go on after the shutdown began. Below the 30 s that Kubernetes gives a pod.
    pub drain_timeout: Duration,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            header_read_timeout: Duration::from_secs(30),
            max_head_bytes: 64 * 1024,
            max_connections: 8192,
            max_concurrent_streams: 128,
            drain_timeout: Duration::from_secs(25),
        }
    }
}

/// Limits of single requests.
#[derive(Debug, Clone)]
pub struct RequestConfig {
    /// Largest body in bytes, as the contract has it.
    pub max_body_bytes: usize,
    /// How long a body may take to arrive: 10 MiB at 4 Mbit/s.
    pub body_timeout: Duration,
    /// Longest time from the head of a request to the head of its response. Above the body's and the statement's, so
    /// that those speak first; a stream goes on after it.
    pub deadline: Duration,
    /// Longest run of a statement that reads or writes records.
    pub statement_timeout: Duration,
    /// Longest run of an export's statement, which takes as long as its client reads.
    pub export_timeout: Duration,
    /// How long a client may take to read one chunk of an export before its connection to the database is taken back.
    pub export_stall_timeout: Duration,
    /// Most exports at once: each holds a connection for its whole life, and writes need some too.
    pub max_exports: usize,
}

impl Default for RequestConfig {
    fn default() -> Self {
        Self {
            max_body_bytes: 10 * 1024 * 1024,
            body_timeout: Duration::from_secs(20),
            deadline: Duration::from_mins(1),
            statement_timeout: Duration::from_secs(10),
            export_timeout: Duration::from_hours(1),
            export_stall_timeout: Duration::from_mins(1),
            max_exports: 4,
        }
    }
}

/// A token bucket for each actor.
#[derive(Debug, Clone, Copy)]
pub struct RateConfig {
    /// Requests a second in the long run.
    pub per_second: NonZeroU32,
    /// Requests at once after a pause.
    pub burst: NonZeroU32,
}
