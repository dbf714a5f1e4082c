//! The events of one record, newest first.

use velocity_schema::schema::View;
use velocity_schema::{FieldType, Schema, Value};

use super::cursor::{self, CursorKey, QueryDigest};
use super::error::PlanError;
use super::plan::refused_cursor;
use super::reading::{Reading, letters};
use super::request::{LIMIT_DEFAULT, ListRequest};
use super::table::TableSql;
use crate::frag;
use crate::fragment::{Fragment, Rendered};
use crate::ident::Ident;
use crate::sql_type::SqlType;

/// The columns of a history page, in order.
pub const HISTORY_COLUMNS: [(&str, SqlType); 10] = [
    ("seq", SqlType::Int8),
    ("occurred_at", SqlType::Timestamptz),
    ("actor", SqlType::Text),
    ("operation", SqlType::Text),
    ("version", SqlType::Int8),
    ("changed", SqlType::TextArray),
    ("reason", SqlType::Text),
    ("request_id", SqlType::Text),
    ("hash", SqlType::Bytea),
    ("state", SqlType::Jsonb),
];

/// The columns of the changes of a table's fields, in order. Changes of one step were made at the same time.
pub const CHANGE_COLUMNS: [(&str, SqlType); 5] = [
    ("seq", SqlType::Int8),
    ("at", SqlType::Timestamptz),
    ("kind", SqlType::Text),
    ("field", SqlType::Text),
    ("became", SqlType::Text),
];

/// A page of history as the caller asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRequest {
    /// Events on the page.
    pub limit: u32,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

impl Default for HistoryRequest {
    fn default() -> Self {
        Self { limit: LIMIT_DEFAULT, cursor: None }
    }
}

impl HistoryRequest {
    /// Reads decoded query parameters: `limit` and `cursor`.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, PlanError> {
        let pairs: Vec<(&str, &str)> = pairs.into_iter().collect();
        for (name, _) in &pairs {
            if *name == "at" {
                return Err(PlanError::invalid("at", "notSupported", "is not supported yet; leave it out"));
            }
            if !matches!(*name, "limit" | "cursor") {
                let near = velocity_schema::violation::did_you_mean(name, ["limit", "cursor"]);
                return Err(PlanError::invalid(
                    *name,
                    "unknownParameter",
                    format!("is not a parameter of this route{near}"),
                ));
            }
        }
        let ListRequest { limit, cursor, .. } = ListRequest::parse(pairs)?;
        Ok(Self { limit, cursor })
    }
}

/// A page of one record's history that can be rendered without further checks.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryPlan {
    record_id: String,
    before: Option<i64>,
    limit: u32,
    /// What the schema asks of the record as it is now.
    guard: Fragment,
    view: View,
    digest: QueryDigest,
}

impl HistoryPlan {
    /// Plans a page of the record with that id, for a caller who may read that much.
    pub fn plan(
        schema: &Schema,
        id: &Value,
        request: &HistoryRequest,
        key: &CursorKey,
        reading: &Reading<'_>,
    ) -> Result<Self, PlanError> {
        let record_id = id.to_text();
        let path = schema.path().to_string();
        let letters = letters(schema, reading.view);
        let seen = letters.iter().flat_map(|letters| ["view", letters.as_str()]);
        let digest = QueryDigest::of(["history", path.as_str(), record_id.as_str()].into_iter().chain(seen));
        let guard = reading.guard(&|name| frag!["r.", &Ident::from(name)]);
        let before = match &request.cursor {
            None => None,
            Some(cursor) => {
                let kind = FieldType::Integer { min: None, max: None };
                match cursor::open(key, digest, &[&kind], cursor).map_err(refused_cursor)?.as_slice() {
                    [Value::Integer(version)] => Some(*version),
                    _ => return Err(refused_cursor(cursor::Refused::Forged)),
                }
            }
        };
        let view = reading.view.clone();
        Ok(Self { record_id, before, limit: request.limit, guard, view, digest })
    }

    /// Events on the page. One more is fetched: the state before the last of them.
    pub fn limit(&self) -> usize {
        self.limit as usize
    }

    /// What the caller sees of the record's fields.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Whether the page has no cursor before it.
    pub fn is_first_page(&self) -> bool {
        self.before.is_none()
    }

    /// The page: columns as [`HISTORY_COLUMNS`]. A record's versions count its events, so they order them.
    pub fn render(&self, table: &TableSql) -> Rendered {
        let columns = HISTORY_COLUMNS.map(|(name, _)| Fragment::sql(name));
        let before = match self.before {
            None => Fragment::empty(),
            Some(version) => frag![" and version < ", Fragment::bind(SqlType::Int8, Value::Integer(version))],
        };
        let limit = Fragment::bind(SqlType::Int8, Value::Integer(i64::from(self.limit) + 1));
        frag![
            "select ",
            Fragment::join(columns, ", "),
            " from ",
            table.names.history_sql(),
            " where ",
            table.is_shape(),
            " and record_id = ",
            Fragment::text(self.record_id.as_str()),
            self.guarded(table),
            before,
            " order by version desc limit ",
            limit
        ]
        .render()
    }

    /// The schema's conditions on the record as it is now, deleted or not.
    fn guarded(&self, table: &TableSql) -> Fragment {
        if self.guard.is_empty() {
            return Fragment::empty();
        }
        let id = Fragment::text(self.record_id.as_str());
        let id = frag![id, "::", Fragment::type_name(table.sql_type(0))];
        frag![" and exists (select from ", table.from(), " r where r.\"id\" = ", id, self.guard.clone(), ")"]
    }

    /// What happened to the table's fields since its first event, in order: columns as [`CHANGE_COLUMNS`].
    ///
    /// It comes before the page, in the same transaction. Its condition names the table in a branch that is folded away:
    /// the table's lock is held from here on, so that no change comes between this and the events. And the table is
    /// locked before its history, as writes and changes do it too.
    pub fn render_changes(table: &TableSql) -> Rendered {
        let columns = CHANGE_COLUMNS.map(|(name, _)| Fragment::sql(name));
        frag![
            "select ",
            Fragment::join(columns, ", "),
            " from platform.field_changes where (",
            table.is_shape(),
            " or exists (select from ",
            table.from(),
            ")) and domain = current_user and history = ",
            Fragment::text(table.names.history.as_str()),
            " order by id"
        ]
        .render()
    }

    /// The cursor behind the event of that version.
    pub fn cursor_after(&self, key: &CursorKey, version: i64) -> Option<String> {
        cursor::seal(key, self.digest, &[Value::Integer(version)])
    }
}
