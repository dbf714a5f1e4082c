//! Single records and pages of lists.

use std::sync::Arc;

use velocity_schema::Value;
use velocity_sql::SqlType;
use velocity_sql::query::ListPlan;

use super::Records;
use super::error::RecordError;
use super::lane::Lane;
use super::record::{Page, Record};
use super::session::Session;
use super::table::Table;
use crate::codec::decode_value;
use crate::wire::{Row, Rows};

impl Records {
    /// A record by its id.
    pub async fn read(
        &self,
        session: &Session,
        table: &Arc<Table>,
        id: &Value,
    ) -> Result<Record, RecordError> {
        let mut lane = Lane::alone(&self.shared, session, table)?;
        read_one(&mut lane, table, id).await?.ok_or(RecordError::NotFound)
    }

    /// A page of a list, and the count where the plan asks for one: one round trip.
    pub async fn list(
        &self,
        session: &Session,
        table: &Arc<Table>,
        plan: &ListPlan,
    ) -> Result<Page, RecordError> {
        let wire = session.to_wire(table.role())?;
        let mut statements = vec![table.query(plan.render(table.sql()))];
        statements.extend(plan.render_count(table.sql()).map(|count| table.query(count)));
        let counted = statements.len() > 1;
        let timeout = session.statement_timeout;
        let results = if plan.is_light() {
            self.shared.short(&wire, timeout, statements).await
        } else {
            self.shared.long(&wire, timeout, statements).await
        };
        let mut results = results.map_err(|error| RecordError::of(table, error))?;
        let count = if counted { results.pop() } else { None };
        let page = results.pop().ok_or_else(|| RecordError::internal("no result"))?;
        let rows = table.rows_read(page, plan.fetched().iter().copied())?;
        let total = match count.as_ref().and_then(|count| count.rows().get(0)) {
            Some(row) => Some(plan.total(integer(row, 0)?.unwrap_or(0), integer(row, 1)?)),
            None => None,
        };
        let next_cursor = self.cursor_after(table, plan, &rows)?;
        let encoder = table.shown(plan.view()).encoder_for(table.schema(), plan);
        Ok(Page { rows, encoder, limit: plan.limit(), next_cursor, total })
    }

    /// The cursor behind the page's last row, when there are more.
    fn cursor_after(
        &self,
        table: &Table,
        plan: &ListPlan,
        rows: &Rows,
    ) -> Result<Option<String>, RecordError> {
        if rows.len() <= plan.limit() {
            return Ok(None);
        }
        let Some(last) = plan.limit().checked_sub(1).and_then(|at| rows.get(at)) else { return Ok(None) };
        let mut values = Vec::with_capacity(plan.keys().len());
        for key in plan.keys() {
            let at = plan.fetched().iter().position(|position| *position == key.position);
            let at = at.ok_or_else(|| RecordError::internal("a key that was not fetched"))?;
            values.push(decode_value(table.sql().sql_type(key.position), last.get(at))?);
        }
        Ok(plan.cursor_after(self.cursor_key(), &values))
    }
}

pub(super) async fn read_one(
    lane: &mut Lane<'_>,
    table: &Arc<Table>,
    id: &Value,
) -> Result<Option<Record>, RecordError> {
    let result = lane.read(table.read_statement(id)).await.map_err(|error| RecordError::of(table, error))?;
    let rows = table.rows_read(result, 0..table.types().len())?;
    Ok((!rows.is_empty()).then(|| Record::new(table, rows, 0)))
}

pub(super) fn integer(row: Row<'_>, at: usize) -> Result<Option<i64>, RecordError> {
    match decode_value(SqlType::Int8, row.get(at))? {
        Value::Integer(number) => Ok(Some(number)),
        _ => Ok(None),
    }
}
