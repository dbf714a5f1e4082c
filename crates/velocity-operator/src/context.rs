//! What every reconcile needs.

use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use velocity_store::owner::OwnerPool;

use crate::config::Config;

/// The field manager of what the operator writes.
pub(crate) const MANAGER: &str = "velocity-operator";

/// Clients and settings, shared by all reconciles.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) owner: OwnerPool,
    pub(crate) recorder: Recorder,
    pub(crate) config: Config,
}

impl Context {
    pub(crate) fn new(client: Client, owner: OwnerPool, config: Config) -> Self {
        let reporter = Reporter { controller: MANAGER.into(), instance: None };
        Self { recorder: Recorder::new(client.clone(), reporter), client, owner, config }
    }
}
