//! The database as the API uses it: two lanes of connections under a login without rights of its own.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use velocity_access::{CredentialStore, RevocationSource};
use velocity_schema::schema::MaskKey;
use velocity_sql::query::CursorKey;
use velocity_store::owner::{OwnerError, OwnerPool};
use velocity_store::platform::provisioned_by_path;
use velocity_store::records::Records;
use velocity_store::wire::{
    Config, ConfigError, ConnectError, Connection, Counters, Exclusive, ExclusiveLimits, Mux, MuxLimits,
    Params, Pipeline, PowerfulLogin, Session, Statement, refuse_powerful_login,
};

use crate::access_events::{AccessEventLimits, AccessEvents, EventCounters};
use crate::credential_store::DatabaseCredentials;
use crate::handlers::platform::Login;
use crate::informer::{Provisioned, ProvisionedSpecs};
use crate::revocation_source::DatabaseRevocations;

/// How long the database may take to answer when it is asked whether it is there. Below the second that probes wait.
const PING_TIMEOUT: Duration = Duration::from_millis(800);

/// Why the API does not start on a database.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is not one.
    #[error("the database URL is not usable")]
    Url(#[from] ConfigError),
    /// Nobody answers there, or does not let us in.
    #[error("the database cannot be reached")]
    Connect(#[from] ConnectError),
    /// The login is more than the API may be.
    #[error(transparent)]
    PowerfulLogin(#[from] PowerfulLogin),
    /// The connection for provisioned specs could not be set up.
    #[error("the connection for provisioned specs could not be set up")]
    Specs(#[from] OwnerError),
}

/// The two lanes, and the records behind them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    records: Records,
    mux: Mux,
    exclusive: Exclusive,
    login: Login,
    access_events: AccessEvents,
    credentials: DatabaseCredentials,
    revocations: Arc<DatabaseRevocations>,
}

impl Database {
    /// Logs in at `url` (libpq form) and refuses a login that is a superuser, has BYPASSRLS, owns anything or can become
    /// anyone who does: row-level security would not hold for it.
    pub async fn open(
        url: &str,
        mux: MuxLimits,
        exclusive: ExclusiveLimits,
        cursor_key: CursorKey,
        mask_key: MaskKey,
    ) -> Result<Self, OpenError> {
        let config = Arc::new(url.parse::<Config>()?);
        let connection = Connection::connect(&config).await?;
        refuse_powerful_login(&connection).await?;
        drop(connection);
        let (mux, exclusive) =
            (Mux::new((*config).clone(), mux), Exclusive::new((*config).clone(), exclusive));
        let login = Login::new(url)?;
        let access_events = AccessEvents::start(url, AccessEventLimits::default())?;
        Ok(Self {
            records: Records::new(mux.clone(), exclusive.clone(), cursor_key, mask_key),
            mux,
            exclusive,
            login,
            access_events,
            credentials: DatabaseCredentials::start(url)?,
            revocations: Arc::new(DatabaseRevocations::new(url)?),
        })
    }

    /// The records.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// Looks at the catalog, for administration.
    pub(crate) fn login(&self) -> &Login {
        &self.login
    }

    /// Keys and sessions, for the strategies.
    pub fn credential_store(&self) -> Arc<dyn CredentialStore> {
        Arc::new(self.credentials.clone())
    }

    /// What is revoked.
    pub fn revocation_source(&self) -> Arc<dyn RevocationSource> {
        Arc::clone(&self.revocations) as Arc<dyn RevocationSource>
    }

    /// Writes what is still to be written at the end of the process.
    pub(crate) async fn drain(&self) {
        tokio::join!(self.access_events.drain(), self.credentials.flush());
    }

    /// Where denials, sensitive reads and uses of the administrator's role are written down.
    pub fn access_events(&self) -> &AccessEvents {
        &self.access_events
    }

    /// Whether the database answers now.
    pub(crate) async fn answers(&self) -> bool {
        let ping = Pipeline::one(Session::login(), Statement::new("select 1", Params::new()));
        matches!(tokio::time::timeout(PING_TIMEOUT, self.mux.pipeline(ping)).await, Ok(Ok(_)))
    }

    /// The lanes' numbers for the metrics.
    pub fn collector(&self) -> Box<dyn Collector> {
        Box::new(PoolCollector(self.clone()))
    }
}

/// A metric's name, its help, and how it is read.
type Read = (&'static str, &'static str, fn(&Counters) -> u64);

#[derive(Debug)]
struct PoolCollector(Database);

impl Collector for PoolCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let lanes = [("mux", self.0.mux.counters()), ("exclusive", self.0.exclusive.counters())];
        let gauges: [Read; 4] = [
            ("pool_connections_in_use", "Connections that carry a request", |c| c.in_use as u64),
            ("pool_connections_idle", "Connections that wait for a request", |c| c.idle as u64),
            ("pool_waiting", "Requests that wait for a connection", |c| c.waiting as u64),
            ("pool_in_flight", "Requests under way", |c| c.in_flight as u64),
        ];
        for (name, help, read) in gauges {
            let mut family =
                encoder.encode_descriptor(name, help, None, prometheus_client::metrics::MetricType::Gauge)?;
            for (lane, counters) in &lanes {
                let gauge = ConstGauge::new(i64::try_from(read(counters)).unwrap_or(i64::MAX));
                gauge.encode(family.encode_family(&[("lane", *lane)])?)?;
            }
        }
        let totals: [Read; 4] = [
            ("pool_connections_created", "Connections made", |c| c.created),
            ("pool_connect_failures", "Attempts to connect that failed", |c| c.failed),
            ("pool_connections_discarded", "Connections closed, broken or old", |c| c.discarded),
            ("pool_refused", "Requests turned away because all was busy", |c| c.refused),
        ];
        for (name, help, read) in totals {
            let mut family = encoder.encode_descriptor(
                name,
                help,
                None,
                prometheus_client::metrics::MetricType::Counter,
            )?;
            for (lane, counters) in &lanes {
                ConstCounter::new(read(counters)).encode(family.encode_family(&[("lane", *lane)])?)?;
            }
        }
        encode_events(self.0.access_events.counters(), &mut encoder)
    }
}

