//! Real servers: made, stopped, killed, and attacked.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod crash;
#[cfg(feature = "download")]
mod download;
mod folder;
mod installation;
mod paths;
mod privacy;
mod process;
mod start;
