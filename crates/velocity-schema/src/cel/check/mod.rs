//! The type checker: from syntax to the checked expression.

mod call;
mod convert;
mod operate;
pub(super) mod scope;

use super::ExpressionError;
use super::ir::{Expr, LoopKind, Op, Type};
use super::syntax::{Node, NodeKind};
use crate::field::{Field, FieldType};
use crate::schema::Operation;
use crate::value::Value;
use crate::violation::did_you_mean;
pub(super) use convert::uuid;
use scope::Root;

/// Where an expression is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is evaluated here only.
    Evaluate,
    /// It has an equal in SQL, where a row must not make a query fail: integers are computed without overflow.
    Sql,
}

/// Checks one expression.
pub(super) struct Checker<'a> {
    pub(super) source: &'a str,
    pub(super) fields: &'a [Field],
    pub(super) roots: &'a [Root],
    pub(super) purpose: Purpose,
    /// The variables of the macros around, outermost first.
    locals: Vec<(String, Type)>,
}

type Checked = Result<Expr, ExpressionError>;

impl<'a> Checker<'a> {
    pub(super) fn new(source: &'a str, fields: &'a [Field], roots: &'a [Root], purpose: Purpose) -> Self {
        Self { source, fields, roots, purpose, locals: Vec::new() }
    }

    /// The checked condition.
    pub(super) fn condition(&mut self, node: &Node) -> Checked {
        let expr = self.expr(node)?;
        self.boolean(expr)
    }

    fn error(&self, at: usize, message: impl Into<String>) -> ExpressionError {
        ExpressionError::at(self.source, at, message)
    }

    fn refuse<T>(&self, at: usize, message: impl Into<String>) -> Result<T, ExpressionError> {
        Err(self.error(at, message))
    }

    /// The expression as a truth value.
    fn boolean(&self, expr: Expr) -> Checked {
        match expr.ty {
            Type::Boolean => Ok(expr),
            Type::Json => Ok(convert(expr, Type::Boolean)),
            ref ty => self.refuse(expr.at, format!("true or false is expected here, this is of type {ty}")),
        }
    }

    fn expr(&mut self, node: &Node) -> Checked {
        let at = node.at;
        match &node.kind {
            NodeKind::Null => Ok(constant(Type::Null, Value::Null, at)),
            NodeKind::Bool(yes) => Ok(constant(Type::Boolean, Value::Boolean(*yes), at)),
            NodeKind::Int(number) => Ok(constant(Type::Integer, Value::Integer(*number), at)),
            NodeKind::Number(text) => match crate::decimal::parse(text) {
                Ok(number) => {
                    // With a decimal, so that it is told from an integer: `/` differs.
                    let scale = number.fractional_digit_count().max(1);
                    Ok(constant(Type::Number, Value::Number(number.with_scale(scale)), at))
                }
                Err(_) => self.refuse(at, format!("`{text}` is not a number that a field could hold")),
            },
            NodeKind::Text(text) => Ok(constant(Type::Text, Value::String(text.clone()), at)),
            NodeKind::Bytes(bytes) => Ok(constant(Type::Bytes, Value::Bytes(bytes.clone()), at)),
            NodeKind::Name(name) => self.name(name, at),
            NodeKind::Select(operand, name) => self.select(operand, name, at),
            NodeKind::Index(operand, index) => self.index(operand, index, at),
            NodeKind::List(items) => self.list(items, at),
            NodeKind::Call { target, name, args } => self.call(target.as_deref(), name, args, at),
            NodeKind::Not(operand) => {
                let operand = self.condition(operand)?;
                Ok(Expr { ty: Type::Boolean, op: Op::Not(Box::new(operand)), at })
            }
            NodeKind::Negate(operand) => self.negate(operand, at),
            NodeKind::And(terms) => Ok(Expr { ty: Type::Boolean, op: Op::And(self.conditions(terms)?), at }),
            NodeKind::Or(terms) => Ok(Expr { ty: Type::Boolean, op: Op::Or(self.conditions(terms)?), at }),
            NodeKind::Binary(operator, left, right) => self.binary(*operator, left, right, at),
            NodeKind::Conditional(parts) => self.conditional(parts, at),
        }
    }

    fn conditions(&mut self, nodes: &[Node]) -> Result<Vec<Expr>, ExpressionError> {
        nodes.iter().map(|node| self.condition(node)).collect()
    }

    fn root(&self, node: &Node) -> Option<Root> {
        let NodeKind::Name(name) = &node.kind else { return None };
        let hidden = self.locals.iter().any(|(local, _)| local == name);
        if hidden { None } else { self.roots.iter().copied().find(|root| root.name() == name) }
    }

    fn name(&self, name: &str, at: usize) -> Checked {
        if let Some(local) = self.locals.iter().rposition(|(local, _)| local == name) {
            return Ok(Expr { ty: self.locals[local].1.clone(), op: Op::Local(local), at });
        }
        let roots: Vec<&str> = self.roots.iter().map(|root| root.name()).collect();
        if roots.contains(&name) {
            return self
                .refuse(at, format!("`{name}` alone is no value; name one of its fields, `{name}.…`"));
        }
        if self.fields.iter().any(|field| field.name.as_str() == name) {
            return self.refuse(at, format!("`{name}` is not known; the field is `{}.{name}`", roots[0]));
        }
        let locals = self.locals.iter().map(|(local, _)| local.as_str());
        let near = did_you_mean(name, roots.iter().copied().chain(locals));
        let all = if near.is_empty() { format!("; there is {}", roots.join(", ")) } else { near };
        self.refuse(at, format!("`{name}` is not known{all}"))
    }

