//! The wire client.

#![expect(clippy::unwrap_used, reason = "fixtures fail a test by panicking")]

mod abandonment;
mod fixture;
mod lanes;
mod login;
mod outage;
mod requests;
mod statements;
mod tls;
mod transactions;
