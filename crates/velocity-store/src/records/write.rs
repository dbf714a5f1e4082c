//! Writes of single records.

use std::sync::Arc;

use velocity_schema::Value;
use velocity_schema::input::{Change, NewRecord, Patch, Replacement, check_rules};
use velocity_sql::query::Existing;

use super::Records;
use super::bulk::{self, Bulk, BulkReport};
use super::error::RecordError;
use super::guard::{Act, Guard, Unguarded};
use super::lane::Lane;
use super::read::{integer, read_one};
use super::record::Record;
use super::session::Session;
use super::table::{ShapeKey, Table};
use crate::codec::decode_value;
use crate::wire::{ResultSet, Statement, Transaction, TransactionMode};

/// How often a write that depends on the record's state begins again after another one came first.
const ATTEMPTS: usize = 5;

/// A write, its input validated against the schema's fields.
#[derive(Debug, Clone)]
pub enum Write {
    /// Make a record.
    Create(NewRecord),
    /// Change a record.
    Patch {
        /// Its id.
        id: Value,
        /// The change, with the version that the record must have, if any.
        patch: Patch,
    },
    /// Make a record, or replace the one with its id. With an expected version only the latter.
    Replace(Replacement),
    /// Delete a record softly.
    Delete {
        /// Its id.
        id: Value,
        /// The version that it must have.
        expected_version: Option<i64>,
    },
    /// Bring a deleted record back.
    Undelete {
        /// Its id.
        id: Value,
    },
    /// Many writes in one transaction.
    Bulk(Bulk),
}

/// What a write has done.
#[derive(Debug)]
pub enum Written {
    /// The record as it is now.
    Record {
        /// The record.
        record: Record,
        /// What became of it.
        effect: Effect,
    },
    /// The record is deleted.
    Deleted {
        /// Its version, the deletion counted.
        version: i64,
    },
    /// What became of each of many.
    Bulk(BulkReport),
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is new.
    Created,
    /// It has changed.
    Updated,
    /// It was deleted and is back.
    Undeleted,
    /// It already was as wanted, and no event was written.
    Unchanged,
}

impl Records {
    /// Carries out a write. Rules of the schema are checked on the way.
    pub async fn write(
        &self,
        session: &Session,
        table: &Arc<Table>,
        write: Write,
    ) -> Result<Written, RecordError> {
        self.write_guarded(session, table, write, &Unguarded).await
    }

    /// Carries out a write that `guard` lets pass.
    pub async fn write_guarded(
        &self,
        session: &Session,
        table: &Arc<Table>,
        write: Write,
        guard: &dyn Guard,
    ) -> Result<Written, RecordError> {
        if matches!(write, Write::Bulk(_)) {
            let wire = session.to_wire(table.role())?;
            let of = |error| RecordError::of(table, error);
            let begin = self.shared.exclusive.begin(
                wire,
                TransactionMode::ReadWrite,
                Some(session.statement_timeout),
            );
            let mut transaction = begin.await.map_err(of)?;
            let written = apply_within(&mut transaction, table, &write, guard).await?;
            transaction.commit().await.map_err(of)?;
            return Ok(written);
        }
        let mut lane = Lane::alone(&self.shared, session, table)?;
        apply(&mut lane, table, &write, guard).await
    }
}

/// Carries out a write within a transaction, which the caller commits.
pub(super) async fn apply_within(
    transaction: &mut Transaction,
    table: &Arc<Table>,
    write: &Write,
    guard: &dyn Guard,
) -> Result<Written, RecordError> {
    match write {
        Write::Bulk(bulk) => bulk::run(transaction, table, bulk, guard).await.map(Written::Bulk),
        write => apply(&mut Lane::Within(transaction), table, write, guard).await,
    }
}

/// Carries out the write of a single record.
pub(super) async fn apply(
    lane: &mut Lane<'_>,
    table: &Arc<Table>,
    write: &Write,
    guard: &dyn Guard,
) -> Result<Written, RecordError> {
    match write {
        Write::Create(record) => create(lane, table, record, guard).await,
        Write::Patch { id, patch } => self::patch(lane, table, id, patch, guard).await,
        Write::Replace(replacement) => replace(lane, table, replacement, guard).await,
        Write::Delete { id, expected_version } => delete(lane, table, id, *expected_version, guard).await,
        Write::Undelete { id } => undelete(lane, table, id, guard).await,
        Write::Bulk(_) => Err(RecordError::internal("a bulk write outside of its own transaction")),
    }
}

