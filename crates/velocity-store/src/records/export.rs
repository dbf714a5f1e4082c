//! All records that fit, streamed.

use std::sync::Arc;

use velocity_sql::query::ListPlan;

use super::Records;
use super::error::RecordError;
use super::session::Session;
use super::table::Table;
use crate::codec::{Numbers, RowEncoder};
use crate::wire::{Rows, Transaction, TransactionMode};

/// Records per chunk: large enough that round trips do not matter, small enough that memory does not.
const CHUNK: u16 = 500;

/// An export that is ready to run: all records of one moment.
#[derive(Debug)]
pub struct Export {
    transaction: Transaction,
    table: Arc<Table>,
    plan: ListPlan,
    encoder: RowEncoder,
}

/// Records of an export.
#[derive(Debug)]
pub struct Chunk {
    rows: Rows,
    encoder: RowEncoder,
}

impl Records {
    /// Begins an export of all that the plan's conditions select, in its order; its limit does not count. It holds a
    /// connection until it ends or is dropped.
    pub async fn export(
        &self,
        session: &Session,
        table: &Arc<Table>,
        plan: ListPlan,
    ) -> Result<Export, RecordError> {
        let wire = session.to_wire(table.role())?;
        let transaction = self
            .shared
            .exclusive
            .begin(wire, TransactionMode::Snapshot, Some(session.statement_timeout))
            .await
            .map_err(|error| RecordError::of(table, error))?;
        let encoder = table.shown(plan.view()).encoder_for(table.schema(), &plan);
        Ok(Export { transaction, table: Arc::clone(table), plan, encoder })
    }
}

impl Export {
    /// Hands chunk after chunk to `sink`, which may take its time: nothing piles up. Ends when `sink` says `false`.
    /// Returns the number of records.
    pub async fn run(mut self, mut sink: impl AsyncFnMut(Chunk) -> bool) -> Result<u64, RecordError> {
        let statement = self.table.query(self.plan.render_all(self.table.sql()));
        let of = |error| RecordError::of(&self.table, error);
        let mut count = 0;
        let mut stream = self.transaction.stream(statement, CHUNK).map_err(of)?;
        while let Some(rows) = stream.next_chunk().await.map_err(of)? {
            if count == 0 && !self.table.is_as_declared(stream.columns(), self.plan.fetched().iter().copied())
            {
                return Err(RecordError::shape_changed(&self.table, "a column is not of its declared type"));
            }
            count += rows.len() as u64;
            if !sink(Chunk { rows, encoder: self.encoder.clone() }).await {
                break;
            }
        }
        drop(stream);
        // A read needs no commit.
        self.transaction.rollback().await.map_err(of)?;
        Ok(count)
    }
}

impl Chunk {
    /// How many records it has; never none.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Appends what the plan's view shows of each record as a JSON object with `separator` behind it: a line feed for NDJSON.
    pub fn append_json(&self, numbers: Numbers, separator: u8, out: &mut Vec<u8>) -> Result<(), RecordError> {
        for row in self.rows.iter() {
            self.encoder.append(row, numbers, out)?;
            out.push(separator);
        }
        Ok(())
    }
}
