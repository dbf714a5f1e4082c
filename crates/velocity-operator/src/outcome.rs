//! What a reconcile came to: a value, whether it went well or not.

use velocity_schema::{Schema, Violations};
use velocity_sql::ddl::{Plan, Waiting};

/// The result of a reconcile that reached the database.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The spec contradicts itself, its place, or what this release can do.
    Invalid(Violations),
    /// Another resource or domain was first.
    Claimed(String),
    /// The table is as the spec says.
    Ready {
        /// What is provisioned.
        schema: Box<Schema>,
        /// What was done for it just now; nothing when it was so already.
        applied: Plan,
    },
    /// References point to what is not there yet; all else is done.
    Waiting {
        /// What is being provisioned.
        schema: Box<Schema>,
        /// The references.
        waiting: Vec<Waiting>,
        /// What was done for it just now.
        applied: Plan,
    },
    /// The change is not made; the table keeps its old shape.
    Blocked {
        /// What was wanted.
        schema: Box<Schema>,
        /// The steps that are not made, with their reasons.
        plan: Plan,
    },
    /// A statement was refused by Postgres for good.
    Failed {
        /// What was wanted.
        schema: Box<Schema>,
        /// Why.
        reason: String,
    },
}
