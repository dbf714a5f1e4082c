//! How many records a condition holds for, as the caller sees them.

use std::sync::Arc;

use velocity_schema::{SchemaPath, Value};
use velocity_sql::{Fragment, SqlType, TableNames, frag};

use super::Records;
use super::session::Session;
use crate::codec::decode_value;
use crate::wire::{Params, Pipeline, Statement, WireError};

impl Records {
    /// How many records that are not deleted the condition holds for. An administrator counts all of them.
    pub async fn count_where(
        &self,
        session: &Session,
        path: &SchemaPath,
        condition: &Fragment,
    ) -> Result<i64, WireError> {
        let names = TableNames::of(path);
        let role: Arc<str> = names.role().as_str().into();
        let count = frag![
            "select count(*) from ",
            names.table_sql(),
            " where deleted_at is null and ",
            condition.clone().parenthesised()
        ];
        let pipeline = Pipeline {
            session: session.to_wire(&role)?,
            statement_timeout: Some(session.statement_timeout),
            statements: [Statement::new(count.inline(), Params::new())].into(),
        };
        let results = self.shared.exclusive.pipeline(pipeline).await?;
        let row = results.first().and_then(|result| result.rows().get(0));
        match row.map(|row| decode_value(SqlType::Int8, row.get(0))) {
            Some(Ok(Value::Integer(count))) => Ok(count),
            _ => Err(WireError::TransactionFailed),
        }
    }
}
