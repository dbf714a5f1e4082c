//! The operator between the built-in Kubernetes API and a real Postgres, all in this process; or a real Kubernetes API
//! (`make test-kubernetes`).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod calls;
mod changes;
mod claims;
mod crowds;
mod deletion;
mod drift;
mod faults;
mod kubernetes;
mod lanes;
mod leading;
mod outages;
mod phases;
mod references;
mod resync;
mod role_bindings;
mod strategies;
mod world;
