//! The live catalog, and applying plans to it. Everything here runs as the owner.

mod apply;
mod catalog;

pub use apply::{ApplyError, apply};
pub use catalog::{CatalogError, read};
