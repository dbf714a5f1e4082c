//! Evaluation of a checked expression against a record.
//!
//! Logic has three values: what is computed from null is unknown (null). The recursion is as deep as the expression,
//! which [`super::DEPTH_MAX`] bounds; what loops pays from the [`Budget`].

mod arithmetic;
pub(super) mod budget;
mod compare;
mod convert;
mod datum;
mod function;
mod json;
mod looping;

use super::EvaluationError;
use super::condition::RequestView;
use super::ir::{Expr, Op, Record, Type};
use super::pattern::Matcher;
use crate::value::Value;
use budget::{Budget, scan};
use datum::{Datum, Held, Items};

/// Who acts, as expressions see it: what the transaction's settings say. Nobody is empty throughout.
#[derive(Debug, Clone, Copy)]
pub struct ActorView<'a> {
    /// `velocity.actor`.
    pub id: &'a str,
    /// `velocity.actor_type`.
    pub actor_type: &'a str,
    /// `velocity.roles`: the roles that count here, those that allow the operation on the schema.
    pub roles: &'a [String],
    /// `velocity.attributes`: a JSON object.
    pub attributes: &'a str,
}

/// What an operation that cannot be done gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// An error: a rule denies.
    Stops,
    /// Null, as in SQL: a filter hides the row, and no row can make a query fail.
    IsUnknown,
}

/// What an expression is evaluated against.
pub(super) struct Evaluator<'a> {
    pub(super) current: &'a [Value],
    pub(super) old: Option<&'a [Value]>,
    pub(super) actor: Option<ActorView<'a>>,
    pub(super) request: Option<RequestView<'a>>,
    pub(super) failure: Failure,
    pub(super) budget: Budget,
    locals: Vec<Datum<'a>>,
    matchers: Vec<Matcher<'a>>,
}

type Evaluated<'a> = Result<Datum<'a>, EvaluationError>;

impl<'a> Evaluator<'a> {
    pub(super) fn new(current: &'a [Value], failure: Failure, budget: Budget) -> Self {
        Self {
            current,
            old: None,
            actor: None,
            request: None,
            failure,
            budget,
            locals: Vec::new(),
            matchers: Vec::new(),
        }
    }

    /// The truth value of a condition; `None` is unknown.
    pub(super) fn condition(&mut self, expr: &'a Expr) -> Result<Option<bool>, EvaluationError> {
        match self.eval(expr)? {
            Datum::Boolean(yes) => Ok(Some(yes)),
            _ => Ok(None),
        }
    }

