//! Queries over one schema's records: requested → planned → rendered.
//!
//! - [`ListRequest`]: what the caller wrote, its names not yet looked up.
//! - [`ListPlan`]: the same against a schema; what it names exists, may be filtered or sorted by, and its values have
//!   their fields' types.
//! - [`Rendered`](crate::Rendered): SQL with the values beside it.
//!
//! [`TableSql`] has the statements of single records.

mod access_path;
mod condition;
mod cursor;
mod error;
mod history;
mod json;
mod keyset;
mod list;
mod lookup;
mod operator;
mod plan;
mod reading;
mod request;
mod search;
mod table;
mod write;

pub use cursor::CursorKey;
pub use error::{PlanCode, PlanError};
pub use history::{CHANGE_COLUMNS, HISTORY_COLUMNS, HistoryPlan, HistoryRequest};
pub use list::COUNT_BOUND;
pub use lookup::lookup;
pub use operator::Operator;
pub use plan::{ListPlan, SortKey, Total};
pub use reading::Reading;
pub use request::{CountMode, LIMIT_DEFAULT, LIMIT_MAX, ListRequest, RequestedFilter, RequestedSort};
pub use table::TableSql;
pub use write::{Existing, OnConflict, Shape, Slot};

#[cfg(test)]
mod tests;
