//! What every request shares.

use std::sync::Arc;

use http::request::Parts;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use velocity_access::{Identity, Subject};
use velocity_contract::vouching::may_vouch;
use velocity_schema::Schema;
use velocity_schema::schema::StrategyRef;
use velocity_store::records::Records;

use crate::catalog::CurrentCatalog;
use crate::client;
use crate::config::Config;
use crate::database::Database;
use crate::envelope::RequestContext;
use crate::error::ApiError;
use crate::metrics::Metrics;
use crate::rate_limit::ActorLimiter;
use crate::readiness::Readiness;
use crate::strategies::Strategies;

/// The API's state: cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    config: Config,
    catalog: CurrentCatalog,
    strategies: Strategies,
    readiness: Readiness,
    limiter: Option<ActorLimiter>,
    metrics: Arc<Metrics>,
    database: Database,
    exports: Arc<Semaphore>,
}

impl Api {
    /// An API that serves what `catalog` and `strategies` come to hold.
    pub fn new(
        config: Config,
        catalog: CurrentCatalog,
        strategies: Strategies,
        readiness: Readiness,
        metrics: Arc<Metrics>,
        database: Database,
    ) -> Self {
        let limiter = config.rate.map(ActorLimiter::new);
        let exports = Arc::new(Semaphore::new(config.requests.max_exports));
        Self(Arc::new(Inner { config, catalog, strategies, readiness, limiter, metrics, database, exports }))
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn catalog(&self) -> &CurrentCatalog {
        &self.0.catalog
    }

    pub(crate) fn readiness(&self) -> &Readiness {
        &self.0.readiness
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    pub(crate) fn database(&self) -> &Database {
        &self.0.database
    }

    pub(crate) fn records(&self) -> &Records {
        self.0.database.records()
    }

    /// A place among the exports that run at once, or the refusal.
    pub(crate) fn export_place(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.0.exports).try_acquire_owned().map_err(|_| ApiError::TooManyExports)
    }

    pub(crate) fn strategies(&self) -> &Strategies {
        &self.0.strategies
    }

    pub(crate) fn default_strategy(&self) -> Option<&StrategyRef> {
        self.0.config.default_strategy.as_ref()
    }

    /// The strategy that decides who calls a schema: its own, else the installation's. One in another domain's namespace
    /// decides nothing, and then nobody does.
    pub(crate) fn strategy_of<'a>(&'a self, schema: &'a Schema) -> Option<&'a StrategyRef> {
        let default = self.default_strategy();
        let Some(own) = schema.strategy() else { return default };
        let namespace = schema.path().namespace();
        let default = default.map(|default| default.namespace.as_str());
        may_vouch(&namespace, &own.namespace, default).then_some(own)
    }

    /// The caller on a schema, now.
    pub(crate) fn subject(&self, identity: Arc<Identity>, schema: &Arc<Schema>) -> Subject {
        let admin_counts = identity.is_platform_admin() && self.admin_counts(&identity);
        let bindings = self.0.catalog.bindings();
        let layers = self.0.config.layers;
        Subject::resolve(identity, &bindings, Arc::clone(schema), Timestamp::now(), admin_counts, layers)
    }

    /// Whether the identity's strategy may make platform administrators.
    pub(crate) fn admin_counts(&self, identity: &Identity) -> bool {
        self.0.strategies.admin_counts(identity.strategy(), self.default_strategy())
    }

    /// The caller's identity under `strategy`, with one token taken from their bucket.
    pub(crate) async fn authenticate(
        &self,
        strategy: Option<&StrategyRef>,
        parts: &Parts,
    ) -> Result<Arc<Identity>, ApiError> {
        let identity = self.identify(strategy, parts).await?;
        if let Some(limiter) = &self.0.limiter {
            limiter.take(identity.strategy(), identity.actor()).map_err(|exceeded| {
                self.0.metrics.rate_limited.inc();
                ApiError::RateLimited(exceeded)
            })?;
        }
        Ok(identity)
    }

    /// The same without taking a token, for asking under several strategies in one request.
    pub(crate) async fn identify(
        &self,
        strategy: Option<&StrategyRef>,
        parts: &Parts,
    ) -> Result<Arc<Identity>, ApiError> {
        if !self.0.readiness.is_synced() {
            return Err(ApiError::Starting);
        }
        let identity = self.0.strategies.authenticate(strategy, &client::credentials(parts)).await?;
        if let Some(context) = parts.extensions.get::<RequestContext>() {
            context.seen.is(&identity);
        }
        Ok(identity)
    }
}
