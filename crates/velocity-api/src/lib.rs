//! The HTTP API: one set of generic handlers serves every schema.
//!
//! A request is extracted (identity, scope, one snapshot of its schema), planned by `velocity-sql`, run by
//! `velocity-store` and presented. No SQL is written here, and nothing is read from the Kubernetes API but by the
//! [`informer`].

mod catalog;
mod config;
mod describe;
mod envelope;
mod error;
mod handlers;
pub mod informer;
mod metrics;
mod rate_limit;
mod readiness;
mod request;
mod routes;
mod scope;
mod serve;
mod state;
mod strategies;

use tokio::net::TcpListener;

pub use catalog::{Catalog, CurrentCatalog, Found};
pub use config::{Config, ConnectionConfig, RateConfig, RequestConfig};
pub use metrics::Metrics;
pub use readiness::Readiness;
pub use state::Api;
pub use strategies::{RunningStrategies, Strategies};

/// Serves the API on `listener` until `shutdown` ends and the requests under way are answered.
pub async fn serve(listener: TcpListener, api: Api, shutdown: impl Future<Output = ()>) {
    let config = api.config().clone();
    let metrics = std::sync::Arc::clone(api.metrics());
    let envelope = envelope::Envelope::new(std::sync::Arc::clone(&metrics), config.requests.deadline);
    let router = routes::routes().with_state(api).layer(envelope);
    serve::serve(listener, router, &config.connections, metrics, shutdown).await;
}
