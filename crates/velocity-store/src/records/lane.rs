//! Where a statement runs: by itself in a pipeline, or within a transaction.

use std::time::Duration;

use super::Shared;
use super::error::{RecordError, is_conflict_of_transactions};
use super::session::Session;
use super::table::Table;
use crate::wire::{self, Pipeline, ResultSet, Statement, Transaction, WireError};

/// Where the statements of a call run.
pub(super) enum Lane<'a> {
    /// Each is a transaction of its own.
    Alone { shared: &'a Shared, session: wire::Session, timeout: Duration },
    /// All belong to one transaction, and an error ends it.
    Within(&'a mut Transaction),
}

impl<'a> Lane<'a> {
    pub(super) fn alone(shared: &'a Shared, session: &Session, table: &Table) -> Result<Self, RecordError> {
        let wire = session.to_wire(table.role())?;
        Ok(Self::Alone { shared, session: wire, timeout: session.statement_timeout })
    }

    /// Whether an error leaves nothing behind, so that the next statement can be tried.
    pub(super) fn is_alone(&self) -> bool {
        matches!(self, Self::Alone { .. })
    }

    /// Runs a statement that may write or wait for a lock. One that lost against another transaction runs once more.
    pub(super) async fn write(&mut self, statement: Statement) -> Result<ResultSet, WireError> {
        match self {
            Self::Alone { shared, session, timeout } => {
                let again = statement.clone();
                match exclusive(shared, session, *timeout, statement).await {
                    Err(WireError::Database(error)) if is_conflict_of_transactions(&error) => {
                        exclusive(shared, session, *timeout, again).await
                    }
                    other => other,
                }
            }
            Self::Within(transaction) => transaction.run(statement).await,
        }
    }

    /// Runs a short read.
    pub(super) async fn read(&mut self, statement: Statement) -> Result<ResultSet, WireError> {
        match self {
            Self::Alone { shared, session, timeout } => {
                shared.short(session, *timeout, vec![statement]).await.and_then(only)
            }
            Self::Within(transaction) => transaction.run(statement).await,
        }
    }
}

async fn exclusive(
    shared: &Shared,
    session: &wire::Session,
    timeout: Duration,
    statement: Statement,
) -> Result<ResultSet, WireError> {
    shared
        .exclusive
        .pipeline(Pipeline::one(session.clone(), statement).statement_timeout(timeout))
        .await
        .and_then(only)
}

fn only(mut results: Vec<ResultSet>) -> Result<ResultSet, WireError> {
    results.pop().ok_or(WireError::TransactionFailed)
}

impl Shared {
    /// Runs reads that should take no time in the mux lane; those that do take time run again in the exclusive lane,
    /// where they hold up nobody.
    pub(super) async fn short(
        &self,
        session: &wire::Session,
        timeout: Duration,
        statements: Vec<Statement>,
    ) -> Result<Vec<ResultSet>, WireError> {
        let pipeline = Pipeline {
            session: session.clone(),
            statement_timeout: Some(timeout),
            statements: statements.clone(),
        };
        match self.mux.pipeline(pipeline).await {
            Err(WireError::Database(error)) if error.code == wire::SqlState::QUERY_CANCELED => {
                self.long(session, timeout, statements).await
            }
            other => other,
        }
    }

    /// Runs reads that may take a while.
    pub(super) async fn long(
        &self,
        session: &wire::Session,
        timeout: Duration,
        statements: Vec<Statement>,
    ) -> Result<Vec<ResultSet>, WireError> {
        let pipeline = Pipeline { session: session.clone(), statement_timeout: Some(timeout), statements };
        self.exclusive.pipeline(pipeline).await
    }
}
