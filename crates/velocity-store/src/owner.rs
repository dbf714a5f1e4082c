//! The owner's connections: DDL, migrations and the platform's tables. Never used for a client's request.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Timeouts};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long a reconcile waits for a connection before it is tried again later.
const WAIT: Duration = Duration::from_secs(10);

/// A peer that is gone without a word is noticed within about a minute, also in the middle of a statement: after half of it
/// without traffic it is asked, every ten seconds.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// A few connections as the owner.
#[derive(Clone)]
pub struct OwnerPool {
    pool: Pool,
    tls: MakeRustlsConnect,
}

/// Why there is no connection as the owner.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// The URL is not one.
    #[error("the database URL is not usable: {0}")]
    Url(#[source] tokio_postgres::Error),
    /// The pool could not be made.
    #[error("the owner's connections could not be set up: {0}")]
    Setup(String),
    /// No connection in time.
    #[error("no connection to the database")]
    Unavailable(#[source] PoolError),
}

impl OwnerPool {
    /// A pool of at most `size` connections; none is made before it is needed. TLS as the URL's `sslmode` says,
    /// verified against the system's certificates.
    pub fn new(url: &str, size: usize) -> Result<Self, OwnerError> {
        let mut config: tokio_postgres::Config = url.parse().map_err(OwnerError::Url)?;
        config.keepalives_idle(KEEPALIVE_IDLE);
        config.keepalives_interval(KEEPALIVE_INTERVAL);
        config.keepalives_retries(KEEPALIVE_RETRIES);
        config.tcp_user_timeout(KEEPALIVE_IDLE + KEEPALIVE_INTERVAL * KEEPALIVE_RETRIES);
        let tls = MakeRustlsConnect::new(tls_config()?);
        let manager = Manager::from_config(
            config,
            tls.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Clean },
        );
        let timeouts = Timeouts { wait: Some(WAIT), create: Some(WAIT), recycle: Some(WAIT) };
        Pool::builder(manager)
            .max_size(size)
            .timeouts(timeouts)
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .build()
            .map(|pool| Self { pool, tls })
            .map_err(|error| OwnerError::Setup(error.to_string()))
    }

    /// A connection, given back when dropped.
    pub async fn connection(&self) -> Result<OwnerConnection, OwnerError> {
        let connection = self.pool.get().await.map_err(OwnerError::Unavailable)?;
        Ok(OwnerConnection { connection, tls: self.tls.clone() })
    }
}

/// A connection as the owner.
pub struct OwnerConnection {
    connection: Object,
    tls: MakeRustlsConnect,
}

impl OwnerConnection {
    /// The client.
    pub fn client(&mut self) -> &mut tokio_postgres::Client {
        &mut self.connection
    }

    /// Closes the connection, whatever it is at: Postgres is asked to cancel the statement, rolls its transaction back and
    /// lets go of the session's locks. For work that was given up in the middle.
    pub fn abandon(self) {
        let cancel = self.connection.cancel_token();
        drop(Object::take(self.connection));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // Where it cannot be cancelled, the session ends with its statement.
                let _ = cancel.cancel_query(self.tls).await;
            });
        }
    }
}

fn tls_config() -> Result<rustls::ClientConfig, OwnerError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
        .map_err(|error| OwnerError::Setup(error.to_string()))
}
