//! How two sides come to one type: literals adapt to what they meet, integers become numbers, json is looked into.

use super::{Checked, Checker, constant, convert};
use crate::cel::ExpressionError;
use crate::cel::ir::{Expr, Op, Type};
use crate::time;
use crate::value::Value;
use crate::violation::did_you_mean;

impl Checker<'_> {
    /// Both expressions with one type. `what` names them in the error.
    pub(super) fn same_type(
        &self,
        left: Expr,
        right: Expr,
        at: usize,
        what: &str,
    ) -> Result<(Expr, Expr), ExpressionError> {
        self.check_enum(&left, &right)?;
        self.check_enum(&right, &left)?;
        if let Some(ty) = common(&left, &right) {
            return Ok((self.adapted(left, &ty)?, self.adapted(right, &ty)?));
        }
        let hint = match (&left.ty, &right.ty) {
            (Type::Json, Type::Timestamp) | (Type::Timestamp, Type::Json) => {
                "; write `timestamp(…)` around the json"
            }
            (Type::Json, _) | (_, Type::Json) => "; a part of it may be",
            (Type::Text, Type::Integer | Type::Number) | (Type::Integer | Type::Number, Type::Text) => {
                "; write the number without quotes, or `string(…)` around the number"
            }
            _ => "",
        };
        self.refuse(at, format!("{what} are of types {} and {}{hint}", left.ty, right.ty))
    }

    /// The expression as `ty`, where [`common`] or [`fits`] says that it can be.
    pub(super) fn adapted(&self, expr: Expr, ty: &Type) -> Checked {
        if expr.ty == *ty {
            return Ok(expr);
        }
        let at = expr.at;
        match (expr.op, expr.ty) {
            (Op::Const(Value::Null), _) => Ok(constant(ty.clone(), Value::Null, at)),
            (Op::Const(Value::Integer(number)), Type::Integer) if *ty == Type::Number => {
                Ok(constant(Type::Number, Value::Number(number.into()), at))
            }
            (Op::Const(Value::String(text)), Type::Text) => self.literal(&text, ty, at),
            (Op::List(items), from) => {
                let Type::List(item) = ty else { return self.cannot(at, &from, ty) };
                let items = items.into_iter().map(|e| self.adapted(e, item)).collect::<Result<_, _>>()?;
                Ok(Expr { ty: ty.clone(), op: Op::List(items), at })
            }
            (op, from) => match (&from, ty) {
                (Type::Integer, Type::Number)
                | (Type::Json, Type::Boolean | Type::Number | Type::Text)
                | (Type::Text, Type::Uuid)
                | (Type::List(_), Type::List(_)) => Ok(convert(Expr { ty: from, op, at }, ty.clone())),
                (Type::Json, Type::Uuid) => {
                    let text = convert(Expr { ty: from, op, at }, Type::Text);
                    Ok(convert(text, Type::Uuid))
                }
                _ => self.cannot(at, &from, ty),
            },
        }
    }

    fn cannot(&self, at: usize, from: &Type, to: &Type) -> Checked {
        self.refuse(at, format!("a {to} is expected here, this is of type {from}"))
    }

    /// The text of a literal as another type.
    pub(super) fn literal(&self, text: &str, ty: &Type, at: usize) -> Checked {
        let (value, example) = match ty {
            Type::Uuid => {
                (uuid(text).map(Value::Uuid), "a UUID such as '0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f'")
            }
            Type::Timestamp => (
                time::parse_timestamp(text).map(Value::Timestamp),
                "an RFC 3339 time with its offset, such as '2026-05-19T14:00:00Z'",
            ),
            Type::Date => (time::parse_date(text).map(Value::Date), "a date such as '2026-05-19'"),
            Type::Time => (time::parse_time(text).map(Value::Time), "a time of day such as '14:00:00'"),
            _ => return self.cannot(at, &Type::Text, ty),
        };
        match value {
            Some(value) => Ok(constant(ty.clone(), value, at)),
            None => self.refuse(at, format!("'{}' is not {example}", text.escape_debug())),
        }
    }

    /// Refuses a comparison of an enum with a text that it never is.
    fn check_enum(&self, side: &Expr, other: &Expr) -> Result<(), ExpressionError> {
        let Some((name, values)) = self.known_values(side) else { return Ok(()) };
        let literals: Vec<&Expr> = match &other.op {
            Op::List(items) => items.iter().collect(),
            _ => vec![other],
        };
        for literal in literals {
            if let Op::Const(Value::String(text)) = &literal.op
                && !values.contains(&text.as_str())
            {
                let near = did_you_mean(text, values.iter().copied());
                return self.refuse(
                    literal.at,
                    format!("`{name}` is never '{text}'{near}; its values are {}", values.join(", ")),
                );
            }
        }
        Ok(())
    }

    /// The needle and the list of an `in`, with one type of element.
    pub(super) fn needle_and_list(
        &self,
        needle: Expr,
        list: Expr,
        at: usize,
    ) -> Result<(Expr, Expr), ExpressionError> {
        self.check_enum(&needle, &list)?;
        match list.ty.clone() {
            Type::List(item) => {
                let sample = self::item(&list, &item);
                let Some(ty) = common(&needle, &sample) else {
                    return self
                        .refuse(at, format!("a value of type {} is never in a {}", needle.ty, list.ty));
                };
                let needle = self.adapted(needle, &ty)?;
                let list = self.adapted(list, &Type::List(Box::new(ty)))?;
                Ok((needle, list))
            }
            Type::Json => {
                let ty = match &needle.ty {
                    Type::Integer => Type::Number,
                    Type::Text | Type::Number | Type::Boolean | Type::Json => needle.ty.clone(),
                    Type::Uuid => return Ok((convert(needle, Type::Text), list)),
                    ty => return self.refuse(needle.at, format!("a {ty} is never an element of json")),
                };
                Ok((self.adapted(needle, &ty)?, list))
            }
            ty => self.refuse(list.at, format!("`in` looks into a list or json, not into a {ty}")),
        }
    }
}

