//! The operator between the built-in Kubernetes API and a real Postgres, all in this process; or a real Kubernetes API
//! (`make test-kubernetes`).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod claims;
mod crowds;
mod deletion;
mod kubernetes;
mod outages;
mod phases;
mod references;
mod resync;
mod world;
