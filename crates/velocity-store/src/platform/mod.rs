//! The platform's own tables and functions, and the specs that are provisioned.

mod access_events;
mod acting;
mod api_keys;
mod claims;
mod keys;
mod migrate;
mod revocations;
mod sessions;
mod specs;
mod trash;

pub use access_events::{AccessEventKind, AccessEventRow, write_access_events};
pub use acting::{AccessError, Acting};
pub use api_keys::{
    ApiKeyRotation, FoundApiKey, KeyUse, ListedApiKey, NewApiKey, RotationOutcome, api_key_by_id,
    create_api_key, find_api_key, list_api_keys, note_key_uses, revoke_api_key, rotate_api_key,
};
pub use claims::{Claim, ClaimOutcome, claim, domain_of_namespace, release};
pub use keys::{cursor_key, mask_key, session_key};
pub use migrate::{MigrateError, migrate};
pub use revocations::{
    ChangedRevocation, ListedRevocation, NewRevocation, lift_revocation, list_revocations, revocation_by_id,
    revocations_since, revoke, sweep_revocations,
};
pub use sessions::{
    FoundSession, SessionRefresh, StoredSessionRow, create_session, end_session, find_session,
    refresh_session, sweep_sessions,
};
pub use specs::{ProvisionedSpec, provisioned_by_path, record_provisioned, sweep_idempotency_keys};
pub use trash::{sweep_plans, sweep_trash};

/// The login of the API: no superuser, no BYPASSRLS, owner of nothing.
pub const API_LOGIN: &str = "velocity_api";