/// The numbers of access events.
fn encode_events(
    counters: EventCounters,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), std::fmt::Error> {
    use prometheus_client::metrics::MetricType::{Counter, Gauge};
    let (name, help) = ("access_events_queued", "Access events that wait to be written");
    let queued = ConstGauge::new(i64::try_from(counters.queued).unwrap_or(i64::MAX));
    queued.encode(encoder.encode_descriptor(name, help, None, Gauge)?)?;
    for (name, help, number) in [
        ("access_events_written", "Access events in the database", counters.written),
        ("access_events_lost", "Access events that are only in the log", counters.lost),
    ] {
        ConstCounter::new(number).encode(encoder.encode_descriptor(name, help, None, Counter)?)?;
    }
    Ok(())
}

/// The provisioned specs of the platform's own tables, read with the API's login: rarely, after a restart that finds a
/// spec which is not provisioned.
pub struct StoredSpecs(OwnerPool);

impl StoredSpecs {
    /// Specs of the database at `url`, the one of [`Database::open`].
    pub fn new(url: &str) -> Result<Self, OpenError> {
        Ok(Self(OwnerPool::new(url, 1)?))
    }
}

impl ProvisionedSpecs for StoredSpecs {
    fn provisioned<'a>(
        &'a self,
        path: &'a str,
    ) -> BoxFuture<'a, Result<Option<Provisioned>, Box<dyn Error + Send + Sync>>> {
        async move {
            let mut connection = self.0.connection().await?;
            let found = provisioned_by_path(connection.client(), path).await?;
            Ok(found.map(|found| Provisioned { spec: found.spec, spec_hash: found.spec_hash }))
        }
        .boxed()
    }
}
