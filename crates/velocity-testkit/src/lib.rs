//! What tests share. A dev-dependency; everything here panics where a test would have to.
//!
//! - [`TestDatabase`]: a fresh database in a Postgres that all tests of a process share, without fsync.
//! - [`TestCluster`]: a Postgres of the test's own, which it may restart and kill.
//! - [`Template`]: a database set up once per process and cloned for each test.
//!
//! Nothing is left behind, also when the test process is killed.

#![expect(clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod cluster;
mod database;
mod provision;
mod scratch;
mod template;

pub use crate::cluster::TestCluster;
pub use crate::database::TestDatabase;
pub use crate::provision::{PLATFORM, evolve, provision, schema};
pub use crate::template::Template;

/// The superuser of test clusters, who owns what the operator makes.
pub const OWNER: &str = "velocity_owner";

/// The role that the API logs in as; test clusters have it, without any grant.
pub const API: &str = "velocity_api";
