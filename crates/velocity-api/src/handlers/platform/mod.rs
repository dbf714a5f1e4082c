//! Administration, for platform administrators only: keys and revocations, who may do what and why, what a spec would
//! change, what hands have changed.

mod admin;
mod api_keys;
mod drift;
mod estimate;
mod explain;
mod login;
mod members;
mod operations;
mod plan;
mod preview;
mod revocations;
mod role_rows;

pub(crate) use api_keys::{create_key, list_keys, revoke_key, rotate_key};
pub(crate) use drift::show_drift;
pub(crate) use explain::explain;
pub(crate) use login::Login;
pub(crate) use plan::plan_schema;
pub(crate) use revocations::{create_revocation, lift, list_revoked};

use crate::error::ApiError;
use crate::request::Malformed;
use crate::request::path::record_id;

/// The segment of the path at the position, decoded once: `2` for the id in `/platform/api-keys/{id}`.
fn path_id(path: &str, position: usize) -> Result<String, ApiError> {
    let segment = path.trim_start_matches('/').split('/').nth(position).unwrap_or_default();
    let id = record_id(segment)?.into_owned();
    if id.contains('\0') {
        return Err(Malformed::new("the id in the path has a null character").into());
    }
    Ok(id)
}
