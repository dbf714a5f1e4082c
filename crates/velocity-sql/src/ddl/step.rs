//! One statement of a plan.

use std::fmt;

/// How much a step asks of the data and of the people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Applied at once.
    Safe,
    /// Applied once the data fits.
    NeedsData,
    /// Applied once it is approved.
    Breaking,
}

impl Class {
    /// The word in `pendingOperations`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::NeedsData => "needsData",
            Self::Breaking => "breaking",
        }
    }
}

/// The table lock that a step takes ("Explicit Locking" in the Postgres documentation), for as long as it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are Postgres' own")]
pub enum Lock {
    None,
    RowExclusive,
    ShareUpdateExclusive,
    ShareRowExclusive,
    AccessExclusive,
}

impl Lock {
    /// The word in `pendingOperations`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::RowExclusive => "ROW EXCLUSIVE",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
        }
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When a step runs: requests see the old spec until the switch, the new one after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Before the switch, each step on its own: nothing that the old spec's requests notice.
    Prepare,
    /// In one short transaction with all other steps of this stage, which makes the new spec the one that is served.
    Switch,
    /// After the switch, each step on its own.
    Finish,
}

/// How a step runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// Its statements in a transaction.
    Transaction,
    /// Outside a transaction (`create index concurrently`).
    Alone,
    /// Again and again, each time in a transaction of its own, until it says that it is done. The step's statement has two
    /// parameters: `$1 text`, the id behind which it goes on (null at first), and `$2 bigint`, how many rows it takes. It
    /// gives one row: `text`, the last id that it looked at, and `bigint`, how many rows it looked at; fewer than it might
    /// take means done.
    Batches {
        /// The cursor's name, stable between plans.
        name: String,
        /// Whether a transaction-local `velocity.operation = 'BACKFILL'` keeps the writes out of the history: the values
        /// stay what they are, in another form.
        silent: bool,
    },
}

/// Rows that keep a step from being applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// `from "s"."t" r where …`: the rows that do not fit; `r` has the columns `id` and `deleted_at`.
    pub from: String,
    /// For people, behind the count: `have no value for gate`.
    pub complaint: String,
    /// For people: the way out.
    pub way_out: String,
    /// What such rows mean.
    pub otherwise: Otherwise,
}

/// What it means that rows do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// The plan is blocked until they do.
    Block,
    /// The step becomes a breaking one: with an approval it is applied in spite of them.
    Breaking,
    /// The step is left out, for now.
    Skip,
}

/// The rows that a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finding {
    /// How many.
    pub count: i64,
    /// The ids of the first three, ` (deleted)` behind those of deleted records.
    pub samples: Vec<String>,
}

/// One statement with what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// For people: `add column gate (text)`.
    pub summary: String,
    /// How it is applied.
    pub class: Class,
    /// What it locks.
    pub lock: Lock,
    /// The statement, or several that belong together.
    pub sql: String,
    /// Why it is not applied, where it is not; for a breaking step, what it breaks.
    pub reason: Option<String>,
    /// When.
    pub stage: Stage,
    /// How.
    pub how: How,
    /// What has to be looked up in the data first.
    pub check: Option<Check>,
    /// Whether it keeps the table going as it is, and is no part of a change: done also while a change is blocked.
    pub upkeep: bool,
    /// Whether no approval helps: it cannot be done in place.
    pub refused: bool,
}

impl Step {
    /// A step that is applied at once, in its own transaction.
    pub fn safe(stage: Stage, summary: impl Into<String>, lock: Lock, sql: impl Into<String>) -> Self {
        Self {
            summary: summary.into(),
            class: Class::Safe,
            lock,
            sql: sql.into(),
            reason: None,
            stage,
            how: How::Transaction,
            check: None,
            upkeep: false,
            refused: false,
        }
    }

    /// A step that is not applied, and why.
    pub fn blocked(
        summary: impl Into<String>,
        class: Class,
        lock: Lock,
        sql: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        let mut step = Self::safe(Stage::Switch, summary, lock, sql).refused(reason);
        step.class = class;
        step
    }

    /// The same, only with an approval.
    pub fn breaking(mut self, reason: impl Into<String>) -> Self {
        self.class = Class::Breaking;
        self.reason = Some(reason.into());
        self
    }

    /// The same, once the data fits.
    pub fn needs(mut self, check: Check) -> Self {
        self.class = self.class.max(Class::NeedsData);
        self.check = Some(check);
        self
    }

    /// The same, never: there is no way to do it in place.
    pub fn refused(mut self, reason: impl Into<String>) -> Self {
        self.class = Class::Breaking;
        self.reason = Some(reason.into());
        self.refused = true;
        self
    }

    /// The same, as upkeep.
    pub fn upkeep(mut self) -> Self {
        self.upkeep = true;
        self
    }

    /// The same, outside a transaction.
    pub fn alone(mut self) -> Self {
        self.how = How::Alone;
        self
    }
}
