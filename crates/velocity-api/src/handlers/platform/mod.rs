//! Administration: what a spec would change, and what hands have changed. Reads only, for platform administrators only.

mod admin;
mod drift;
mod estimate;
mod login;
mod operations;
mod plan;
mod preview;

pub(crate) use drift::show_drift;
pub(crate) use login::Login;
pub(crate) use plan::plan_schema;
