//! Why a plan was not applied to its end.

use tokio_postgres::error::SqlState;
use velocity_sql::ddl::Step;

use super::locks::ATTEMPTS;

/// Why a plan was not applied to its end.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The lock was not to be had; the table serves on.
    #[error("`{summary}` did not get its lock in {ATTEMPTS} attempts{}; it is tried again", held_by(.blockers))]
    LockNotAvailable {
        /// The step.
        summary: String,
        /// Who holds locks on the table, as far as it can be told: process and query.
        blockers: Vec<String>,
    },
    /// Postgres refused the statement.
    #[error("`{summary}` failed: {}", message(source))]
    Step {
        /// The step.
        summary: String,
        /// Postgres' answer.
        source: tokio_postgres::Error,
    },
    /// Postgres is not there, or refuses what belongs to no step.
    #[error("the plan could not be applied: {}", message(.0))]
    Unreachable(#[source] tokio_postgres::Error),
}

impl ApplyError {
    pub(super) fn of(step: &Step, source: tokio_postgres::Error) -> Self {
        if source.is_closed() || source.as_db_error().is_none() {
            Self::Unreachable(source)
        } else {
            Self::Step { summary: step.summary.clone(), source }
        }
    }

    /// Whether trying the same again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::LockNotAvailable { .. } => true,
            Self::Unreachable(source) if source.as_db_error().is_none() => true,
            Self::Step { source, .. } | Self::Unreachable(source) => source.code().is_some_and(|code| {
                // Connection trouble, resources, operator intervention, and two processes at one catalog row.
                ["08", "53", "57", "40"].iter().any(|class| code.code().starts_with(class))
                    || [SqlState::LOCK_NOT_AVAILABLE, SqlState::INTERNAL_ERROR].contains(code)
            }),
        }
    }

    /// Whether another transaction was in the way, and this one has changed nothing.
    pub(super) fn is_contention(&self) -> bool {
        matches!(self, Self::Step { source, .. } | Self::Unreachable(source)
            if source.code().is_some_and(|code| [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED].contains(code)))
    }
}

fn held_by(blockers: &[String]) -> String {
    if blockers.is_empty() { String::new() } else { format!(" (locks are held by {})", blockers.join("; ")) }
}

/// What it is, for people who cannot look codes up.
pub(in crate::ddl) fn message(error: &tokio_postgres::Error) -> String {
    let Some(db) = error.as_db_error() else {
        return if error.is_closed() {
            "the connection to the database is lost".to_owned()
        } else {
            format!("the database is not reachable ({error})")
        };
    };
    let plain = match db.code().code() {
        "53100" => "the database's disk is full",
        "53200" => "the database is out of memory",
        "53300" => "the database takes no more connections",
        "57P01" | "57P02" => "the database is being shut down or restarted",
        "57P03" => "the database is starting up",
        _ => return db.message().to_owned(),
    };
    format!("{plain} ({})", db.message())
}
