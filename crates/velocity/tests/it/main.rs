//! The program from the outside: its real binary against servers of this process.
#![expect(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, which helper functions are not taken for"
)]

mod api_keys;
mod apply;
mod approve;
mod auth;
mod can_i;
mod context;
mod diff;
mod drift;
mod explain;
mod export;
mod fake_api;
mod fake_provider;
mod grants;
mod harness;
mod help;
mod import;
mod import_faults;
mod record;
mod resources;
mod sign_in;
mod validate;
