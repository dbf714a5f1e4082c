//! Many writes in one transaction. New records go in batches, one statement each.

mod batch;

use std::sync::Arc;

use velocity_schema::Value;
use velocity_schema::input::{NewRecord, Patch, Replacement};

use super::error::RecordError;
use super::guard::{Act, Guard};
use super::lane::Lane;
use super::table::Table;
use super::write::{Effect, Write, Written, apply};
use crate::wire::{Params, Statement, Transaction};

/// Records of one statement.
const BATCH: usize = 1000;
/// Failures of an atomic bulk after which the rest is not tried: they are reported, and all is undone anyway.
const ATOMIC_FAILURES: usize = 20;

const SAVEPOINT: &str = "savepoint velocity";
const RELEASE: &str = "release savepoint velocity";
const UNDO: &str = "rollback to savepoint velocity";

/// Many writes in one transaction, in their order.
#[derive(Debug, Clone)]
pub struct Bulk {
    /// Whether one failure undoes everything.
    pub atomic: bool,
    /// What a create does whose id or unique values are taken.
    pub conflict: ConflictRule,
    /// The writes.
    pub items: Vec<BulkItem>,
}

/// What a create does whose id or unique values are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ConflictRule {
    /// It fails.
    #[default]
    Fail,
    /// It does nothing.
    Skip,
    /// It replaces the record with its id. Other unique values that are taken make it fail.
    Update,
}

/// One of many writes.
#[derive(Debug, Clone)]
pub struct BulkItem {
    /// Its place in the request.
    pub index: u32,
    /// What it does.
    pub op: BulkOp,
}

/// What one of many writes does.
#[derive(Debug, Clone)]
pub enum BulkOp {
    /// Makes a record.
    Create(NewRecord),
    /// Changes a record.
    Update {
        /// Its id.
        id: Value,
        /// The change, with the version that the record must have, if any.
        patch: Patch,
    },
    /// Makes or replaces a record.
    Upsert(Replacement),
    /// Deletes a record.
    Delete {
        /// Its id.
        id: Value,
        /// The version that it must have.
        expected_version: Option<i64>,
    },
}

impl BulkOp {
    fn id(&self) -> &Value {
        match self {
            Self::Create(record) | Self::Upsert(Replacement { record, .. }) => record.id(),
            Self::Update { id, .. } | Self::Delete { id, .. } => id,
        }
    }
}

/// What became of each write, by index.
#[derive(Debug)]
pub struct BulkReport {
    /// One per item, by index ascending.
    pub results: Vec<BulkResult>,
}

/// What became of one write.
#[derive(Debug)]
pub struct BulkResult {
    /// Its place in the request.
    pub index: u32,
    /// The record's id.
    pub id: Value,
    /// How it ended.
    pub outcome: Outcome,
}

/// How one of many writes ended.
#[derive(Debug)]
pub enum Outcome {
    /// A record was made, with this version.
    Created(i64),
    /// A record was changed, or found as wanted; it has this version now.
    Updated(i64),
    /// A record was deleted, with this version.
    Deleted(i64),
    /// Its id or a unique value was taken, and [`ConflictRule::Skip`] says to let it be.
    Skipped,
    /// It failed and left nothing behind.
    Failed(RecordError),
}

/// Why one of many writes undid them all.
#[derive(Debug)]
pub struct BulkFailure {
    /// Its place in the request.
    pub index: u32,
    /// What is wrong with it.
    pub error: RecordError,
}

