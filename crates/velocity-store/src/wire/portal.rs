//! Rows in chunks: a portal that the server holds open inside of a transaction.

use std::sync::Arc;

use super::{Column, ResultLimit, Rows, Statement, Transaction, WireError, encode::Action};

/// A statement's rows, chunk by chunk. The server computes a chunk when it is asked for, so that a slow
/// reader slows the server and nothing piles up in between.
#[derive(Debug)]
pub struct RowStream<'t> {
    transaction: &'t mut Transaction,
    portal: u32,
    rows: u16,
    limit: ResultLimit,
    columns: Arc<[Column]>,
    state: State,
}

#[derive(Debug)]
enum State {
    New(Box<Statement>),
    Open,
    Done,
}

impl<'t> RowStream<'t> {
    pub(super) fn new(
        transaction: &'t mut Transaction,
        portal: u32,
        mut statement: Statement,
        rows: u16,
    ) -> Self {
        let rows = rows.max(1);
        let limit = ResultLimit { max_rows: rows.into(), ..statement.limit };
        statement.limit = limit;
        let state = State::New(Box::new(statement));
        Self { transaction, portal, rows, limit, columns: Arc::new([]), state }
    }

    /// The columns; known from the first chunk on.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The next chunk, never empty; `None` at the end.
    pub async fn next_chunk(&mut self) -> Result<Option<Rows>, WireError> {
        let (portal, rows) = (self.portal, i32::from(self.rows));
        let first = matches!(self.state, State::New(_));
        // Whatever goes wrong below, the stream is over.
        let action = match std::mem::replace(&mut self.state, State::Done) {
            State::New(statement) => Action::Open { statement: *statement, portal, rows },
            State::Open => Action::Fetch { portal, rows, limit: self.limit },
            State::Done => return Ok(None),
        };
        let Some(result) = self.transaction.call(vec![action]).await?.pop() else { return Ok(None) };
        if first {
            self.columns = result.shared_columns();
        }
        // A suspended portal has no command tag.
        if result.tag().is_empty() {
            self.state = State::Open;
        }
        let rows = result.into_rows();
        Ok((!rows.is_empty()).then_some(rows))
    }

    /// Lets the server forget the rest, for a transaction that goes on.
    pub async fn close(mut self) -> Result<(), WireError> {
        if let State::Open = std::mem::replace(&mut self.state, State::Done) {
            self.transaction.call(vec![Action::ClosePortal { portal: self.portal }]).await?;
        }
        Ok(())
    }
}
