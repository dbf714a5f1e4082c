//! How the operator runs.

use std::time::Duration;

use velocity_schema::schema::StrategyRef;

use crate::lease::{LeaseConfig, Terms};

/// The operator's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// How many schemas are worked on at once: few, since each holds a connection and takes catalog locks.
    pub concurrency: u16,
    /// How many schemas are worked on at once beside those, where it takes long: an index of a large table, a backfill, a lock
    /// that traffic holds.
    pub jobs: u16,
    /// How often an unchanged schema is looked at again: makes the next months' partitions, and finds what was lost.
    pub resync: Duration,
    /// How soon a change that waits for data is looked at again; later looks have longer pauses, up to a minute.
    pub data_pause: Duration,
    /// How often old idempotency keys, what is long in the trash, and old plans are dropped.
    pub sweep: Duration,
    /// The leader's lease.
    pub lease: LeaseConfig,
    /// The AuthStrategy of schemas that name none, as the API has it: those in its namespace may be named everywhere.
    pub default_strategy: Option<StrategyRef>,
}

/// Where the lease is kept when nothing says otherwise.
pub const DEFAULT_LEASE_NAMESPACE: &str = "velocity-system";

impl Default for Config {
    fn default() -> Self {
        Self {
            concurrency: 4,
            jobs: 4,
            resync: Duration::from_hours(1),
            data_pause: Duration::from_secs(5),
            sweep: Duration::from_hours(1),
            lease: LeaseConfig {
                namespace: DEFAULT_LEASE_NAMESPACE.to_owned(),
                identity: format!("operator-{:016x}", rand::random::<u64>()),
                terms: Terms::default(),
            },
            default_strategy: None,
        }
    }
}
