//! What every reconcile needs.

use std::sync::Arc;

use futures::channel::mpsc;
use kube::Client;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::ObjectRef;
use velocity_contract::SchemaDefinition;
use velocity_store::owner::{OwnerError, OwnerPool};

use crate::config::Config;
use crate::jobs::Jobs;
use crate::retries::Retries;
use crate::slow::Slow;
use crate::told::Told;

/// The field manager of what the operator writes.
pub(crate) const MANAGER: &str = "velocity-operator";
/// Connections beside those of the quick lane: the sweep, and one to spare.
const SPARE_CONNECTIONS: usize = 2;

/// Clients and settings, shared by all reconciles.
pub(crate) struct Context {
    pub(crate) client: Client,
    /// SchemaDefinitions, as a resource of any shape, so that one unreadable object hurts only itself.
    pub(crate) resource: ApiResource,
    /// The reconciles' connections.
    pub(crate) quick: OwnerPool,
    /// The jobs' connections, of which the reconciles never take one.
    pub(crate) long: OwnerPool,
    pub(crate) config: Config,
    pub(crate) retries: Retries,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) slow: Slow,
    pub(crate) told: Told,
}

impl Context {
    pub(crate) fn new(
        client: Client,
        database_url: &str,
        config: Config,
        pokes: mpsc::UnboundedSender<ObjectRef<DynamicObject>>,
    ) -> Result<Self, OwnerError> {
        let resource = ApiResource::erase::<SchemaDefinition>(&());
        Ok(Self {
            client,
            quick: OwnerPool::new(database_url, usize::from(config.concurrency) + SPARE_CONNECTIONS)?,
            long: OwnerPool::new(database_url, usize::from(config.jobs))?,
            retries: Retries::default(),
            jobs: Jobs::new(usize::from(config.jobs), resource.clone(), pokes),
            slow: Slow::default(),
            told: Told::default(),
            resource,
            config,
        })
    }

    /// The namespace of the installation's default strategy.
    pub(crate) fn default_namespace(&self) -> Option<&str> {
        self.config.default_strategy.as_ref().map(|strategy| strategy.namespace.as_str())
    }

    /// What publishes one Event. A new one each time: a recorder folds Events of one reason into the first of them, and what
    /// the later ones say would be lost. Events are published only of what is new.
    pub(crate) fn recorder(&self) -> Recorder {
        Recorder::new(self.client.clone(), Reporter { controller: MANAGER.into(), instance: None })
    }
}
