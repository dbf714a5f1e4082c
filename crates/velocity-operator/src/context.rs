//! What every reconcile needs.

use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use velocity_store::owner::OwnerPool;

use crate::config::Config;
use crate::retries::Retries;

/// The field manager of what the operator writes.
pub(crate) const MANAGER: &str = "velocity-operator";

/// Clients and settings, shared by all reconciles.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) owner: OwnerPool,
    pub(crate) config: Config,
    pub(crate) retries: Retries,
}

impl Context {
    pub(crate) fn new(client: Client, owner: OwnerPool, config: Config) -> Self {
        Self { client, owner, config, retries: Retries::default() }
    }

    /// What publishes one Event. A new one each time: a recorder folds Events of one reason into the first of them, and what
    /// the later ones say would be lost. Events are published only of what is new.
    pub(crate) fn recorder(&self) -> Recorder {
        Recorder::new(self.client.clone(), Reporter { controller: MANAGER.into(), instance: None })
    }
}