async fn run(lane: &mut Lane<'_>, table: &Table, statement: Statement) -> Result<ResultSet, RecordError> {
    lane.write(statement).await.map_err(|error| RecordError::of(table, error))
}

async fn create(
    lane: &mut Lane<'_>,
    table: &Arc<Table>,
    record: &NewRecord,
    guard: &dyn Guard,
) -> Result<Written, RecordError> {
    guard.check(Act::Create, None, Some(&record.values))?;
    check_rules(table.schema(), &record.values, None)?;
    let result = run(lane, table, table.insert_statement(&record.values)).await?;
    Ok(Written::Record {
        record: Record::new(table, table.rows_written(result)?, 0),
        effect: Effect::Created,
    })
}

async fn patch(
    lane: &mut Lane<'_>,
    table: &Arc<Table>,
    id: &Value,
    patch: &Patch,
    guard: &dyn Guard,
) -> Result<Written, RecordError> {
    let is_looked_at = guard.looks_at(Act::Update);
    if patch.changes.is_empty() {
        let record = read_one(lane, table, id).await?.ok_or(RecordError::NotFound)?;
        if is_looked_at {
            let values = record.values()?;
            guard.check(Act::Update, Some(&values), Some(&values))?;
        }
        expect(record.version()?, patch.expected_version)?;
        return Ok(Written::Record { record, effect: Effect::Unchanged });
    }
    if table.schema().rules().is_empty() && !patch.needs_current() && !is_looked_at {
        return patch_blindly(lane, table, id, patch).await;
    }
    let positions: Vec<usize> = patch.changes.iter().map(|(position, _)| *position).collect();
    let mut current = 0;
    for _ in 0..ATTEMPTS {
        let record = read_one(lane, table, id).await?.ok_or(RecordError::NotFound)?;
        let (version, old) = (record.version()?, record.values()?);
        let new = patch.apply(&old);
        guard.check(Act::Update, Some(&old), Some(&new))?;
        expect(version, patch.expected_version)?;
        check_rules(table.schema(), &new, Some(&old))?;
        let key = ShapeKey::Update(positions.clone(), Existing::Version);
        let result = run(lane, table, table.statement(key, id, &new, Some(version))).await?;
        match changed(table, result)? {
            Changed::Yes(record) => return Ok(Written::Record { record, effect: Effect::Updated }),
            Changed::No => return Err(RecordError::NotFound),
            Changed::OtherVersion(other) => current = other,
        }
    }
    Err(RecordError::VersionConflict { current })
}

/// A patch whose outcome does not depend on what is there: one statement.
async fn patch_blindly(
    lane: &mut Lane<'_>,
    table: &Arc<Table>,
    id: &Value,
    patch: &Patch,
) -> Result<Written, RecordError> {
    let mut values = vec![Value::Null; table.types().len()];
    for (position, change) in &patch.changes {
        if let (Change::Set(value), Some(slot)) = (change, values.get_mut(*position)) {
            slot.clone_from(value);
        }
    }
    let positions = patch.changes.iter().map(|(position, _)| *position).collect();
    update(lane, table, positions, id, &values, patch.expected_version).await
}

async fn update(
    lane: &mut Lane<'_>,
    table: &Arc<Table>,
    positions: Vec<usize>,
    id: &Value,
    values: &[Value],
    expected: Option<i64>,
) -> Result<Written, RecordError> {
    let key = ShapeKey::Update(positions, existing(expected));
    let result = run(lane, table, table.statement(key, id, values, expected)).await?;
    match changed(table, result)? {
        Changed::Yes(record) => Ok(Written::Record { record, effect: Effect::Updated }),
        Changed::No => Err(RecordError::NotFound),
        Changed::OtherVersion(current) => Err(conflict(lane, table, id, expected, current).await),
    }
}

