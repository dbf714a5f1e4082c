//! The live catalog, looks at the data, and applying plans. Everything here but reading the catalog runs as the owner.

mod apply;
mod catalog;
mod probe;

pub use apply::{ApplyError, Change, Progress, apply, begun_statements};
pub use catalog::{CatalogError, Reader, read, read_as};
pub use probe::{ProbeError, probe};
