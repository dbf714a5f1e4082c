//! The events of one record.

use std::sync::Arc;

use velocity_schema::Value;
use velocity_schema::input::read_state;
use velocity_schema::lineage::{Fate, FieldChange, Lineage};
use velocity_schema::schema::View;
use velocity_schema::value::write_json_string;
use velocity_sql::query::{CHANGE_COLUMNS, HISTORY_COLUMNS, HistoryPlan};

use super::Records;
use super::error::RecordError;
use super::session::Session;
use super::shown::Shown;
use super::table::Table;
use crate::codec::{Numbers, SeenField, decode_value, write_json_value};
use crate::wire::{Row, Rows};

/// A page of a record's events, newest first.
#[derive(Debug, Clone)]
pub struct HistoryPage {
    table: Arc<Table>,
    view: View,
    shown: Arc<Shown>,
    lineage: Lineage,
    rows: Rows,
    limit: usize,
    next_cursor: Option<String>,
}

/// One event, whole: what its caller sees of it is decided when it is written as JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEvent {
    /// Its number among the schema's events; grows with time.
    pub seq: i64,
    /// When, in microseconds since the Unix epoch.
    pub at: i64,
    /// Who.
    pub actor: String,
    /// CREATE, UPDATE, ….
    pub operation: String,
    /// The record's version after it.
    pub version: i64,
    /// The fields that changed, by today's names.
    pub changed: Vec<String>,
    /// The record before it, a value for every field of today's schema; `None` for the first event. A value that
    /// today's type cannot hold is JSON, as it was recorded.
    pub before: Option<Vec<Value>>,
    /// The record after it; `None` after a purge.
    pub after: Option<Vec<Value>>,
    /// Why.
    pub reason: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
    /// The event's place in the record's chain.
    pub hash: Vec<u8>,
}

impl Records {
    /// A page of a record's events. Deleted records have a history too; what never was has none.
    pub async fn history(
        &self,
        session: &Session,
        table: &Arc<Table>,
        plan: &HistoryPlan,
    ) -> Result<HistoryPage, RecordError> {
        let wire = session.to_wire(table.role())?;
        let statements = vec![
            table.query(HistoryPlan::render_changes(table.sql())),
            table.query(plan.render(table.sql())),
        ];
        let results = self.shared.short(&wire, session.statement_timeout, statements).await;
        let mut results = results.map_err(|error| RecordError::of(table, error))?;
        let rows = results.pop().ok_or_else(|| RecordError::internal("no result"))?.into_rows();
        let changes = results.pop().ok_or_else(|| RecordError::internal("no result"))?.into_rows();
        if rows.is_empty() && plan.is_first_page() {
            return Err(RecordError::NotFound);
        }
        let mut page = HistoryPage {
            table: Arc::clone(table),
            view: plan.view().clone(),
            shown: table.shown(plan.view()),
            lineage: lineage(&changes)?,
            rows,
            limit: plan.limit(),
            next_cursor: None,
        };
        if page.rows.len() > page.limit
            && let Some(last) = page.limit.checked_sub(1).and_then(|at| page.rows.get(at))
            && let Value::Integer(version) = column(last, 4)?
        {
            page.next_cursor = plan.cursor_after(self.cursor_key(), version);
        }
        Ok(page)
    }
}

impl HistoryPage {
    /// How many events are on it.
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

    /// The event at a position.
    pub fn event(&self, index: usize) -> Result<Option<HistoryEvent>, RecordError> {
        let Some(row) = self.rows.get(index).filter(|_| index < self.len()) else { return Ok(None) };
        let previous = self.rows.get(index + 1);
        let changed = match column(row, 5)? {
            Value::Array(items) => items.iter().map(Value::to_text).collect(),
            _ => Vec::new(),
        };
        let hash = match column(row, 8)? {
            Value::Bytes(hash) => hash,
            _ => Vec::new(),
        };
        let seq = number(row, 0)?;
        Ok(Some(HistoryEvent {
            seq,
            at: match column(row, 1)? {
                Value::Timestamp(at) => at,
                _ => 0,
            },
            actor: text(row, 2)?.unwrap_or_default(),
            operation: text(row, 3)?.unwrap_or_default(),
            version: number(row, 4)?,
            changed: self.lineage.changed(seq, changed),
            before: previous.map(|row| self.state(row)).transpose()?.flatten(),
            after: self.state(row)?,
            reason: text(row, 6)?,
            request_id: text(row, 7)?,
            hash,
        }))
    }

    fn state(&self, row: Row<'_>) -> Result<Option<Vec<Value>>, RecordError> {
        match column(row, 9)? {
            Value::Json(state) => {
                let state = read_state(self.table.schema(), &self.lineage, number(row, 0)?, &state);
                state.map(Some).map_err(RecordError::internal)
            }
            _ => Ok(None),
        }
    }

    /// Appends what the plan's view shows of the events as a JSON array in the contract's form.
    pub fn append_json(&self, numbers: Numbers, out: &mut Vec<u8>) -> Result<(), RecordError> {
        out.push(b'[');
        let mut index = 0;
        while let Some(event) = self.event(index)? {
            if index > 0 {
                out.push(b',');
            }
            self.append_event(&event, numbers, out);
            index += 1;
        }
        out.push(b']');
        Ok(())
    }

