//! Tests against a real Postgres.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod actor;
mod any_schema;
mod change;
mod changes;
mod checks;
mod codec;
mod conversions;
mod evolution;
mod filters;
mod locks;
mod partitions;
mod planned;
mod plans;
mod probes;
mod records;
mod tables;
mod tags;
mod trash;
mod wire;
