//! One file for each operation: extract, authorise, plan, store, present.

pub(crate) mod auth;
pub(crate) mod bulk;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod describe;
pub(crate) mod export;
pub(crate) mod fallback;
pub(crate) mod history;
pub(crate) mod list;
pub(crate) mod operations;
pub(crate) mod patch;
pub(crate) mod platform;
pub(crate) mod read;
pub(crate) mod replace;
pub(crate) mod undelete;
mod write;
