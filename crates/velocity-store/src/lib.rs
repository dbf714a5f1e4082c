//! The only crate that talks to Postgres.

pub mod codec;
pub mod ddl;
pub mod owner;
pub mod platform;
pub mod records;
pub mod wire;