async fn replace(
    lane: &mut Lane<'_>,
    table: &Arc<Table>,
    replacement: &Replacement,
    guard: &dyn Guard,
) -> Result<Written, RecordError> {
    let Replacement { record, expected_version, .. } = replacement;
    let (values, generated) = (&record.values, &record.generated);
    let id = values.first().unwrap_or(&Value::Null);
    let declared = || table.sql().replaced(generated);
    let is_looked_at =
        guard.looks_at(Act::Update) || (expected_version.is_none() && guard.looks_at(Act::Create));
    let is_plain = table.schema().rules().is_empty() && !is_looked_at;
    if is_plain && expected_version.is_some() {
        return update(lane, table, declared(), id, values, *expected_version).await;
    }
    let mut outcome = Err(RecordError::NotFound);
    for _ in 0..ATTEMPTS {
        outcome = if is_plain {
            let result =
                run(lane, table, table.statement(ShapeKey::Replace(generated.clone()), id, values, None))
                    .await;
            result.and_then(|result| replaced(table, result))
        } else {
            replace_by_the_rules(lane, table, replacement, declared(), guard).await
        };
        match &outcome {
            // Somebody made the record meanwhile, or changed it: it can be replaced now.
            Err(RecordError::UniqueViolation { fields }) if fields == &["id"] && lane.is_alone() => {}
            Err(RecordError::VersionConflict { .. }) if expected_version.is_none() => {}
            _ => break,
        }
    }
    outcome
}

fn replaced(table: &Arc<Table>, result: ResultSet) -> Result<Written, RecordError> {
    let record = Record::new(table, table.rows_written(result)?, 0);
    let effect = if record.flag()? { Effect::Created } else { Effect::Updated };
    Ok(Written::Record { record, effect })
}

/// One attempt: reads the record, checks guard and rules on what it would become, writes if it is still as it was read.
async fn replace_by_the_rules(
    lane: &mut Lane<'_>,
    table: &Arc<Table>,
    replacement: &Replacement,
    declared: Vec<usize>,
    guard: &dyn Guard,
) -> Result<Written, RecordError> {
    let values = &replacement.record.values;
    let id = values.first().unwrap_or(&Value::Null);
    let Some(current) = read_one(lane, table, id).await? else {
        return match replacement.expected_version {
            Some(_) => Err(RecordError::NotFound),
            None => create(lane, table, &replacement.record, guard).await,
        };
    };
    let (version, old) = (current.version()?, current.values()?);
    let mut new = old.clone();
    for position in &declared {
        if let (Some(slot), Some(value)) = (new.get_mut(*position), values.get(*position)) {
            slot.clone_from(value);
        }
    }
    if guard.looks_at(Act::Update) {
        guard.check(Act::Update, Some(&old), Some(&new))?;
    }
    expect(version, replacement.expected_version)?;
    check_rules(table.schema(), &new, Some(&old))?;
    update(lane, table, declared, id, &new, Some(version)).await
}

async fn delete(
    lane: &mut Lane<'_>,
    table: &Arc<Table>,
    id: &Value,
    expected: Option<i64>,
    guard: &dyn Guard,
) -> Result<Written, RecordError> {
    if !guard.looks_at(Act::Delete) {
        return delete_at(lane, table, id, expected).await;
    }
    let mut outcome = Err(RecordError::NotFound);
    for _ in 0..ATTEMPTS {
        let record = read_one(lane, table, id).await?.ok_or(RecordError::NotFound)?;
        guard.check(Act::Delete, Some(&record.values()?), None)?;
        let version = record.version()?;
        expect(version, expected)?;
        outcome = delete_at(lane, table, id, Some(version)).await;
        match &outcome {
            // Somebody changed it after it was looked at.
            Err(RecordError::VersionConflict { .. }) if expected.is_none() => {}
            _ => break,
        }
    }
    outcome
}

async fn delete_at(
    lane: &mut Lane<'_>,
    table: &Arc<Table>,
    id: &Value,
    expected: Option<i64>,
) -> Result<Written, RecordError> {
    let key = ShapeKey::Delete(existing(expected));
    let result = run(lane, table, table.statement(key, id, &[], expected)).await?;
    let Some(row) = result.rows().get(0) else { return Err(RecordError::NotFound) };
    let version = integer(row, 0)?.unwrap_or(0);
    if decode_value(velocity_sql::SqlType::Bool, row.get(1))? == Value::Boolean(true) {
        Ok(Written::Deleted { version })
    } else {
        Err(conflict(lane, table, id, expected, version).await)
    }
}

