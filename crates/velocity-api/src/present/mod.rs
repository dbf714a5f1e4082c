//! Forms of records beyond the JSON that the store writes itself.

pub(crate) mod csv;
