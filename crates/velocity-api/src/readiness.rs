//! Whether requests should come here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What has to be complete before the first request: each kind's first list.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Synced>);

#[derive(Debug, Default)]
struct Synced {
    schemas: AtomicBool,
    strategies: AtomicBool,
}

impl Readiness {
    /// The schemas of the first list are served, as far as they can be.
    pub(crate) fn schemas_are_synced(&self) {
        self.0.schemas.store(true, Ordering::Release);
    }

    /// The strategies of the first list run, as far as they can.
    pub(crate) fn strategies_are_synced(&self) {
        self.0.strategies.store(true, Ordering::Release);
    }

    /// What is still missing.
    pub fn missing(&self) -> Vec<&'static str> {
        let parts = [(&self.0.schemas, "schemas"), (&self.0.strategies, "strategies")];
        parts.iter().filter(|(synced, _)| !synced.load(Ordering::Acquire)).map(|(_, name)| *name).collect()
    }
}
