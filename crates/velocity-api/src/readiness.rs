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
    pub fn schemas_are_synced(&self) {
        self.0.schemas.store(true, Ordering::Release);
    }

    /// The strategies of the first list run, as far as they can.
    pub fn strategies_are_synced(&self) {
        self.0.strategies.store(true, Ordering::Release);
    }

    /// Whether everything has been listed once: two loads, for every request.
    pub(crate) fn is_synced(&self) -> bool {
        self.0.schemas.load(Ordering::Acquire) && self.0.strategies.load(Ordering::Acquire)
    }

    /// What is still missing.
    pub fn missing(&self) -> Vec<&'static str> {
        let parts = [(&self.0.schemas, "schemas"), (&self.0.strategies, "strategies")];
        parts.iter().filter(|(synced, _)| !synced.load(Ordering::Acquire)).map(|(_, name)| *name).collect()
    }
}
