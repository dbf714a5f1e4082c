//! A look for rows that do not fit a plan, with a caller's own rights.

use std::sync::Arc;

use velocity_schema::{SchemaPath, Value};
use velocity_sql::ddl::{Check, Finding};
use velocity_sql::{SqlType, TableNames};

use super::Records;
use super::session::Session;
use crate::codec::decode_value;
use crate::wire::{Params, Pipeline, ResultSet, Statement, WireError};

/// Ids that a finding names.
const SAMPLES: &str = "3";

impl Records {
    /// The rows that a check of a plan finds, as far as the caller sees them: who sees every row learns what the operator
    /// would.
    pub async fn look(
        &self,
        session: &Session,
        path: &SchemaPath,
        check: &Check,
    ) -> Result<Finding, WireError> {
        let role: Arc<str> = TableNames::of(path).role().as_str().into();
        let count = format!("select count(*) {}", check.from);
        let samples = format!(
            "select r.id::text || case when r.deleted_at is null then '' else ' (deleted)' end {} order by r.id limit {SAMPLES}",
            check.from
        );
        let pipeline = Pipeline {
            session: session.to_wire(&role)?,
            statement_timeout: Some(session.statement_timeout),
            statements: [count, samples].map(|sql| Statement::new(sql, Params::new())).into(),
        };
        let results = self.shared.exclusive.pipeline(pipeline).await?;
        finding(&results).ok_or(WireError::TransactionFailed)
    }
}

fn finding(results: &[ResultSet]) -> Option<Finding> {
    let [count, samples] = results else { return None };
    let value = |sql_type, bytes: Option<&[u8]>| decode_value(sql_type, bytes).ok();
    let Value::Integer(count) = value(SqlType::Int8, count.rows().get(0)?.get(0))? else { return None };
    let texts = samples.rows().iter().filter_map(|row| value(SqlType::Text, row.get(0)));
    Some(Finding { count, samples: texts.map(|value| value.to_text()).collect() })
}
