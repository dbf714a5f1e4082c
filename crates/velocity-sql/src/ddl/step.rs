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
    ShareUpdateExclusive,
    ShareRowExclusive,
    AccessExclusive,
}

impl Lock {
    /// The word in `pendingOperations`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
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
    /// Why it is not applied, where it is not.
    pub reason: Option<String>,
    /// Whether it must run outside a transaction (`create index concurrently`).
    pub alone: bool,
    /// Whether it keeps the table going as it is, and is no part of a change: done also while a change is blocked.
    pub upkeep: bool,
}

impl Step {
    /// A step that is applied at once.
    pub fn safe(summary: impl Into<String>, lock: Lock, sql: impl Into<String>) -> Self {
        Self {
            summary: summary.into(),
            class: Class::Safe,
            lock,
            sql: sql.into(),
            reason: None,
            alone: false,
            upkeep: false,
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
        Self {
            summary: summary.into(),
            class,
            lock,
            sql: sql.into(),
            reason: Some(reason.into()),
            alone: false,
            upkeep: false,
        }
    }

    /// The same, as upkeep.
    pub fn upkeep(mut self) -> Self {
        self.upkeep = true;
        self
    }

    /// The same, outside a transaction.
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }
}
