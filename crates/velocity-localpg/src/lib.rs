//! A private Postgres for one process: development and tests.
//!
//! [`LocalPostgres::start`] finds (or, with the feature `download`, fetches) the binaries, makes a cluster on
//! first use, and runs it as a child that never outlives this process, reached by a socket only.
//!
//! **Who may log in.** The cluster asks for no password. What keeps other people out is the file system:
//! no TCP port is open, and both the socket and its folder have mode 0700, so that only the account which
//! runs Postgres, and root, can reach it. Started as root, that account is `postgres` where it exists, else
//! `nobody`.
//!
//! This crate reads no environment variables: what comes from there is passed in by [`Options`].

mod account;
mod binaries;
mod cluster;
#[cfg(feature = "download")]
mod download;
mod error;
mod install_hint;
mod layout;
mod leftover;
mod lifeline;
mod local;
mod log_file;
mod options;
mod pid_file;
mod postmaster;
mod settings;
mod url;

pub use crate::binaries::Version;
pub use crate::error::{DownloadError, Error};
pub use crate::local::LocalPostgres;
pub use crate::options::{Durability, Options, Progress, ProgressReport};

/// The oldest major version of Postgres that Velocity's SQL runs on.
pub const OLDEST_MAJOR: u32 = 15;

/// The port in the name of the socket file. No TCP port is ever opened.
pub const PORT: u16 = 5432;
