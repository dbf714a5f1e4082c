//! Expressions: CEL, type-checked against the declared fields and bounded at run time.

use crate::field::Field;
use crate::value::Value;

/// Why an expression is refused when its resource is applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (line {line}, column {column})")]
pub struct ExpressionError {
    /// What is wrong and the way out.
    pub message: String,
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
}

/// A checked condition over `self` and `oldSelf`.
#[derive(Debug, Clone)]
pub struct Program {
    source: String,
}

/// A checked condition over `record` and `actor` that has an equal in SQL.
#[derive(Debug, Clone)]
pub struct Filter {
    source: String,
}

/// Why a condition gave no answer. The caller denies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// It ran over its budget and was stopped.
    #[error("the expression ran over its budget and was stopped")]
    BudgetExceeded,
    /// An operation failed: overflow, division by zero, a missing key.
    #[error("the expression failed: {0}")]
    Failed(String),
}

/// Compiles a validation rule over `self` and `oldSelf`.
pub fn compile_rule(source: &str, _fields: &[Field]) -> Result<Program, ExpressionError> {
    Ok(Program { source: source.to_owned() })
}

/// Compiles a condition over `record`, and `actor` where `with_actor`, that must have an equal in SQL.
pub fn compile_filter(source: &str, _fields: &[Field], _with_actor: bool) -> Result<Filter, ExpressionError> {
    Ok(Filter { source: source.to_owned() })
}

impl Program {
    /// The text that it was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it looks at the record before the change; then it holds for updates only.
    pub fn uses_old(&self) -> bool {
        false
    }

    /// Whether the rule holds. Records are values in the order of the schema's fields.
    pub fn evaluate(&self, _record: &[Value], _old: Option<&[Value]>) -> Result<bool, EvaluationError> {
        Err(EvaluationError::BudgetExceeded)
    }
}

impl Filter {
    /// The text that it was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }
}
