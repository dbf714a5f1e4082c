//! Transactions of several round trips, for idempotent and bulk writes.

use std::{sync::Arc, time::Duration};

use super::{
    DbError, Exclusive, Ran, ResultSet, RowStream, Session, Statement, WireError,
    connection::{Reply, lost, receive},
    encode::{Action, Ends, Request, patience},
    pool::Lease,
    statement::validate_all,
};

/// What a transaction may do and what it sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionMode {
    /// Reads and writes; each statement sees what was committed before it.
    ReadWrite,
    /// Reads only.
    ReadOnly,
    /// Reads only, and all statements see the same moment: exports.
    Snapshot,
    /// Reads and writes as if it were alone; may fail with `40001` and be run again.
    Serializable,
}

impl TransactionMode {
    fn begin(self) -> &'static str {
        match self {
            Self::ReadWrite => "begin",
            Self::ReadOnly => "begin read only",
            Self::Snapshot => "begin isolation level repeatable read read only",
            Self::Serializable => "begin isolation level serializable",
        }
    }
}

/// A transaction on a connection of its own.
///
/// Ends with `commit` or `rollback`; dropping it rolls back in the background. The connection is used by
/// others only after the server has confirmed the end, and is closed where that is in doubt.
#[derive(Debug)]
pub struct Transaction {
    pool: Exclusive,
    lease: Option<Arc<Lease>>,
    session: Session,
    mode: TransactionMode,
    statement_timeout: Option<Duration>,
    /// `begin` was sent.
    begun: bool,
    /// A call is under way, or was abandoned by its caller.
    busy: bool,
    portals: u32,
}

impl Transaction {
    pub(super) fn new(
        pool: Exclusive,
        lease: Arc<Lease>,
        session: Session,
        mode: TransactionMode,
        statement_timeout: Option<Duration>,
    ) -> Self {
        Self {
            pool,
            lease: Some(lease),
            session,
            mode,
            statement_timeout,
            begun: false,
            busy: false,
            portals: 0,
        }
    }

    /// Runs a statement. After an error the transaction can only be rolled back, as a whole or to a
    /// savepoint that a statement has set.
    pub async fn run(&mut self, statement: Statement) -> Result<ResultSet, WireError> {
        let mut results = self.run_all(vec![statement]).await?;
        results.pop().ok_or_else(|| lost(Ran::Unknown, None).into())
    }

    /// Runs several statements in one round trip; the first error ends them.
    pub async fn run_all(&mut self, statements: Vec<Statement>) -> Result<Vec<ResultSet>, WireError> {
        validate_all(&statements)?;
        self.call(statements.into_iter().map(Action::Run).collect()).await
    }

    /// Reads a statement's rows in chunks of `rows`, so that memory stays constant. The statement's
    /// limit in bytes holds for each chunk.
    pub fn stream(&mut self, statement: Statement, rows: u16) -> Result<RowStream<'_>, WireError> {
        validate_all([&statement])?;
        self.portals += 1;
        let portal = self.portals;
        Ok(RowStream::new(self, portal, statement, rows))
    }

    /// Commits. Fails with `TransactionFailed` if a statement had failed, which rolls back.
    pub async fn commit(mut self) -> Result<(), WireError> {
        if self.busy {
            return Err(WireError::TransactionAbandoned);
        }
        if !self.begun {
            return Ok(());
        }
        if self.state() == b'I' {
            return Err(WireError::TransactionFailed);
        }
        match self.end("commit").await?.first() {
            Some(result) if result.tag() == "COMMIT" => Ok(()),
            _ => Err(WireError::TransactionFailed),
        }
    }

    /// Rolls back, and waits for the server to confirm it.
    pub async fn rollback(mut self) -> Result<(), WireError> {
        if self.busy {
            return Err(WireError::TransactionAbandoned);
        }
        if self.begun && self.state() != b'I' {
            self.end("rollback").await?;
        }
        Ok(())
    }

    fn state(&self) -> u8 {
        let connection = self.lease.as_ref().and_then(|lease| lease.connection());
        connection.map_or(b'I', super::Connection::transaction)
    }

    /// The lease goes with the request, so that nothing is left to do if the caller leaves meanwhile.
    async fn end(&mut self, how: &'static str) -> Result<Vec<ResultSet>, WireError> {
        let Some(lease) = self.lease.take() else { return Err(lost(Ran::No, None).into()) };
        let receiver = lease.send(Box::new(ending(how)));
        drop(lease);
        match receive(receiver).await {
            Reply::Done(outcome) => outcome,
            Reply::NotSent(_, cause) => Err(lost(Ran::No, Some(cause)).into()),
        }
    }

    /// Rolls back and keeps the connection, for a transaction that begins anew.
    async fn undo(&mut self) -> Result<(), WireError> {
        let Some(lease) = &self.lease else { return Ok(()) };
        self.busy = true;
        let reply = receive(lease.send(Box::new(ending("rollback")))).await;
        (self.busy, self.begun) = (false, false);
        match reply {
            Reply::Done(outcome) => outcome.map(drop),
            Reply::NotSent(_, cause) => Err(lost(Ran::No, Some(cause)).into()),
        }
    }

    pub(super) async fn call(&mut self, actions: Vec<Action>) -> Result<Vec<ResultSet>, WireError> {
        if self.busy {
            return Err(WireError::TransactionAbandoned);
        }
        // Only before anything has run may the request be repeated.
        let mut spare = (!self.begun).then(|| Box::new(self.request(actions.clone())));
        let mut request = Box::new(self.request(actions));
        loop {
            let lease = match self.lease.take() {
                Some(lease) => lease,
                None => self.pool.acquire().await?,
            };
            let receiver = lease.send(request);
            self.lease = Some(lease);
            (self.begun, self.busy) = (true, true);
            let reply = receive(receiver).await;
            self.busy = false;
            match (reply, spare.take()) {
                // All of it is rolled back, and the statements can be prepared anew.
                (Reply::Done(Err(error)), Some(again))
                    if error.database().is_some_and(DbError::is_stale_statement) =>
                {
                    // On this very connection, which has just dropped the stale statements.
                    self.undo().await?;
                    request = again;
                }
                (Reply::Done(outcome), _) => return outcome,
                // The connection had died unnoticed before the transaction began: take another.
                (Reply::NotSent(back, _), again @ Some(_)) => {
                    self.lease = None;
                    self.begun = false;
                    (request, spare) = (back, again);
                }
                (Reply::NotSent(_, cause), None) => return Err(lost(Ran::No, Some(cause)).into()),
            }
        }
    }

    /// The first request of a transaction begins it.
    fn request(&self, actions: Vec<Action>) -> Request {
        Request {
            begin: (!self.begun).then(|| self.mode.begin()),
            session: (!self.begun).then(|| (self.session.clone(), self.statement_timeout)),
            role: self.session.role().cloned(),
            patience: patience(self.statement_timeout, actions.len()),
            actions,
            ends: Ends::InTransaction,
        }
    }
}

fn ending(how: &'static str) -> Request {
    Request {
        begin: None,
        session: None,
        role: None,
        actions: vec![Action::Control(how)],
        ends: Ends::Idle,
        patience: None,
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        if !self.begun {
            return;
        }
        if !self.busy {
            // Its answer brings the lease home, or ends the connection.
            drop(lease.send(Box::new(ending("rollback"))));
            return;
        }
        self.pool.runtime().spawn(async move {
            lease.cancel().await;
            drop(lease.send(Box::new(ending("rollback"))));
        });
    }
}
