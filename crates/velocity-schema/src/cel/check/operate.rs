//! Operators.

use super::{Checked, Checker, Purpose, constant};
use crate::cel::ExpressionError;
use crate::cel::ir::{Arithmetic, Comparison, Expr, Op, Type};
use crate::cel::syntax::{Node, Operator};
use crate::value::Value;

impl Checker<'_> {
    pub(super) fn list(&mut self, nodes: &[Node], at: usize) -> Checked {
        let mut items: Vec<Expr> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let item = self.expr(node)?;
            if item.ty == Type::Null {
                return self.refuse(item.at, "a list cannot contain null");
            }
            items.push(item);
        }
        let mut ty = items.first().map_or(Type::Null, |item| item.ty.clone());
        if items.iter().any(|item| item.ty == Type::Number) && ty == Type::Integer {
            ty = Type::Number;
        }
        let mut same = Vec::with_capacity(items.len());
        for item in items {
            if item.ty != ty && !(item.ty == Type::Integer && ty == Type::Number) {
                let message = format!("the elements of a list have one type; this is {}, not {ty}", item.ty);
                return self.refuse(item.at, message);
            }
            same.push(self.adapted(item, &ty)?);
        }
        Ok(Expr { ty: Type::List(Box::new(ty)), op: Op::List(same), at })
    }

    pub(super) fn negate(&mut self, operand: &Node, at: usize) -> Checked {
        let operand = self.expr(operand)?;
        let operand = self.computable(operand)?;
        match &operand.ty {
            Type::Integer | Type::Number | Type::Duration => {
                let ty = operand.ty.clone();
                Ok(Expr { ty, op: Op::Negate(Box::new(operand)), at })
            }
            ty => self.refuse(at, format!("a {ty} cannot be negated")),
        }
    }

    pub(super) fn binary(&mut self, operator: Operator, left: &Node, right: &Node, at: usize) -> Checked {
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        match operator {
            Operator::Equal => self.equality(Comparison::Equal, left, right, at),
            Operator::NotEqual => self.equality(Comparison::NotEqual, left, right, at),
            Operator::Less => self.ordering(Comparison::Less, left, right, at),
            Operator::LessOrEqual => self.ordering(Comparison::LessOrEqual, left, right, at),
            Operator::Greater => self.ordering(Comparison::Greater, left, right, at),
            Operator::GreaterOrEqual => self.ordering(Comparison::GreaterOrEqual, left, right, at),
            Operator::In => self.membership(left, right, at),
            _ => self.arithmetic(operator, left, right, at),
        }
    }

    fn equality(&self, comparison: Comparison, left: Expr, right: Expr, at: usize) -> Checked {
        let operand = match (&left.ty, &right.ty) {
            (Type::Null, Type::Null) => return self.refuse(at, "null is compared with null; name a field"),
            (Type::Null, _) => Some(right.clone()),
            (_, Type::Null) => Some(left.clone()),
            _ => None,
        };
        if let Some(operand) = operand {
            let is_null = comparison == Comparison::Equal;
            let op = Op::NullTest { operand: Box::new(operand), is_null };
            return Ok(Expr { ty: Type::Boolean, op, at });
        }
        let (left, right) = self.same_type(left, right, at, "the two sides")?;
        if left.ty == Type::List(Box::new(Type::Json)) {
            return self.refuse(at, "lists of json cannot be compared; compare their elements");
        }
        Ok(Expr { ty: Type::Boolean, op: Op::Compare(comparison, Box::new(left), Box::new(right)), at })
    }

    fn ordering(&self, comparison: Comparison, left: Expr, right: Expr, at: usize) -> Checked {
        for side in [&left, &right] {
            if side.ty == Type::Null {
                return self.refuse(side.at, "null has no order; test it with `== null`");
            }
        }
        let (left, right) = self.same_type(left, right, at, "the two sides")?;
        match &left.ty {
            Type::Integer
            | Type::Number
            | Type::Text
            | Type::Timestamp
            | Type::Duration
            | Type::Date
            | Type::Time => {
                Ok(Expr { ty: Type::Boolean, op: Op::Compare(comparison, Box::new(left), Box::new(right)), at })
            }
            Type::Json => self.refuse(
                at,
                "two parts of json have no order until one of them has a type; write `double(…)` or `string(…)`",
            ),
            ty => self.refuse(at, format!("values of type {ty} have no order; `==` and `!=` compare them")),
        }
    }

    fn membership(&self, needle: Expr, list: Expr, at: usize) -> Checked {
        if needle.ty == Type::Null {
            return self.refuse(needle.at, "null is never in a list; test it with `== null`");
        }
        if matches!(&list.op, Op::List(items) if items.is_empty()) {
            return Ok(constant(Type::Boolean, Value::Boolean(false), at));
        }
        let (needle, list) = self.needle_and_list(needle, list, at)?;
        Ok(Expr { ty: Type::Boolean, op: Op::In(Box::new(needle), Box::new(list)), at })
    }

    /// The operand of arithmetic: json is taken for a number, and where there is SQL an integer is computed as a
    /// number, which has no overflow.
    fn computable(&self, expr: Expr) -> Result<Expr, ExpressionError> {
        match expr.ty {
            Type::Json => self.adapted(expr, &Type::Number),
            Type::Integer if self.purpose == Purpose::Sql => self.adapted(expr, &Type::Number),
            _ => Ok(expr),
        }
    }

    fn arithmetic(&self, operator: Operator, left: Expr, right: Expr, at: usize) -> Checked {
        let whole = |expr: &Expr| expr.ty == Type::Integer || is_whole(expr);
        let both_whole = whole(&left) && whole(&right);
        let texts = matches!((&left.ty, &right.ty), (Type::Text, Type::Json) | (Type::Json, Type::Text));
        let (left, right) = if texts {
            (self.adapted(left, &Type::Text)?, self.adapted(right, &Type::Text)?)
        } else {
            (self.computable(left)?, self.computable(right)?)
        };
        let (left, right) = match (&left.ty, &right.ty) {
            (Type::Integer, Type::Number) => (self.adapted(left, &Type::Number)?, right),
            (Type::Number, Type::Integer) => (left, self.adapted(right, &Type::Number)?),
            _ => (left, right),
        };
        let (arithmetic, ty) = match (operator, &left.ty, &right.ty) {
            (Operator::Add, Type::Timestamp, Type::Duration)
            | (Operator::Add, Type::Duration, Type::Timestamp) => (Arithmetic::Add, Type::Timestamp),
            (Operator::Subtract, Type::Timestamp, Type::Duration) => (Arithmetic::Subtract, Type::Timestamp),
            (Operator::Subtract, Type::Timestamp, Type::Timestamp)
            | (Operator::Subtract, Type::Date, Type::Date) => (Arithmetic::Subtract, Type::Duration),
            (Operator::Add, Type::Text, Type::Text) => (Arithmetic::Add, Type::Text),
            (Operator::Add, Type::List(a), Type::List(b)) if a == b => (Arithmetic::Add, left.ty.clone()),
            (Operator::Add, ty @ (Type::Integer | Type::Number | Type::Duration), other) if ty == other => {
                (Arithmetic::Add, ty.clone())
            }
            (Operator::Subtract, ty @ (Type::Integer | Type::Number | Type::Duration), other)
                if ty == other =>
            {
                (Arithmetic::Subtract, ty.clone())
            }
            (Operator::Multiply, ty @ (Type::Integer | Type::Number), other) if ty == other => {
                (Arithmetic::Multiply, ty.clone())
            }
            (Operator::Divide, ty @ (Type::Integer | Type::Number), other) if ty == other => {
                (if both_whole { Arithmetic::DivideWhole } else { Arithmetic::Divide }, ty.clone())
            }
            (Operator::Remainder, ty @ (Type::Integer | Type::Number), other)
                if ty == other && both_whole =>
            {
                (Arithmetic::Remainder, ty.clone())
            }
            (_, a, b) => {
                let message = format!("`{}` is not defined for {a} and {b}", operator.symbol());
                return self.refuse(at, message);
            }
        };
        Ok(Expr { ty, op: Op::Arithmetic(arithmetic, Box::new(left), Box::new(right)), at })
    }
}

/// Whether the number is the result of computing with integers only.
fn is_whole(expr: &Expr) -> bool {
    match &expr.op {
        Op::Convert(inner) => inner.ty == Type::Integer,
        Op::Negate(inner) => is_whole(inner),
        Op::Arithmetic(Arithmetic::Divide, ..) => false,
        Op::Arithmetic(_, a, b) => [a, b].iter().all(|e| is_whole(e)),
        // An integer literal that became a number; one written with a point has decimals.
        Op::Const(Value::Number(number)) => number.fractional_digit_count() == 0,
        Op::Conditional(parts) => is_whole(&parts[1]) && is_whole(&parts[2]),
        _ => false,
    }
}
