//! The operator: makes Postgres what the SchemaDefinitions say, and says in their status what it did.
//!
//! One operator leads (`lease`); only that one works. A reconcile is validate (pure), `work` (observe, plan, decide, apply:
//! IO around pure decisions of `velocity_sql::ddl`), publish (IO). What takes longer than a moment is a job beside the
//! reconciles (`jobs`), with the same `work` in it.

mod auth_strategies;
mod conditions;
mod config;
mod context;
mod controller;
mod deletion;
mod drift;
mod error;
mod events;
mod finalizers;
mod jobs;
mod lease;
mod observe;
mod occasions;
mod outcome;
mod pending;
mod publish;
mod reconcile;
mod requests;
mod retries;
mod role_bindings;
mod session;
mod slow;
mod sweep;
mod told;
mod validate;
mod work;

pub use config::{Config, DEFAULT_LEASE_NAMESPACE};
pub use controller::{OperatorError, run};
pub use lease::{LeaseConfig, NAME as LEASE_NAME, Terms};
