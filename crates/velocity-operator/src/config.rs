//! How the operator runs.

use std::time::Duration;

/// The operator's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// How many schemas are worked on at once: few, since each holds a connection and takes catalog locks.
    pub concurrency: u16,
    /// How often an unchanged schema is looked at again: makes the next months' partitions, and finds what was lost.
    pub resync: Duration,
    /// How often old idempotency keys are dropped.
    pub sweep: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { concurrency: 4, resync: Duration::from_hours(1), sweep: Duration::from_hours(1) }
    }
}