    /// The failure of an operation, in the way of the place.
    fn fail(&self, message: impl FnOnce() -> String) -> Evaluated<'a> {
        match self.failure {
            Failure::Stops => Err(EvaluationError::Failed(message())),
            Failure::IsUnknown => Ok(Datum::Null),
        }
    }

    fn eval(&mut self, expr: &'a Expr) -> Evaluated<'a> {
        self.budget.spend(1)?;
        match &expr.op {
            Op::Const(value) => Ok(Datum::of(value)),
            Op::Duration(micros) => Ok(Datum::Duration(i128::from(*micros))),
            Op::Field { record, index, .. } => Ok(self.field(*record, *index)),
            Op::ActorId | Op::ActorType | Op::ActorRoles | Op::ActorAttributes => Ok(self.actor(&expr.op)),
            Op::RequestTime | Op::RequestOperation | Op::RequestIp => Ok(self.request(&expr.op)),
            Op::Local(local) => Ok(self.locals.get(*local).cloned().unwrap_or(Datum::Null)),
            Op::Member(operand, name) => self.member(operand, name),
            Op::Index(operand, index) => self.index(operand, index),
            Op::List(items) => self.list(items),
            Op::NullTest { operand, is_null } => {
                let found = match self.eval(operand) {
                    // An element that is not there is null here, so that one can ask for it.
                    Err(EvaluationError::Failed(_)) if matches!(operand.op, Op::Index(..)) => Datum::Null,
                    found => found?,
                };
                Ok(Datum::Boolean(matches!(found, Datum::Null) == *is_null))
            }
            Op::Not(operand) => Ok(match self.eval(operand)? {
                Datum::Boolean(yes) => Datum::Boolean(!yes),
                _ => Datum::Null,
            }),
            Op::And(terms) => self.logic(terms, false),
            Op::Or(terms) => self.logic(terms, true),
            Op::Conditional(parts) => match self.eval(&parts[0])? {
                Datum::Boolean(true) => self.eval(&parts[1]),
                Datum::Boolean(false) => self.eval(&parts[2]),
                _ => Ok(Datum::Null),
            },
            Op::Compare(comparison, left, right) => {
                let (left, right) = (self.eval(left)?, self.eval(right)?);
                self.compare(*comparison, &left, &right)
            }
            Op::In(needle, list) => {
                let (needle, list) = (self.eval(needle)?, self.eval(list)?);
                self.contains(&needle, list)
            }
            Op::Arithmetic(arithmetic, left, right) => {
                let (left, right) = (self.eval(left)?, self.eval(right)?);
                self.arithmetic(*arithmetic, left, right)
            }
            Op::Negate(operand) => {
                let operand = self.eval(operand)?;
                self.negate(operand)
            }
            Op::Convert(operand) => {
                let operand = self.eval(operand)?;
                self.convert(operand, &expr.ty)
            }
            Op::Call(function, args) => self.call(function, args),
            Op::Loop(looping) => self.looping(looping),
        }
    }

    fn field(&self, record: Record, index: usize) -> Datum<'a> {
        let values = match record {
            Record::Current => Some(self.current),
            Record::Old => self.old,
        };
        values.and_then(|values| values.get(index)).map_or(Datum::Null, Datum::of)
    }

    fn actor(&self, op: &Op) -> Datum<'a> {
        let Some(actor) = self.actor else { return Datum::Null };
        let text =
            |text: &'a str| if text.is_empty() { Datum::Null } else { Datum::Text(Held::Borrowed(text)) };
        match op {
            Op::ActorId => text(actor.id),
            Op::ActorType => text(actor.actor_type),
            Op::ActorRoles if actor.id.is_empty() => Datum::Null,
            Op::ActorRoles => Datum::List(Items::Texts(actor.roles)),
            _ if actor.attributes.is_empty() => Datum::Null,
            _ => Datum::json(actor.attributes),
        }
    }

    fn request(&self, op: &Op) -> Datum<'a> {
        let Some(request) = self.request else { return Datum::Null };
        match op {
            Op::RequestTime => Datum::Timestamp(i128::from(request.time)),
            Op::RequestOperation => Datum::Text(Held::Borrowed(request.operation)),
            _ => request.ip.map_or(Datum::Null, |ip| Datum::Text(Held::Borrowed(ip))),
        }
    }

    fn member(&mut self, operand: &'a Expr, name: &str) -> Evaluated<'a> {
        let Datum::Json(text) = self.eval(operand)? else { return Ok(Datum::Null) };
        self.budget.spend(scan(text.len() as u64))?;
        Ok(json::member(text, name).map_or(Datum::Null, Datum::json))
    }

    fn index(&mut self, operand: &'a Expr, index: &'a Expr) -> Evaluated<'a> {
        let (operand, index) = (self.eval(operand)?, self.eval(index)?);
        if let Datum::Json(text) = operand {
            self.budget.spend(scan(text.len() as u64))?;
        }
        match (operand, index) {
            (Datum::List(items), Datum::Integer(index)) => {
                match usize::try_from(index).ok().and_then(|index| items.get(index)) {
                    Some(item) => Ok(item),
                    None => self.fail(|| format!("the list has no element {index}; it has {}", items.len())),
                }
            }
            (Datum::Json(text), Datum::Integer(index)) => {
                match usize::try_from(index).ok().and_then(|index| json::element(text, index)) {
                    Some(item) => Ok(Datum::json(item)),
                    None if json::kind(text) == json::Kind::List => {
                        self.fail(|| format!("the array has no element {index}"))
                    }
                    None => Ok(Datum::Null),
                }
            }
            (Datum::Json(text), Datum::Text(name)) => {
                Ok(json::member(text, &name).map_or(Datum::Null, Datum::json))
            }
            _ => Ok(Datum::Null),
        }
    }

    fn list(&mut self, items: &'a [Expr]) -> Evaluated<'a> {
        self.budget.produce(size_of::<Datum>() * items.len())?;
        let items = items.iter().map(|item| self.eval(item)).collect::<Result<Vec<_>, _>>()?;
        Ok(Datum::list(items))
    }

    /// A chain of `&&` (`decisive` false) or `||`: decided by any term that decides it, wherever it stands. So a
    /// failure beside a decisive term does not matter, as in CEL.
    fn logic(&mut self, terms: &'a [Expr], decisive: bool) -> Evaluated<'a> {
        let mut state = Logic::default();
        for term in terms {
            if state.decided_by(self.eval(term), decisive)? {
                return Ok(Datum::Boolean(decisive));
            }
        }
        state.outcome(decisive)
    }
}

/// What a chain of `&&` or `||` has seen so far.
#[derive(Default)]
struct Logic {
    unknown: bool,
    failed: Option<String>,
}

impl Logic {
    fn decided_by(&mut self, term: Evaluated<'_>, decisive: bool) -> Result<bool, EvaluationError> {
        match term {
            Ok(Datum::Boolean(yes)) => return Ok(yes == decisive),
            Ok(_) => self.unknown = true,
            Err(EvaluationError::Failed(message)) => {
                self.failed.get_or_insert(message);
            }
            Err(over @ EvaluationError::BudgetExceeded) => return Err(over),
        }
        Ok(false)
    }

    fn outcome<'a>(self, decisive: bool) -> Evaluated<'a> {
        match self.failed {
            Some(message) => Err(EvaluationError::Failed(message)),
            None if self.unknown => Ok(Datum::Null),
            None => Ok(Datum::Boolean(!decisive)),
        }
    }
}

/// What JSON of a type is called in errors.
fn expected(ty: &Type) -> String {
    format!("a {ty}")
}
