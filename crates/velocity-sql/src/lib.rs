//! SQL as values: identifiers that are quoted once, fragments that carry their binds, plans and DDL.
//!
//! Pure: nothing here talks to a database. No text of a user ever becomes SQL; names come from validated schemas
//! through [`Ident`], values travel as [`Bind`]s (or as quoted literals where DDL takes no parameters).

pub mod condition;
pub mod ddl;
pub mod fragment;
pub mod ident;
pub mod names;
pub mod query;
mod role_rows;
mod search;
pub mod sql_type;

pub use fragment::{Bind, Fragment, Rendered};
pub use ident::Ident;
pub use names::TableNames;
pub use role_rows::rows_of_role;
pub use sql_type::SqlType;
