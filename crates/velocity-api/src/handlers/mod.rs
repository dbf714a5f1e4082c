//! One file for each operation: extract, authorise, plan, store, present.

pub(crate) mod describe;
pub(crate) mod fallback;
pub(crate) mod operations;
