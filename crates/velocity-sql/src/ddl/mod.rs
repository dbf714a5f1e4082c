//! DDL as values: what a schema needs in Postgres, what is there, and the steps between the two.

mod columns;
mod grants;
mod history;
mod indexes;
mod live;
mod plan;
mod policies;
mod simulate;
mod step;
mod triggers;

pub use columns::{CHECK_RULES, check_name, column_definition};
pub use history::{default_partition, partition_for};
pub use indexes::{IndexKind, WantedIndex, unique_fields, wanted_indexes};
pub use live::{Live, LiveColumn, LiveTable, Target, TrashedColumn, TrashedTable, Trigrams};
pub use plan::{Approval, Decision, Plan, Waiting, delete_plan, plan};
pub use simulate::{provisioned, with_targets_of};
pub use step::{Check, Class, Finding, How, Lock, Otherwise, Stage, Step};

/// The columns that no record shows.
pub const HIDDEN_COLUMNS: [&str; 2] = ["deleted_at", "_head_hash"];
