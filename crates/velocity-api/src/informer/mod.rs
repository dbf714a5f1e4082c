//! The API's own informer: it learns schemas and strategies from the Kubernetes API, never from the operator.
//!
//! Objects arrive untyped, so that one that does not parse hurts only itself. Schemas are served as they are
//! *provisioned*: where the declared spec is not (or not yet) what the table has, the provisioned one is served. While
//! the Kubernetes API is away, everything goes on as it was.

mod driver;
mod schema_index;
mod specs;
mod strategy_index;

use std::sync::Arc;

use kube::api::{Api as KubeApi, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::{WatchStreamExt, watcher};
use velocity_contract::{GROUP, VERSION};
use velocity_store::records::Records;

pub use self::specs::{LoadError, Provisioned, ProvisionedSpecs};
use crate::catalog::CurrentCatalog;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::strategies::Strategies;

/// What the informer fills.
#[derive(Clone)]
pub struct Targets {
    /// The schemas.
    pub catalog: CurrentCatalog,
    /// The strategies.
    pub strategies: Strategies,
    /// Told when the first lists are complete.
    pub readiness: Readiness,
    /// Told of every event and error.
    pub metrics: Arc<Metrics>,
    /// Told when schemas are gone, to forget what it prepared for them.
    pub records: Option<Records>,
}

/// Watches the SchemaDefinitions and AuthStrategies of all namespaces, for ever.
pub async fn run(client: kube::Client, specs: Arc<dyn ProvisionedSpecs>, targets: Targets) {
    let schemas = watcher(kind(&client, "SchemaDefinition", "schemadefinitions"), watcher::Config::default());
    let strategies = watcher(kind(&client, "AuthStrategy", "authstrategies"), watcher::Config::default());
    tokio::join!(
        driver::follow_schemas(schemas.default_backoff(), specs, &targets),
        driver::follow_strategies(strategies.default_backoff(), &targets),
    );
}

fn kind(client: &kube::Client, kind: &str, plural: &str) -> KubeApi<DynamicObject> {
    let kind = GroupVersionKind::gvk(GROUP, VERSION, kind);
    KubeApi::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&kind, plural))
}
