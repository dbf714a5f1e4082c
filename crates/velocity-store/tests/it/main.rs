//! Tests against a real Postgres.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod actor;
mod any_schema;
mod checks;
mod codec;
mod evolution;
mod filters;
mod locks;
mod partitions;
mod planned;
mod records;
mod tables;
mod wire;
