//! What a reconcile came to: a value, whether it went well or not.

use velocity_schema::{Schema, Violations};
use velocity_sql::ddl::{Plan, Step, Waiting};

/// What the work on a schema came to.
#[derive(Debug)]
pub(crate) struct Reached {
    /// Where it stands now.
    pub(crate) outcome: Outcome,
    /// The hash of the spec that is provisioned, whatever the new one is.
    pub(crate) provisioned: Option<String>,
    /// What was done on the way: each is told, once.
    pub(crate) facts: Vec<Fact>,
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fact {
    /// Steps of a change.
    Applied(Vec<String>),
    /// What hands had changed is as it was made again.
    Repaired(Vec<String>),
    /// The data of a deleted table is back.
    Restored(String),
}

/// Where a schema stands.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The spec contradicts itself, or its place.
    Invalid(Violations),
    /// Another resource or domain was first.
    Claimed(String),
    /// The table is as the spec says.
    Ready {
        /// What is provisioned.
        schema: Box<Schema>,
        /// What is there besides.
        foreign: Foreign,
    },
    /// References point to what is not there yet.
    Waiting {
        /// What is being provisioned.
        schema: Box<Schema>,
        /// The references.
        waiting: Vec<Waiting>,
    },
    /// The change is not made; the table keeps its old shape.
    Blocked {
        /// What was wanted.
        schema: Box<Schema>,
        /// The change.
        change: Blocked,
    },
    /// The change is being made; the table keeps its old shape until it is switched.
    Running {
        /// What is being provisioned.
        schema: Box<Schema>,
        /// The steps of the change.
        steps: Vec<Step>,
        /// How far it is.
        stand: Stand,
    },
    /// A statement was refused by Postgres for good.
    Failed {
        /// What was wanted.
        schema: Box<Schema>,
        /// Why.
        reason: String,
    },
}

/// A change that is not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blocked {
    /// All its steps, each with why it is not done.
    pub(crate) pending: Vec<Step>,
    /// What an approval has to name.
    pub(crate) hash: String,
    /// What is missing.
    pub(crate) missing: Missing,
    /// The plan that an approval names, where it is another.
    pub(crate) outdated: Option<String>,
    /// Whether the spec is provisioned, and hands have changed the table since.
    pub(crate) drift: bool,
}

/// What a blocked change waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Someone's word.
    Approval,
    /// Data that fits.
    Data,
    /// Another spec: it cannot be done in place.
    Possibility,
}

/// What neither the platform made nor the spec names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// The steps that would remove it.
    pub(crate) steps: Vec<String>,
    /// The hash of the plan with them.
    pub(crate) hash: String,
}

impl Foreign {
    pub(crate) fn of(plan: &Plan) -> Self {
        if plan.foreign.is_empty() {
            return Self::default();
        }
        Self {
            steps: plan.foreign.iter().map(|step| step.summary.clone()).collect(),
            hash: plan.clone().removing_foreign().hash(),
        }
    }
}

/// How far a change is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stand {
    /// The step that is being done, from 1; 0 while it has not begun.
    pub(crate) step: usize,
    /// The rows that it has looked at.
    pub(crate) rows: i64,
    /// Whether traffic holds a lock that it needs.
    pub(crate) locked_out: bool,
}