    fn append_event(&self, event: &HistoryEvent, numbers: Numbers, out: &mut Vec<u8>) {
        let mut json = String::with_capacity(512);
        let integer =
            |number: i64, json: &mut String| write_json_value(&Value::Integer(number), numbers, json);
        json.push_str("{\"seq\":");
        integer(event.seq, &mut json);
        json.push_str(",\"at\":");
        Value::Timestamp(event.at).write_json(&mut json);
        json.push_str(",\"actor\":");
        self.append_actor(&event.actor, &mut json);
        json.push_str(",\"operation\":");
        write_json_string(&event.operation, &mut json);
        json.push_str(",\"version\":");
        integer(event.version, &mut json);
        json.push_str(",\"changed\":");
        let changed = event.changed.iter().filter(|name| self.is_named(name));
        Value::Array(changed.cloned().map(Value::String).collect()).write_json(&mut json);
        json.push_str(",\"before\":");
        self.append_state(event.before.as_deref(), numbers, &mut json);
        json.push_str(",\"after\":");
        self.append_state(event.after.as_deref(), numbers, &mut json);
        for (name, value) in [("reason", &event.reason), ("requestId", &event.request_id)] {
            json.push_str(",\"");
            json.push_str(name);
            json.push_str("\":");
            value.clone().map_or(Value::Null, Value::String).write_json(&mut json);
        }
        json.push_str(",\"hash\":");
        out.extend_from_slice(json.as_bytes());
        self.append_hash(&event.hash, out);
        out.push(b'}');
    }

    /// Who did it is whoever the record says changed it last.
    fn append_actor(&self, actor: &str, json: &mut String) {
        let position = self.table.schema().position("updated_by");
        match position.map_or(&SeenField::Hidden, |position| self.shown.seen().field(position)) {
            SeenField::Clear => write_json_string(actor, json),
            SeenField::Masked(mask) => {
                let mut masked = String::new();
                mask.apply_to_text(actor, &mut masked);
                write_json_string(&masked, json);
            }
            SeenField::Hidden => json.push_str("null"),
        }
    }

    /// Whether the caller may be told that a field of that name changed.
    fn is_named(&self, name: &str) -> bool {
        let position = self.table.schema().position(name);
        self.view.is_whole() || position.is_some_and(|position| self.view.is_visible(position))
    }

    /// The hash covers every value, so that whoever does not see all of them could guess at those by it: null then.
    fn append_hash(&self, hash: &[u8], out: &mut Vec<u8>) {
        if !self.view.is_whole() {
            out.extend_from_slice(b"null");
            return;
        }
        out.push(b'"');
        for byte in hash {
            out.push(hex(byte >> 4));
            out.push(hex(byte & 15));
        }
        out.push(b'"');
    }

    fn append_state(&self, state: Option<&[Value]>, numbers: Numbers, json: &mut String) {
        let Some(values) = state else {
            json.push_str("null");
            return;
        };
        let mut before = '{';
        for (position, (field, value)) in self.table.schema().fields().iter().zip(values).enumerate() {
            let seen = self.shown.seen().field(position);
            if matches!(seen, SeenField::Hidden) {
                continue;
            }
            json.push(std::mem::replace(&mut before, ','));
            write_json_string(field.name.as_str(), json);
            json.push(':');
            match seen {
                SeenField::Masked(mask) => match mask.apply(value) {
                    Some(masked) => write_json_string(&masked, json),
                    None => json.push_str("null"),
                },
                _ => write_json_value(value, numbers, json),
            }
        }
        if before == '{' {
            json.push(before);
        }
        json.push('}');
    }
}

/// What happened to the fields, read from rows of [`CHANGE_COLUMNS`].
fn lineage(changes: &Rows) -> Result<Lineage, RecordError> {
    let change = |row: Row<'_>| -> Result<FieldChange, RecordError> {
        let value = |at: usize| Ok::<_, RecordError>(decode_value(CHANGE_COLUMNS[at].1, row.get(at))?);
        let (Value::Integer(seq), Value::Timestamp(step), Value::String(field)) =
            (value(0)?, value(1)?, value(3)?)
        else {
            return Err(RecordError::internal("a change of a field that does not say which"));
        };
        let fate = match (value(2)?.to_text().as_str(), value(4)?) {
            ("rename", Value::String(became)) => Fate::Renamed(became),
            ("drop", _) => Fate::Dropped,
            _ => return Err(RecordError::internal("a change of a field of an unknown kind")),
        };
        Ok(FieldChange { seq, step, field, fate })
    };
    Ok(Lineage::new(changes.iter().map(change).collect::<Result<Vec<_>, _>>()?))
}

fn column(row: Row<'_>, at: usize) -> Result<Value, RecordError> {
    Ok(decode_value(HISTORY_COLUMNS[at].1, row.get(at))?)
}

fn number(row: Row<'_>, at: usize) -> Result<i64, RecordError> {
    match column(row, at)? {
        Value::Integer(number) => Ok(number),
        _ => Err(RecordError::internal("an event without its number")),
    }
}

fn text(row: Row<'_>, at: usize) -> Result<Option<String>, RecordError> {
    match column(row, at)? {
        Value::String(text) => Ok(Some(text)),
        _ => Ok(None),
    }
}

fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}
