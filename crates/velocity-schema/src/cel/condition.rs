//! Conditions on the actor, the request and the record (`access.abac`).

use std::sync::Arc;

use super::check::Purpose;
use super::check::scope::Root;
use super::cost::Cost;
use super::eval::budget::Budget;
use super::eval::{ActorView, Evaluator, Failure};
use super::ir::{Expr, Op, Record};
use super::{Compiled, EvaluationError, ExpressionError, compile, subset};
use crate::field::Field;
use crate::value::Value;

/// The names that a condition may use.
const ROOTS: [Root; 3] = [Root::Record("record", Record::Current), Root::Actor, Root::Request];

/// The request, as conditions see it.
#[derive(Debug, Clone, Copy)]
pub struct RequestView<'a> {
    /// `request.time`: microseconds since the Unix epoch. One for the whole request.
    pub time: i64,
    /// `request.operation`, as `access.roles` names it.
    pub operation: &'a str,
    /// `request.ip`: the client's address; unknown where there is none.
    pub ip: Option<&'a str>,
}

/// A checked condition over `actor`, `request` and `record`.
#[derive(Debug, Clone)]
pub struct Condition {
    compiled: Arc<Compiled>,
    uses_record: bool,
    in_sql: bool,
}

/// Compiles a condition over `actor`, `request` and `record`. Where `in_sql`, one that uses `record` must have an equal
/// in SQL, as filters have.
pub fn compile_condition(source: &str, fields: &[Field], in_sql: bool) -> Result<Condition, ExpressionError> {
    let compiled = compile(source, fields, &ROOTS, Purpose::Evaluate)?;
    let uses_record = compiled.expr.any(&|e| matches!(e.op, Op::Field { .. }));
    if !(in_sql && uses_record) {
        return Ok(Condition { compiled: Arc::new(compiled), uses_record, in_sql: false });
    }
    let compiled = compile(source, fields, &ROOTS, Purpose::Sql)?;
    subset::check(source, &compiled.expr, fields)?;
    Ok(Condition { compiled: Arc::new(compiled), uses_record, in_sql: true })
}

impl Condition {
    /// The text that it was compiled from.
    pub fn source(&self) -> &str {
        &self.compiled.source
    }

    /// Whether the answer depends on the record.
    pub fn uses_record(&self) -> bool {
        self.uses_record
    }

    /// Whether the answer depends on who asks.
    pub fn uses_actor(&self) -> bool {
        self.compiled
            .expr
            .any(&|e| matches!(e.op, Op::ActorId | Op::ActorType | Op::ActorRoles | Op::ActorAttributes))
    }

    /// Whether the answer depends on when, from where or for what it is asked.
    pub fn uses_request(&self) -> bool {
        self.compiled.expr.any(&|e| matches!(e.op, Op::RequestTime | Op::RequestOperation | Op::RequestIp))
    }

    /// Whether it uses the record and has an equal in SQL.
    pub fn is_in_sql(&self) -> bool {
        self.in_sql
    }

    /// The most that it costs on a record within the declared bounds.
    pub fn cost(&self) -> Cost {
        self.compiled.cost
    }

    /// The checked expression, of type boolean, for whoever renders it.
    pub fn expr(&self) -> &Expr {
        &self.compiled.expr
    }

    /// Whether the condition is true; unknown is not. Without a record, everything that is read from one is unknown.
    ///
    /// What has an equal in SQL gives Postgres' answer, as a [`super::Filter`] does.
    pub fn evaluate(
        &self,
        record: Option<&[Value]>,
        actor: ActorView<'_>,
        request: RequestView<'_>,
    ) -> Result<bool, EvaluationError> {
        let failure = if self.in_sql { Failure::IsUnknown } else { Failure::Stops };
        let mut evaluator = Evaluator::new(record.unwrap_or(&[]), failure, Budget::standard());
        evaluator.actor = Some(actor);
        evaluator.request = Some(request);
        Ok(evaluator.condition(&self.compiled.expr)? == Some(true))
    }
}
