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
    bindings: AtomicBool,
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

    /// The bindings of the first list count, as far as they can.
    pub fn bindings_are_synced(&self) {
        self.0.bindings.store(true, Ordering::Release);
    }

    /// Whether everything has been listed once: three loads, for every request.
    pub(crate) fn is_synced(&self) -> bool {
        [&self.0.schemas, &self.0.strategies, &self.0.bindings]
            .iter()
            .all(|synced| synced.load(Ordering::Acquire))
    }

    /// What is still missing.
    pub fn missing(&self) -> Vec<&'static str> {
        let parts = [
            (&self.0.schemas, "schemas"),
            (&self.0.strategies, "strategies"),
            (&self.0.bindings, "bindings"),
        ];
        parts.iter().filter(|(synced, _)| !synced.load(Ordering::Acquire)).map(|(_, name)| *name).collect()
    }
}
