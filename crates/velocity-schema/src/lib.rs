//! The schema language: names, fields, values and the validated schema.
//!
//! Pure: nothing here reads a file, a socket or the time of day; only the deadline of a rule's evaluation looks at the
//! monotonic clock. A [`Schema`] can only be made by [`Schema::parse`],
//! so whoever holds one never checks names, lengths or types again.

pub mod cel;
pub mod changes;
pub mod decimal;
pub mod field;
pub mod input;
pub mod lineage;
pub mod name;
pub mod registry;
pub mod schema;
pub mod snapshot;
pub mod spec;
pub mod time;
pub mod value;
pub mod violation;

pub use field::{Field, FieldType};
pub use name::{FieldName, Name, SchemaPath, Version};
pub use schema::{FieldMask, Mask, MaskKey, Schema, Sight, View, WriteRights};
pub use value::Value;
pub use violation::{Violation, Violations};
