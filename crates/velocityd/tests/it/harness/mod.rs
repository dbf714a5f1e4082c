//! Servers, command lines, callers and schemas for the tests.

mod actor;
mod cli;
mod cluster;
mod database;
mod domain;
mod kubernetes;
mod programs;
mod provider;
mod scratch;
mod server;
mod wait;

pub(crate) use actor::{Actor, Reply, escaped, send};
pub(crate) use cli::{Cli, Ran};
pub(crate) use cluster::{Cluster, Role};
pub(crate) use database::{count, tampering, untampered, untampered_in};
pub(crate) use domain::{Domain, OPEN, condition, message};
pub(crate) use programs::{project, velocityd};
pub(crate) use provider::{CLIENT, Provider};
pub(crate) use scratch::Scratch;
pub(crate) use server::{Launch, Server};
pub(crate) use wait::{PATIENCE, eventually};
