//! The operator: makes Postgres what the SchemaDefinitions say, and says in their status what it did.
//!
//! A reconcile is named phases, one file each: observe (IO), validate (pure), plan (pure, in `velocity_sql::ddl`),
//! apply (IO, resumable), publish (IO).

mod auth_strategies;
mod conditions;
mod config;
mod context;
mod controller;
mod events;
mod observe;
mod outcome;
mod publish;
mod reconcile;
mod retries;
mod sweep;
mod validate;

pub use config::Config;
pub use controller::{OperatorError, run};