/// A hyphenated UUID in either case, and nothing else that a UUID parser takes.
pub(in crate::cel) fn uuid(text: &str) -> Option<uuid::Uuid> {
    let hyphens = [8, 13, 18, 23].iter().all(|at| text.as_bytes().get(*at) == Some(&b'-'));
    (text.len() == 36 && hyphens).then(|| uuid::Uuid::try_parse(text).ok()).flatten()
}

/// Whether a text literal can be written for the type.
fn adapts(ty: &Type) -> bool {
    matches!(ty, Type::Uuid | Type::Timestamp | Type::Date | Type::Time)
}

/// The type that both sides can have.
fn common(left: &Expr, right: &Expr) -> Option<Type> {
    if left.ty == right.ty {
        return Some(left.ty.clone());
    }
    one_way(left, right).or_else(|| one_way(right, left))
}

fn one_way(from: &Expr, to: &Expr) -> Option<Type> {
    match (&from.ty, &to.ty) {
        (Type::Null, ty) | (Type::Json, ty @ (Type::Boolean | Type::Number | Type::Text)) => Some(ty.clone()),
        (Type::Integer, Type::Number) | (Type::Json, Type::Integer) => Some(Type::Number),
        (Type::Text, ty) if adapts(ty) && from.is_const() => Some(ty.clone()),
        (Type::Text | Type::Json, Type::Uuid) => Some(Type::Uuid),
        (Type::List(from_item), Type::List(to_item)) => {
            let (a, b) = (item(from, from_item), item(to, to_item));
            common(&a, &b).map(|ty| Type::List(Box::new(ty)))
        }
        _ => None,
    }
}

/// A stand-in for the elements of a list: a literal where all elements are.
fn item(list: &Expr, ty: &Type) -> Expr {
    let op = match &list.op {
        Op::List(items) if items.iter().all(Expr::is_const) => Op::Const(Value::Null),
        _ => Op::Local(0),
    };
    Expr { ty: ty.clone(), op, at: list.at }
}
