//! The only crate that talks to Postgres.
