//! Expressions: CEL, type-checked against the declared fields and bounded at apply time and at run time.
//!
//! ```text
//! text ─ token: bounds ─ parse ─► syntax ─ check ─► ir ─ cost: refused above the budget
//!                                                   ├─ eval: against a record
//!                                                   └─ subset: has an equal in SQL (rendered by velocity-sql)
//! ```
//!
//! Null is "unknown": a comparison with it is neither true nor false. A rule holds unless it is false, as a CHECK
//! constraint does; a filter lets a record through only if it is true, as WHERE does. `docs/decisions/0002-expressions.md`
//! says why, and has the language's reference.

mod check;
mod condition;
pub mod cost;
mod duration;
mod eval;
pub mod ir;
mod parse;
pub mod pattern;
mod subset;
mod syntax;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;

use crate::field::Field;
use crate::value::Value;
use check::scope::Root;
use check::{Checker, Purpose};
pub use condition::{Condition, RequestView, compile_condition};
use cost::Cost;
pub use eval::ActorView;
use eval::budget::{BYTES_MAX, Budget, STEPS_MAX};
use eval::{Evaluator, Failure};
use ir::{Expr, Op, Record};

/// Most bytes of an expression.
pub const SOURCE_MAX: usize = 10 * 1024;
/// Deepest nesting of brackets.
pub const NESTING_MAX: usize = 10;
/// Deepest nesting of operations, which long chains (`a + b + c`) make without brackets. Everything that recurses over
/// an expression does so at most this deep.
pub const DEPTH_MAX: usize = 80;

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

impl ExpressionError {
    /// An error at a byte of the source.
    fn at(source: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = source.get(..offset).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            message: message.into(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// A checked condition over `self` and `oldSelf`.
#[derive(Debug, Clone)]
pub struct Program {
    compiled: Arc<Compiled>,
    uses_old: bool,
}

/// A checked condition over `record` and `actor` that has an equal in SQL.
#[derive(Debug, Clone)]
pub struct Filter {
    compiled: Arc<Compiled>,
    uses_actor: bool,
}

#[derive(Debug)]
struct Compiled {
    source: String,
    expr: Expr,
    cost: Cost,
}

/// Why a condition gave no answer. The caller denies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// It ran over its budget and was stopped.
    #[error("the expression ran over its budget and was stopped")]
    BudgetExceeded,
    /// An operation failed: overflow, division by zero, a missing element, json of another type than expected.
    #[error("the expression failed: {0}")]
    Failed(String),
}

/// The names that a validation rule may use.
const RULE_ROOTS: [Root; 2] = [Root::Record("self", Record::Current), Root::Record("oldSelf", Record::Old)];
/// The names that a filter may use.
const FILTER_ROOTS: [Root; 2] = [Root::Record("record", Record::Current), Root::Actor];

/// Compiles a validation rule over `self` and `oldSelf`.
pub fn compile_rule(source: &str, fields: &[Field]) -> Result<Program, ExpressionError> {
    let compiled = compile(source, fields, &RULE_ROOTS, Purpose::Evaluate)?;
    let uses_old = compiled.expr.any(&|e| matches!(e.op, Op::Field { record: Record::Old, .. }));
    Ok(Program { compiled: Arc::new(compiled), uses_old })
}

/// Compiles a condition over `record`, and `actor` where `with_actor`, that must have an equal in SQL.
pub fn compile_filter(source: &str, fields: &[Field], with_actor: bool) -> Result<Filter, ExpressionError> {
    let roots = if with_actor { &FILTER_ROOTS[..] } else { &FILTER_ROOTS[..1] };
    let compiled = compile(source, fields, roots, Purpose::Sql)?;
    subset::check(source, &compiled.expr, fields)?;
    let uses_actor = compiled
        .expr
        .any(&|e| matches!(e.op, Op::ActorId | Op::ActorType | Op::ActorRoles | Op::ActorAttributes));
    Ok(Filter { compiled: Arc::new(compiled), uses_actor })
}

fn compile(
    source: &str,
    fields: &[Field],
    roots: &[Root],
    purpose: Purpose,
) -> Result<Compiled, ExpressionError> {
    let syntax = parse::parse(source)?;
    let expr = Checker::new(source, fields, roots, purpose).condition(&syntax)?;
    let cost = cost::estimate(&expr, fields);
    if !cost.is_affordable() {
        return Err(ExpressionError::at(source, 0, too_expensive(cost)));
    }
    Ok(Compiled { source: source.to_owned(), expr, cost })
}

fn too_expensive(cost: Cost) -> String {
    let shown =
        |number: u64| if number == u64::MAX { "more than can be counted".into() } else { number.to_string() };
    format!(
        "may cost {} steps and {} bytes, the budget is {STEPS_MAX} steps and {BYTES_MAX} bytes; nest fewer macros, or \
         declare maxItems and maxLength (an array without maxItems counts as {} elements, a text without maxLength as \
         {} bytes)",
        shown(cost.steps),
        shown(cost.bytes),
        cost::UNBOUNDED_ITEMS,
        cost::UNBOUNDED_BYTES,
    )
}

impl Program {
    /// The text that it was compiled from.
    pub fn source(&self) -> &str {
        &self.compiled.source
    }

    /// Whether it looks at the record before the change; then it holds for updates only.
    pub fn uses_old(&self) -> bool {
        self.uses_old
    }

    /// The most that it costs on a record within the declared bounds.
    pub fn cost(&self) -> Cost {
        self.compiled.cost
    }

    /// Whether the rule holds: whether it is not false, so that what is unknown because a value is missing passes.
    /// A rule over `oldSelf` holds where there is none. Records are values in the order of the schema's fields.
    pub fn evaluate(&self, record: &[Value], old: Option<&[Value]>) -> Result<bool, EvaluationError> {
        if self.uses_old && old.is_none() {
            return Ok(true);
        }
        let mut evaluator = Evaluator::new(record, Failure::Stops, Budget::standard());
        evaluator.old = old;
        Ok(evaluator.condition(&self.compiled.expr)? != Some(false))
    }
}

impl Filter {
    /// The text that it was compiled from.
    pub fn source(&self) -> &str {
        &self.compiled.source
    }

    /// Whether the answer depends on who asks. A partial index may only have a filter that does not.
    pub fn uses_actor(&self) -> bool {
        self.uses_actor
    }

    /// The most that it costs on a record within the declared bounds.
    pub fn cost(&self) -> Cost {
        self.compiled.cost
    }

    /// The checked expression, of type boolean, for whoever renders it.
    pub fn expr(&self) -> &Expr {
        &self.compiled.expr
    }

    /// Whether the record passes: whether the filter is true; unknown hides. Without an actor, everything that asks
    /// for one is unknown. The answer is Postgres' answer to the rendered filter.
    pub fn evaluate(&self, record: &[Value], actor: Option<ActorView<'_>>) -> Result<bool, EvaluationError> {
        Ok(self.truth(record, actor)? == Some(true))
    }

    /// The truth value of the filter; `None` is unknown.
    pub fn truth(
        &self,
        record: &[Value],
        actor: Option<ActorView<'_>>,
    ) -> Result<Option<bool>, EvaluationError> {
        let mut evaluator = Evaluator::new(record, Failure::IsUnknown, Budget::standard());
        evaluator.actor = actor;
        evaluator.condition(&self.compiled.expr)
    }
}
