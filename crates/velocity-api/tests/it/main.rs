//! The API over real HTTP and a real Postgres.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod abac;
mod access;
mod access_events;
mod access_log;
mod administration;
mod app;
mod attacks;
mod bindings;
mod bulk;
mod changes;
mod client_address;
mod conditions;
mod cross_schema;
mod describe;
mod export;
mod fields;
mod frame;
mod idempotency;
mod informer;
mod leaks;
mod lists;
mod narrow_keys;
mod oidc;
mod outages;
mod records;
mod replica;
mod revocation;
mod search;
mod views;
