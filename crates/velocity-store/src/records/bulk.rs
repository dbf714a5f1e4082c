//! Many writes in one transaction.
//!
//! New records go in batches, one statement each. A batch that fails is undone to its savepoint and cut in halves until
//! those that fail are alone, so that good ones cost next to nothing and each bad one about ten statements.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use velocity_schema::Value;
use velocity_schema::input::{NewRecord, Patch, Replacement, check_rules};
use velocity_sql::SqlType;
use velocity_sql::query::OnConflict;

use super::error::RecordError;
use super::lane::Lane;
use super::read::integer;
use super::table::Table;
use super::write::{Effect, Write, Written, apply};
use crate::codec::decode_value;
use crate::wire::{Params, ResultSet, Row, Statement, Transaction};

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
) -> Result<BulkReport, RecordError> {
    let mut run = Run { transaction, table, bulk, results: Vec::with_capacity(bulk.items.len()), failures: 0 };
    let mut batch: Vec<(u32, &NewRecord)> = Vec::new();
    for item in &bulk.items {
        match &item.op {
            BulkOp::Create(record) if run.goes_in_batches() => {
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
        if bulk.atomic && run.failures >= ATOMIC_FAILURES {
            break;
        }
    }
    if !batch.is_empty() && !(bulk.atomic && run.failures >= ATOMIC_FAILURES) {
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
    results: Vec<BulkResult>,
    failures: usize,
}

type Rows<'a> = Vec<(u32, &'a NewRecord)>;

impl<'a> Run<'a> {
    /// A create that may become an update needs the old record where a rule looks at it: then it goes alone.
    fn goes_in_batches(&self) -> bool {
        self.bulk.conflict != ConflictRule::Update
            || !self.table.schema().rules().iter().any(|rule| rule.program.uses_old())
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
        let written = apply(&mut Lane::Within(self.transaction), self.table, &write).await;
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

    /// New records, checked against the rules, twins within the batch sorted out.
    async fn batch(&mut self, rows: Rows<'a>) -> Result<(), RecordError> {
        let mut good: Rows<'a> = Vec::with_capacity(rows.len());
        let mut ids = HashSet::new();
        for (index, record) in rows {
            if let Err(violations) = check_rules(self.table.schema(), &record.values, None) {
                self.end(index, record.id(), Outcome::Failed(violations.into()));
                continue;
            }
            // The second record of one id updates the first: it needs a statement of its own.
            if self.bulk.conflict == ConflictRule::Update && !ids.insert(record.id().to_text()) {
                self.insert(std::mem::take(&mut good)).await?;
                ids = HashSet::from([record.id().to_text()]);
            }
            good.push((index, record));
        }
        self.insert(good).await
    }

    async fn insert(&mut self, rows: Rows<'a>) -> Result<(), RecordError> {
        let conflict = match self.bulk.conflict {
            ConflictRule::Fail => OnConflict::Fail,
            ConflictRule::Skip => OnConflict::Skip(self.table.keys().to_vec()),
            ConflictRule::Update => OnConflict::Update(vec![0]),
        };
        // A loop over what is left to do instead of recursion; the first part is on top.
        let mut parts = vec![(rows, conflict)];
        while let Some((rows, conflict)) = parts.pop() {
            if rows.is_empty() {
                continue;
            }
            let rows = self.without_twins(rows, &conflict);
            match self.try_insert(&rows, &conflict).await? {
                Ok(result) => self.receipts(&rows, &conflict, &result)?,
                Err(error) => self.divide(rows, conflict, error, &mut parts),
            }
            if self.bulk.atomic && self.failures >= ATOMIC_FAILURES {
                break;
            }
        }
        Ok(())
    }

    /// One statement; what fails because of its records is undone.
    async fn try_insert(
        &mut self,
        rows: &Rows<'a>,
        conflict: &OnConflict,
    ) -> Result<Result<ResultSet, RecordError>, RecordError> {
        let records: Vec<&[Value]> = rows.iter().map(|(_, record)| record.values.as_slice()).collect();
        let statements = vec![
            Statement::new(SAVEPOINT, Params::new()),
            self.table.batch_statement(conflict.clone(), &records),
            Statement::new(RELEASE, Params::new()),
        ];
        match self.transaction.run_all(statements).await {
            Ok(results) => {
                let result = results.into_iter().nth(1);
                result.map(Ok).ok_or_else(|| RecordError::internal("a batch without a result"))
            }
            Err(error) => {
                let error = RecordError::of(self.table, error);
                if !error.is_of_the_record() {
                    return Err(error);
                }
                self.control(&[UNDO, RELEASE]).await?;
                Ok(Err(error))
            }
        }
    }

    /// What to try instead of a batch that failed: the first part on top.
    fn divide(
        &mut self,
        mut rows: Rows<'a>,
        conflict: OnConflict,
        error: RecordError,
        parts: &mut Vec<(Rows<'a>, OnConflict)>,
    ) {
        if rows.len() > 1 {
            // Many may have the same fault, as when a file is imported again: one statement sorts them out.
            if let (RecordError::UniqueViolation { fields }, OnConflict::Fail) = (&error, &conflict)
                && let Some(key) = self.key_of(fields)
            {
                parts.push((rows, OnConflict::Skip(vec![key])));
                return;
            }
            let second = rows.split_off(rows.len() / 2);
            parts.push((second, conflict.clone()));
            parts.push((rows, conflict));
        } else if let Some((index, record)) = rows.pop() {
            let taken = matches!(error, RecordError::UniqueViolation { .. });
            let skipped = taken && self.bulk.conflict == ConflictRule::Skip;
            let outcome = if skipped { Outcome::Skipped } else { Outcome::Failed(error) };
            self.end(index, record.id(), outcome);
        }
    }

    /// The first of those that have the same key within a batch that skips taken keys.
    fn without_twins(&mut self, rows: Rows<'a>, conflict: &OnConflict) -> Rows<'a> {
        let OnConflict::Skip(keys) = conflict else { return rows };
        let mut seen: Vec<HashSet<String>> = vec![HashSet::new(); keys.len()];
        let mut kept: Rows<'a> = Vec::with_capacity(rows.len());
        for (index, record) in rows {
            let own: Vec<Option<String>> = keys.iter().map(|key| key_text(record, key)).collect();
            let twin = own.iter().zip(&seen).position(|(own, seen)| own.as_ref().is_some_and(|own| seen.contains(own)));
            if let Some(at) = twin {
                let outcome = self.taken(&keys[at]);
                self.end(index, record.id(), outcome);
                continue;
            }
            for (own, seen) in own.into_iter().zip(&mut seen) {
                seen.extend(own);
            }
            kept.push((index, record));
        }
        kept
    }

    /// The outcome of a create whose key is taken.
    fn taken(&self, key: &[usize]) -> Outcome {
        if self.bulk.conflict == ConflictRule::Skip {
            return Outcome::Skipped;
        }
        let fields = self.table.schema().fields();
        let names = key.iter().filter_map(|at| fields.get(*at)).map(|field| field.name.to_string());
        Outcome::Failed(RecordError::UniqueViolation { fields: names.collect() })
    }

    fn key_of(&self, fields: &[String]) -> Option<Vec<usize>> {
        let schema = self.table.schema();
        let positions: Vec<usize> = fields.iter().map(|name| schema.position(name)).collect::<Option<_>>()?;
        self.table.keys().iter().find(|key| **key == positions).cloned()
    }

    /// Reads which records of a batch were made or changed; the others' keys were taken.
    fn receipts(&mut self, rows: &Rows<'a>, conflict: &OnConflict, result: &ResultSet) -> Result<(), RecordError> {
        let id_type = self.table.sql().sql_type(0);
        let mut done: HashMap<String, Outcome> = HashMap::with_capacity(result.rows().len());
        for row in result.rows().iter() {
            let id = decode_value(id_type, row.get(0))?.to_text();
            done.insert(id, receipt(row)?);
        }
        let key = match conflict {
            OnConflict::Skip(keys) => keys.first().cloned().unwrap_or_default(),
            OnConflict::Fail | OnConflict::Update(_) => vec![0],
        };
        for (index, record) in rows {
            let outcome = done.remove(&record.id().to_text()).unwrap_or_else(|| self.taken(&key));
            self.end(*index, record.id(), outcome);
        }
        Ok(())
    }
}

/// The columns of a receipt: id, version, …, whether the record is new.
fn receipt(row: Row<'_>) -> Result<Outcome, RecordError> {
    let new = decode_value(SqlType::Bool, row.values().last().flatten())? == Value::Boolean(true);
    let version = integer(row, 1)?.unwrap_or(0);
    Ok(if new { Outcome::Created(version) } else { Outcome::Updated(version) })
}

/// Equal for records that have the same key; `None` where a part is null, which is never equal to anything.
fn key_text(record: &NewRecord, key: &[usize]) -> Option<String> {
    let mut text = String::new();
    for at in key {
        let value = record.values.get(*at).filter(|value| !value.is_null())?;
        let part = match value {
            Value::Number(number) => number.normalized().to_string(),
            other => other.to_text(),
        };
        text.push_str(&part.len().to_string());
        text.push(':');
        text.push_str(&part);
    }
    Some(text)
}
