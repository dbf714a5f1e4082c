//! Which checked expressions have an equal in SQL.

use super::ExpressionError;
use super::cost;
use super::ir::{Arithmetic, Expr, Function, LoopKind, Op, Type};
use crate::field::Field;

/// Most digits of a number that a filter computes: far below where Postgres rounds (16,383 after the point).
const DIGITS_MAX: u64 = 4_000;

/// Refuses what has no equal in SQL, with its place and a way out.
pub(super) fn check(source: &str, expr: &Expr, fields: &[Field]) -> Result<(), ExpressionError> {
    if let Some((what, instead)) = reason(expr) {
        let message = format!("cannot be compiled to SQL: {what}; {instead}");
        return Err(ExpressionError::at(source, expr.at, message));
    }
    if expr.ty == Type::Number && cost::digits(expr, fields) > DIGITS_MAX {
        let message = format!(
            "cannot be compiled to SQL: a number of more than {DIGITS_MAX} digits; use fewer factors"
        );
        return Err(ExpressionError::at(source, expr.at, message));
    }
    expr.children().into_iter().try_for_each(|child| check(source, child, fields))
}

fn reason(expr: &Expr) -> Option<(String, &'static str)> {
    Some(match &expr.op {
        Op::Loop(looping) => {
            let name = match looping.kind {
                LoopKind::All => "all",
                LoopKind::Exists => "exists",
                LoopKind::ExistsOne => "exists_one",
                LoopKind::Map => "map",
                LoopKind::Filter => "filter",
            };
            (format!("`{name}`"), "use `value in list`, or a rule or a field that says it")
        }
        Op::Call(Function::Matches(_), _) => {
            ("`matches`".into(), "use `startsWith`, `endsWith`, `contains` or `in`")
        }
        Op::Call(Function::Trim, _) => ("`trim`".into(), "store the text trimmed"),
        Op::Call(Function::Whole(_), _) => ("a part of a duration".into(), "compare with `duration('…')`"),
        Op::Call(Function::Size, args) if args.first().is_some_and(|arg| arg.ty == Type::Json) => {
            ("`size` of json".into(), "use an array field")
        }
        Op::Call(Function::Part(_), args) if args.first().is_some_and(|arg| !arg.is_stored_moment()) => {
            ("a part of a computed time".into(), "take the part of a field")
        }
        Op::Arithmetic(Arithmetic::Divide, ..) => {
            ("`/` on decimals, which rounds".into(), "multiply the other side instead")
        }
        Op::Arithmetic(..) if matches!(expr.ty, Type::List(_)) => {
            ("`+` on lists".into(), "use `in` on each list, joined by `||`")
        }
        Op::Index(_, index) if !index.is_const() => ("a computed index".into(), "use a literal"),
        Op::Convert(from) if !from.is_stored_moment() && from.ty == Type::Timestamp => {
            ("a part of a computed time".into(), "take the part of a field")
        }
        Op::Convert(from) => return conversion(&from.ty, &expr.ty),
        Op::Conditional(_) if expr.ty == Type::Json => {
            ("json as a branch of `? :`".into(), "compare in each branch")
        }
        Op::List(items)
            if items.iter().any(|item| !item.is_stored_moment() && item.ty == Type::Timestamp) =>
        {
            ("a computed time in a list".into(), "compare with each, joined by `||`")
        }
        Op::In(needle, _) if !needle.is_stored_moment() && needle.ty == Type::Timestamp => {
            ("a computed time in a list".into(), "compare with each, joined by `||`")
        }
        Op::Compare(_, left, right)
            if matches!(left.ty, Type::List(_)) && (has_made_list(left) || has_made_list(right)) =>
        {
            ("a list with computed elements".into(), "compare the elements")
        }
        _ if matches!(&expr.ty, Type::List(item) if matches!(**item, Type::List(_))) => {
            ("a list of lists".into(), "compare the elements")
        }
        Op::In(needle, list) if list.ty == Type::Json => return json_membership(needle, list),
        _ => return None,
    })
}

/// Whether a list is written whose elements are not all literals.
fn has_made_list(expr: &Expr) -> bool {
    expr.any(&|e| matches!(&e.op, Op::List(items) if items.iter().any(|item| !item.is_const())))
}

fn conversion(from: &Type, to: &Type) -> Option<(String, &'static str)> {
    match (from, to) {
        (Type::Integer, Type::Number | Type::Text)
        | (Type::Json, Type::Boolean | Type::Number | Type::Text)
        | (Type::Text, Type::Uuid)
        | (Type::Uuid, Type::Text)
        | (Type::Timestamp, Type::Date | Type::Time) => None,
        (Type::List(from_item), Type::List(to_item))
            if **from_item == Type::Integer && **to_item == Type::Number =>
        {
            None
        }
        _ => Some((format!("a {from} as a {to}"), "compare values of one type")),
    }
}

fn json_membership(needle: &Expr, list: &Expr) -> Option<(String, &'static str)> {
    let of_actor = list.any(&|e| matches!(e.op, Op::ActorAttributes));
    match &needle.ty {
        Type::Text | Type::Number if of_actor => None,
        Type::Text => None,
        Type::Number | Type::Boolean if needle.is_const() && !of_actor => None,
        ty => Some((format!("a {ty} in a json array"), "use a string, or an array field")),
    }
}