/// Runs all items in a transaction, which the caller commits. An error means that the transaction is to be given up.
pub(super) async fn run(
    transaction: &mut Transaction,
    table: &Arc<Table>,
    bulk: &Bulk,
    guard: &dyn Guard,
) -> Result<BulkReport, RecordError> {
    let mut run =
        Run { transaction, table, bulk, guard, results: Vec::with_capacity(bulk.items.len()), failures: 0 };
    let mut batch: Vec<(u32, &NewRecord)> = Vec::new();
    for item in &bulk.items {
        match &item.op {
            BulkOp::Create(record) if run.goes_in_batches(record) => {
                batch.push((item.index, record));
                if batch.len() >= BATCH {
                    run.batch(std::mem::take(&mut batch)).await?;
                }
            }
            op => {
                run.batch(std::mem::take(&mut batch)).await?;
                run.single(item.index, op).await?;
            }
        }
        if run.is_lost() {
            break;
        }
    }
    if !run.is_lost() {
        run.batch(batch).await?;
    }
    let mut results = run.results;
    results.sort_by_key(|result| result.index);
    if !bulk.atomic {
        return Ok(BulkReport { results });
    }
    let (mut failures, mut done) = (Vec::new(), Vec::new());
    for result in results {
        match result.outcome {
            Outcome::Failed(error) => failures.push(BulkFailure { index: result.index, error }),
            outcome => done.push(BulkResult { outcome, ..result }),
        }
    }
    if failures.is_empty() { Ok(BulkReport { results: done }) } else { Err(RecordError::Bulk { failures }) }
}

struct Run<'a> {
    transaction: &'a mut Transaction,
    table: &'a Arc<Table>,
    bulk: &'a Bulk,
    guard: &'a dyn Guard,
    results: Vec<BulkResult>,
    failures: usize,
}

type Rows<'a> = Vec<(u32, &'a NewRecord)>;

impl Run<'_> {
    /// A create that may become an update goes alone where a rule or the guard looks at the old record, or where it is to
    /// keep a value that the old record has.
    fn goes_in_batches(&self, record: &NewRecord) -> bool {
        let is_looked_at = self.guard.looks_at(Act::Create) || self.guard.looks_at(Act::Update);
        self.bulk.conflict != ConflictRule::Update
            || (record.generated.is_empty()
                && !is_looked_at
                && !self.table.schema().rules().iter().any(|rule| rule.program.uses_old()))
    }

    /// Whether enough has failed of what stands or falls together.
    fn is_lost(&self) -> bool {
        self.bulk.atomic && self.failures >= ATOMIC_FAILURES
    }

    fn end(&mut self, index: u32, id: &Value, outcome: Outcome) {
        self.failures += usize::from(matches!(outcome, Outcome::Failed(_)));
        self.results.push(BulkResult { index, id: id.clone(), outcome });
    }

    /// One write within its own savepoint.
    async fn single(&mut self, index: u32, op: &BulkOp) -> Result<(), RecordError> {
        let write = match op.clone() {
            BulkOp::Create(record) if self.bulk.conflict == ConflictRule::Update => {
                Write::Replace(Replacement { record, expected_version: None })
            }
            BulkOp::Create(record) => Write::Create(record),
            BulkOp::Update { id, patch } => Write::Patch { id, patch },
            BulkOp::Upsert(replacement) => Write::Replace(replacement),
            BulkOp::Delete { id, expected_version } => Write::Delete { id, expected_version },
        };
        self.control(&[SAVEPOINT]).await?;
        let written = apply(&mut Lane::Within(self.transaction), self.table, &write, self.guard).await;
        let outcome = match written {
            Ok(Written::Record { record, effect: Effect::Created }) => Outcome::Created(record.version()?),
            Ok(Written::Record { record, .. }) => Outcome::Updated(record.version()?),
            Ok(Written::Deleted { version }) => Outcome::Deleted(version),
            Ok(Written::Bulk(_)) => return Err(RecordError::internal("a bulk within a bulk")),
            Err(error) if error.is_of_the_record() => {
                self.control(&[UNDO]).await?;
                Outcome::Failed(error)
            }
            Err(error) => return Err(error),
        };
        self.control(&[RELEASE]).await?;
        self.end(index, op.id(), outcome);
        Ok(())
    }

    async fn control(&mut self, texts: &[&'static str]) -> Result<(), RecordError> {
        let statements = texts.iter().map(|text| Statement::new(*text, Params::new())).collect();
        let done = self.transaction.run_all(statements).await;
        done.map(drop).map_err(|error| RecordError::of(self.table, error))
    }
}
