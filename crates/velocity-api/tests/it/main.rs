//! The API over real HTTP and a real Postgres.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod access;
mod app;
mod attacks;
mod bulk;
mod changes;
mod conditions;
mod describe;
mod export;
mod frame;
mod idempotency;
mod informer;
mod lists;
mod outages;
mod records;
mod search;
