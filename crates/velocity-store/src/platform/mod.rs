//! The platform's own tables and functions, and the specs that are provisioned.

mod access_events;
mod claims;
mod keys;
mod migrate;
mod specs;
mod trash;

pub use access_events::{AccessEventKind, AccessEventRow, write_access_events};
pub use claims::{Claim, ClaimOutcome, claim, release};
pub use keys::cursor_key;
pub use migrate::{MigrateError, migrate};
pub use specs::{ProvisionedSpec, provisioned_by_path, record_provisioned, sweep_idempotency_keys};
pub use trash::{sweep_plans, sweep_trash};

/// The login of the API: no superuser, no BYPASSRLS, owner of nothing.
pub const API_LOGIN: &str = "velocity_api";
