//! The roles that a cluster runs.

mod api;
mod operator;
mod signal;

pub(crate) use api::{ApiParts, api, serve_api};
pub(crate) use operator::operator;
pub(crate) use signal::stop_signal;
