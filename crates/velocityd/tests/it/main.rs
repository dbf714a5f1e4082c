//! The two binaries as a person runs them: `velocityd dev` with its private Postgres, the `velocity` command line,
//! kubectl, and HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod access;
mod admission;
mod api_keys;
mod approvals;
mod approve;
mod attacks;
mod can_i;
mod changes;
mod dev;
mod diff;
mod drift;
mod evolution;
mod faults;
mod first_minutes;
mod grants;
mod harness;
mod import;
mod kubernetes;
mod names;
mod nycflights;
mod operator;
mod records;
mod sign_in;
mod strategies;
mod stuck;
mod takeover;
mod traps;
