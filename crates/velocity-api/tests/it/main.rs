//! The API over real HTTP and a real Postgres.

mod access;
mod app;
mod attacks;
mod bulk;
mod conditions;
mod describe;
mod export;
mod frame;
mod idempotency;
mod informer;
mod lists;
mod records;
