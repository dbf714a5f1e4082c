//! Tests against a real Postgres.

mod tables;
mod wire;
