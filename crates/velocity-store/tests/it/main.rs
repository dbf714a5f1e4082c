//! Tests against a real Postgres.

mod wire;
