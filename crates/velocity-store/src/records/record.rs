//! What comes back: rows as the server sent them, written as JSON when the answer is.

use std::sync::Arc;

use velocity_schema::Value;
use velocity_schema::schema::View;
use velocity_sql::query::Total;

use super::error::RecordError;
use super::table::Table;
use crate::codec::{Numbers, RowEncoder, decode_row, decode_value};
use crate::wire::{Row, Rows};

/// One record, whole: what its caller sees of it is decided when it is written as JSON.
#[derive(Debug, Clone)]
pub struct Record {
    table: Arc<Table>,
    rows: Rows,
    at: usize,
}

impl Record {
    /// The record in a row whose first columns are every field.
    pub(super) fn new(table: &Arc<Table>, rows: Rows, at: usize) -> Self {
        Self { table: Arc::clone(table), rows, at }
    }

    fn row(&self) -> Result<Row<'_>, RecordError> {
        self.rows.get(self.at).ok_or_else(|| RecordError::internal("a result without its row"))
    }

    /// Its version: the `ETag` is this number in quotes.
    pub fn version(&self) -> Result<i64, RecordError> {
        match decode_value(velocity_sql::SqlType::Int8, self.row()?.get(self.table.version_at()))? {
            Value::Integer(version) => Ok(version),
            _ => Err(RecordError::internal("a record without a version")),
        }
    }

    /// Its id; [`Value::to_text`] is what its URL ends in, once percent-encoded.
    pub fn id(&self) -> Result<Value, RecordError> {
        let id = self.table.types().first().copied().unwrap_or(velocity_sql::SqlType::Text);
        Ok(decode_value(id, self.row()?.get(0))?)
    }

    /// The value of every field, in the schema's order: nothing is hidden or masked here.
    pub fn values(&self) -> Result<Vec<Value>, RecordError> {
        Ok(decode_row(self.table.types(), self.row()?)?)
    }

    /// Appends what a view shows of the record as a JSON object.
    pub fn append_json(&self, view: &View, numbers: Numbers, out: &mut Vec<u8>) -> Result<(), RecordError> {
        Ok(self.table.shown(view).encoder().append(self.row()?, numbers, out)?)
    }

    /// The flag behind the fields: whether the statement did what it was for.
    pub(super) fn flag(&self) -> Result<bool, RecordError> {
        let flag = self.row()?.get(self.table.types().len());
        Ok(decode_value(velocity_sql::SqlType::Bool, flag)? == Value::Boolean(true))
    }
}

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Page {
    pub(super) rows: Rows,
    pub(super) encoder: RowEncoder,
    pub(super) limit: usize,
    pub(super) next_cursor: Option<String>,
    pub(super) total: Option<Total>,
}

impl Page {
    /// How many records are on it.
    pub fn len(&self) -> usize {
        self.rows.len().min(self.limit)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the next page begins; `None` on the last.
    pub fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }

    /// How many records fit in all, where that was asked for.
    pub fn total(&self) -> Option<Total> {
        self.total
    }

    /// Appends what the plan's view shows of the records as a JSON array.
    pub fn append_json(&self, numbers: Numbers, out: &mut Vec<u8>) -> Result<(), RecordError> {
        out.push(b'[');
        for (index, row) in self.rows.iter().take(self.limit).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            self.encoder.append(row, numbers, out)?;
        }
        out.push(b']');
        Ok(())
    }
}
