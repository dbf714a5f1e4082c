//! The API's own informer: it learns schemas, strategies and bindings from the Kubernetes API, never from the operator.
//!
//! Objects arrive untyped, so that one that does not parse hurts only itself. Schemas are served as they are
//! *provisioned*: where the declared spec is not (or not yet) what the table has, the provisioned one is served. While
//! the Kubernetes API is away, everything goes on as it was.

mod access;
mod binding_index;
mod driver;
mod schema_index;
mod secrets;
mod specs;
mod strategy_index;

use std::sync::Arc;

use kube::api::{Api as KubeApi, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::{WatchStreamExt, watcher};
use velocity_contract::{GROUP, VERSION};
use velocity_schema::schema::StrategyRef;
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
    /// What strategies are started with; their secrets are looked up in the Kubernetes API.
    pub access: velocity_access::Context,
    /// The installation's default strategy: composites may have members in its namespace.
    pub default_strategy: Option<StrategyRef>,
}

impl Targets {
    /// These, and nothing else to fill.
    pub fn new(
        catalog: CurrentCatalog,
        strategies: Strategies,
        readiness: Readiness,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            catalog,
            strategies,
            readiness,
            metrics,
            records: None,
            access: velocity_access::Context::default(),
            default_strategy: None,
        }
    }
}

/// Watches the SchemaDefinitions, AuthStrategies and RoleBindings of all namespaces, and the Secrets that strategies name,
/// for ever.
pub async fn run(client: kube::Client, specs: Arc<dyn ProvisionedSpecs>, targets: Targets) {
    let watch =
        |name, plural| watcher(kind(&client, name, plural), watcher::Config::default()).default_backoff();
    tokio::join!(
        driver::follow_schemas(watch("SchemaDefinition", "schemadefinitions"), specs, &targets),
        access::follow_strategies(watch("AuthStrategy", "authstrategies"), client.clone(), &targets),
        access::follow_bindings(watch("RoleBinding", "rolebindings"), &targets),
    );
}

fn kind(client: &kube::Client, kind: &str, plural: &str) -> KubeApi<DynamicObject> {
    let kind = GroupVersionKind::gvk(GROUP, VERSION, kind);
    KubeApi::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&kind, plural))
}
