//! Which records a caller could point to.

use std::sync::Arc;

use velocity_schema::Value;
use velocity_sql::query::{Reading, lookup};

use super::Records;
use super::error::RecordError;
use super::session::Session;
use super::table::Table;
use crate::codec::decode_value;

impl Records {
    /// Those of `values` that a record has in the unique field at `position`, as far as the session and `reading` see it:
    /// one round trip.
    pub async fn seen_values(
        &self,
        session: &Session,
        table: &Arc<Table>,
        position: usize,
        values: Vec<Value>,
        reading: &Reading<'_>,
    ) -> Result<Vec<Value>, RecordError> {
        let wire = session.to_wire(table.role())?;
        let statement = table.query(lookup(table.sql(), position, values, reading));
        let results = self.shared.short(&wire, session.statement_timeout, vec![statement]).await;
        let mut results = results.map_err(|error| RecordError::of(table, error))?;
        let result = results.pop().ok_or_else(|| RecordError::internal("no result"))?;
        let rows = table.rows_read(result, [position])?;
        let sql_type = table.sql().sql_type(position);
        rows.iter().map(|row| Ok(decode_value(sql_type, row.get(0))?)).collect()
    }
}