async fn undelete(
    lane: &mut Lane<'_>,
    table: &Arc<Table>,
    id: &Value,
    guard: &dyn Guard,
) -> Result<Written, RecordError> {
    let is_looked_at = guard.looks_at(Act::Undelete);
    for _ in 0..ATTEMPTS {
        let seen = if is_looked_at { read_deleted(lane, table, id).await? } else { None };
        let version = match &seen {
            Some(record) => {
                guard.check(Act::Undelete, Some(&record.values()?), None)?;
                Some(record.version()?)
            }
            None if is_looked_at => return not_deleted(lane, table, id, guard).await,
            None => None,
        };
        let key = ShapeKey::Undelete(existing(version));
        let result = run(lane, table, table.statement(key, id, &[], version)).await?;
        let rows = table.rows_written(result)?;
        if !rows.is_empty() {
            let record = Record::new(table, rows, 0);
            let effect = if record.flag()? { Effect::Undeleted } else { Effect::Unchanged };
            return Ok(Written::Record { record, effect });
        }
        if !is_looked_at {
            break;
        }
    }
    // Never there, or brought back by somebody else a moment ago.
    not_deleted(lane, table, id, guard).await
}

/// The outcome of an undelete of what is not deleted.
async fn not_deleted(
    lane: &mut Lane<'_>,
    table: &Arc<Table>,
    id: &Value,
    guard: &dyn Guard,
) -> Result<Written, RecordError> {
    let record = read_one(lane, table, id).await?.ok_or(RecordError::NotFound)?;
    if guard.looks_at(Act::Undelete) {
        guard.check(Act::Undelete, Some(&record.values()?), None)?;
    }
    Ok(Written::Record { record, effect: Effect::Unchanged })
}

async fn read_deleted(
    lane: &mut Lane<'_>,
    table: &Arc<Table>,
    id: &Value,
) -> Result<Option<Record>, RecordError> {
    let statement = table.statement(ShapeKey::ReadDeleted, id, &[], None);
    let result = lane.read(statement).await.map_err(|error| RecordError::of(table, error))?;
    let rows = table.rows_read(result, 0..table.types().len())?;
    Ok((!rows.is_empty()).then(|| Record::new(table, rows, 0)))
}

/// What an update has come to.
enum Changed {
    Yes(Record),
    OtherVersion(i64),
    No,
}

fn changed(table: &Arc<Table>, result: ResultSet) -> Result<Changed, RecordError> {
    let rows = table.rows_written(result)?;
    if rows.is_empty() {
        return Ok(Changed::No);
    }
    let record = Record::new(table, rows, 0);
    Ok(if record.flag()? { Changed::Yes(record) } else { Changed::OtherVersion(record.version()?) })
}

fn existing(expected: Option<i64>) -> Existing {
    if expected.is_some() { Existing::Version } else { Existing::Any }
}

fn expect(version: i64, expected: Option<i64>) -> Result<(), RecordError> {
    match expected {
        Some(expected) if expected != version => Err(RecordError::VersionConflict { current: version }),
        _ => Ok(()),
    }
}

/// The error of a write that needed another version than `seen`. One that came first while this one waited is not in
/// `seen` yet, which then is the version that was expected.
async fn conflict(
    lane: &mut Lane<'_>,
    table: &Arc<Table>,
    id: &Value,
    expected: Option<i64>,
    seen: i64,
) -> RecordError {
    if Some(seen) != expected {
        return RecordError::VersionConflict { current: seen };
    }
    let current = match read_one(lane, table, id).await {
        Ok(Some(record)) => record.version(),
        Ok(None) => Err(RecordError::NotFound),
        Err(error) => Err(error),
    };
    match current {
        Ok(current) if Some(current) != expected => RecordError::VersionConflict { current },
        // Seen, but not to be changed by this caller.
        Ok(_) => RecordError::NotFound,
        Err(error) => error,
    }
}
