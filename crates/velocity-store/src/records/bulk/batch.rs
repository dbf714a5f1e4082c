//! New records in batches.
//!
//! A batch that fails is undone to its savepoint and cut in halves until those that fail are alone, so that good ones
//! cost next to nothing and each bad one about ten statements.

use std::collections::{HashMap, HashSet};

use velocity_schema::Value;
use velocity_schema::input::{NewRecord, check_rules};
use velocity_sql::SqlType;
use velocity_sql::query::OnConflict;

use super::{ConflictRule, Outcome, RELEASE, Rows, Run, SAVEPOINT, UNDO};
use crate::codec::decode_value;
use crate::records::error::RecordError;
use crate::records::guard::Act;
use crate::records::read::integer;
use crate::wire::{Params, ResultSet, Row, Statement};

impl<'a> Run<'a> {
    /// New records, checked by the guard and against the rules, twins within the batch sorted out.
    pub(super) async fn batch(&mut self, rows: Rows<'a>) -> Result<(), RecordError> {
        let mut good: Rows<'a> = Vec::with_capacity(rows.len());
        let mut ids = HashSet::new();
        for (index, record) in rows {
            let checked = self
                .guard
                .check(Act::Create, None, Some(&record.values))
                .and_then(|()| Ok(check_rules(self.table.schema(), &record.values, None)?));
            if let Err(error) = checked {
                self.end(index, record.id(), Outcome::Failed(error));
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
            if self.is_lost() {
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
            let twin = own
                .iter()
                .zip(&seen)
                .position(|(own, seen)| own.as_ref().is_some_and(|own| seen.contains(own)));
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
    fn receipts(
        &mut self,
        rows: &Rows<'a>,
        conflict: &OnConflict,
        result: &ResultSet,
    ) -> Result<(), RecordError> {
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
