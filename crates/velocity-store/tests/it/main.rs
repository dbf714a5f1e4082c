//! Tests against a real Postgres.

mod codec;
mod records;
mod tables;
mod wire;
