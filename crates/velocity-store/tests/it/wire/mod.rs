//! The wire client.

mod abandonment;
mod fixture;
mod lanes;
mod login;
mod outage;
mod requests;
mod statements;
mod tls;
mod transactions;