    fn select(&mut self, operand: &Node, name: &str, at: usize) -> Checked {
        if let Some(root) = self.root(operand) {
            return root.member(name, self.fields, at).map_err(|why| self.error(at, why));
        }
        let operand = self.expr(operand)?;
        match operand.ty {
            Type::Json => Ok(Expr { ty: Type::Json, op: Op::Member(Box::new(operand), name.to_owned()), at }),
            ref ty => self.refuse(at, format!("a {ty} has no members; only json has")),
        }
    }

    fn index(&mut self, operand: &Node, index: &Node, at: usize) -> Checked {
        if let (Some(root), NodeKind::Text(name)) = (self.root(operand), &index.kind) {
            return root.member(name, self.fields, index.at).map_err(|why| self.error(index.at, why));
        }
        let operand = self.expr(operand)?;
        let index = self.expr(index)?;
        if matches!(index.op, Op::Const(Value::Integer(number)) if number < 0) {
            return self.refuse(index.at, "elements are counted from 0");
        }
        match (&operand.ty, &index.ty) {
            (Type::Json, Type::Text) => {
                let op = match index.op {
                    Op::Const(Value::String(key)) => Op::Member(Box::new(operand), key),
                    _ => Op::Index(Box::new(operand), Box::new(index)),
                };
                Ok(Expr { ty: Type::Json, op, at })
            }
            (Type::Json, Type::Integer) => {
                Ok(Expr { ty: Type::Json, op: Op::Index(Box::new(operand), Box::new(index)), at })
            }
            (Type::List(item), Type::Integer) => {
                Ok(Expr { ty: (**item).clone(), op: Op::Index(Box::new(operand), Box::new(index)), at })
            }
            (Type::List(_), ty) => {
                self.refuse(index.at, format!("an element's index is an integer, not of type {ty}"))
            }
            (ty, Type::Text | Type::Integer) => {
                self.refuse(at, format!("a {ty} has no elements; lists and json have"))
            }
            (_, ty) => self.refuse(index.at, format!("an index is an integer or a string, not of type {ty}")),
        }
    }

    fn conditional(&mut self, parts: &[Node; 3], at: usize) -> Checked {
        let [condition, then, otherwise] = parts;
        let condition = self.condition(condition)?;
        let (then, otherwise) = (self.expr(then)?, self.expr(otherwise)?);
        let (then, otherwise) = self.same_type(then, otherwise, at, "the branches of `? :`")?;
        let ty = then.ty.clone();
        Ok(Expr { ty, op: Op::Conditional(Box::new([condition, then, otherwise])), at })
    }

    /// The macro `range.kind(variable, …)`.
    fn looping(&mut self, kind: LoopKind, range: &Node, args: &[Node], at: usize) -> Checked {
        let (variable, guard, body) = match args {
            [variable, body] => (variable, None, body),
            [variable, guard, body] if kind == LoopKind::Map => (variable, Some(guard), body),
            _ => {
                return self
                    .refuse(at, "takes a variable and an expression, as in `x.all(item, item != '')`");
            }
        };
        let NodeKind::Name(variable_name) = &variable.kind else {
            return self.refuse(variable.at, "the first argument is the name of a variable");
        };
        let range = self.expr(range)?;
        let item = match &range.ty {
            Type::List(item) => (**item).clone(),
            Type::Json => Type::Json,
            ty => return self.refuse(range.at, format!("a {ty} cannot be walked; lists and json can")),
        };
        let local = self.locals.len();
        self.locals.push((variable_name.clone(), item.clone()));
        let guard = guard.map(|guard| self.condition(guard)).transpose()?;
        let body = if kind == LoopKind::Map { self.expr(body)? } else { self.condition(body)? };
        self.locals.pop();
        let ty = match kind {
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => Type::Boolean,
            LoopKind::Map => Type::List(Box::new(body.ty.clone())),
            LoopKind::Filter => Type::List(Box::new(item)),
        };
        let looping = super::ir::Loop { kind, local, range, guard, body };
        Ok(Expr { ty, op: Op::Loop(Box::new(looping)), at })
    }

    /// The values that the expression has, if it reads an enum or the request's operation, with what it is called.
    fn known_values(&self, expr: &Expr) -> Option<(&'a str, Vec<&'a str>)> {
        let index = match &expr.op {
            Op::Field { index, .. } => *index,
            Op::RequestOperation => {
                return Some(("request.operation", Operation::ALL.map(Operation::as_str).to_vec()));
            }
            _ => return None,
        };
        let field = self.fields.get(index)?;
        match &field.kind {
            FieldType::Enum { values } => {
                Some((field.name.as_str(), values.iter().map(String::as_str).collect()))
            }
            _ => None,
        }
    }
}

/// A literal.
fn constant(ty: Type, value: Value, at: usize) -> Expr {
    Expr { ty, op: Op::Const(value), at }
}

/// The expression as another type.
fn convert(expr: Expr, ty: Type) -> Expr {
    let at = expr.at;
    Expr { ty, op: Op::Convert(Box::new(expr)), at }
}
