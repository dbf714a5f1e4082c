//! The HTTP API: one set of generic handlers serves every schema.
//!
//! A request that meets a table which has just changed runs once more under the new schema (`once_more`).
//!
//! A request is extracted (identity, scope, one snapshot of its schema), planned by `velocity-sql`, run by
//! `velocity-store` and presented. No SQL is written here, and nothing is read from the Kubernetes API but by the
//! [`informer`].
//!
//! Wiring: [`Database::open`] refuses a login with rights of its own; [`informer::run`] fills a [`CurrentCatalog`] and
//! [`Strategies`]; [`serve()`] answers requests over them and [`serve_metrics`] is for a port of its own.

mod access_events;
mod access_log;
mod catalog;
mod client;
mod config;
mod credential_store;
mod database;
mod describe;
mod envelope;
mod error;
mod guard;
mod handlers;
pub mod informer;
mod kept;
mod metrics;
mod once_more;
mod present;
mod rate_limit;
mod readiness;
mod references;
mod renewal;
mod request;
mod revocation_metrics;
mod revocation_source;
mod routes;
mod scope;
mod serve;
mod state;
mod strategies;
mod told;
mod unread;

use std::sync::Arc;

use tokio::net::TcpListener;

pub use access_events::{AccessEvent, AccessEventLimits, AccessEvents};
pub use catalog::{Catalog, CurrentCatalog, Found};
pub use config::{Config, ConnectionConfig, Environment, InvalidEnvironment, RateConfig, RequestConfig};
pub use database::{Database, OpenError, StoredSpecs};
pub use metrics::Metrics;
pub use readiness::Readiness;
pub use revocation_metrics::revocation_collector;
pub use routes::endpoints;
pub use state::Api;
pub use strategies::{RunningStrategies, Strategies};

/// Serves `/metrics` on `listener`, a port of its own that no client of the API reaches, until `shutdown` ends.
pub async fn serve_metrics(listener: TcpListener, metrics: Arc<Metrics>, shutdown: impl Future<Output = ()>) {
    let router = routes::metrics_routes(Arc::clone(&metrics));
    serve::serve(listener, router, &ConnectionConfig::default(), &[], None, shutdown).await;
}

/// Serves the API on `listener` until `shutdown` ends and the requests under way are answered.
pub async fn serve(listener: TcpListener, api: Api, shutdown: impl Future<Output = ()>) {
    let config = api.config().clone();
    let metrics = Arc::clone(api.metrics());
    let events = Some(api.database().access_events().clone());
    let envelope = envelope::Envelope::new(Arc::clone(&metrics), config.requests.deadline, events);
    let once_more = once_more::OnceMore::new(api.clone());
    let database = api.database().clone();
    let router = routes::routes().with_state(api).layer(once_more).layer(envelope);
    let open = Some(metrics.connections.clone());
    serve::serve(listener, router, &config.connections, &config.trusted_proxies, open, shutdown).await;
    database.drain().await;
}
