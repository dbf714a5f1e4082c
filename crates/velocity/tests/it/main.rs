//! The program from the outside: its real binary against servers of this process.
#![expect(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, which helper functions are not taken for"
)]

mod apply;
mod approve;
mod auth;
mod context;
mod diff;
mod drift;
mod explain;
mod export;
mod fake_api;
mod harness;
mod help;
mod import;
mod import_faults;
mod record;
mod resources;
mod validate;
