//! From a checked CEL filter to a SQL condition with the same truth value: true, false or null for unknown.
//!
//! The SQL never fails on a row, and it is immutable where no actor is asked, so that it can be an index's predicate.
//! Whatever asks only about the actor becomes one `(select …)`, which Postgres evaluates once per query (an InitPlan)
//! and may look up in an index. Texts that are put in order use the "C" collation: code points, as CEL has it.

mod actor;
mod function;
mod moment;
mod operator;

use bigdecimal::BigDecimal;
use velocity_schema::cel::ir::{Comparison, Expr, Op, Type};
use velocity_schema::cel::{ActorView, Condition, Filter, RequestView};
use velocity_schema::{FieldName, Value};

use crate::fragment::Fragment;
use crate::sql_type::SqlType;

/// The filter as a boolean SQL expression in parentheses. `columns` gives a field's column.
///
/// Values are binds; for DDL, [`Fragment::inline`] makes them literals.
pub fn to_sql(filter: &Filter, columns: &dyn Fn(&FieldName) -> Fragment) -> Fragment {
    Renderer { columns, about: None, in_select: false }.expr(filter.expr())
}

/// A condition on requests as [`to_sql`] has it. What it says about the actor and the request is bound, as the API sees them:
/// the transaction's settings have only those roles that count for row-level security.
pub fn condition_to_sql(
    condition: &Condition,
    columns: &dyn Fn(&FieldName) -> Fragment,
    actor: ActorView<'_>,
    request: RequestView<'_>,
) -> Fragment {
    Renderer { columns, about: Some((actor, request)), in_select: false }.expr(condition.expr())
}

struct Renderer<'a> {
    columns: &'a dyn Fn(&FieldName) -> Fragment,
    /// Who asks, and the request. `None` in filters: the transaction's settings tell the actor, and nothing the request.
    about: Option<(ActorView<'a>, RequestView<'a>)>,
    /// Whether this is inside the `(select …)` of the actor already.
    in_select: bool,
}

/// A function or operator around fragments.
fn call(before: &'static str, inner: Fragment, after: &'static str) -> Fragment {
    Fragment::sql(before) + inner + Fragment::sql(after)
}

/// The type that values of the expression type have in SQL.
fn sql_type(ty: &Type) -> SqlType {
    match ty {
        Type::Null | Type::Text => SqlType::Text,
        Type::Boolean => SqlType::Bool,
        Type::Integer => SqlType::Int8,
        // A duration is its microseconds.
        Type::Number | Type::Duration => SqlType::Numeric,
        Type::Uuid => SqlType::Uuid,
        Type::Timestamp => SqlType::Timestamptz,
        Type::Date => SqlType::Date,
        Type::Time => SqlType::Time,
        Type::Bytes => SqlType::Bytea,
        Type::Json => SqlType::Jsonb,
        Type::List(item) => sql_type(item).array(),
    }
}

fn asks_actor(expr: &Expr) -> bool {
    expr.any(&|e| matches!(e.op, Op::ActorId | Op::ActorType | Op::ActorRoles | Op::ActorAttributes))
}

fn asks_record(expr: &Expr) -> bool {
    expr.any(&|e| matches!(e.op, Op::Field { .. }))
}

fn number(number: i64) -> Fragment {
    Fragment::bind(SqlType::Numeric, Value::Number(BigDecimal::from(number)))
}

impl Renderer<'_> {
    /// The expression: self-contained, of its type's SQL type. Json may be SQL null or JSON null; see [`Self::value`].
    fn expr(&self, expr: &Expr) -> Fragment {
        if self.about.is_none() && !self.in_select && asks_actor(expr) && !asks_record(expr) {
            let inner = Renderer { in_select: true, ..*self }.expr(expr);
            let cast = matches!(expr.ty, Type::List(_));
            let select = call("(select ", inner, ")");
            // Without the cast, `any((select …))` would be `any` over the rows of a query.
            return if cast {
                select + Fragment::sql("::") + Fragment::type_name(sql_type(&expr.ty))
            } else {
                select
            };
        }
        match &expr.op {
            Op::Const(value) => Fragment::bind(sql_type(&expr.ty), value.clone()),
            Op::Duration(micros) => number(*micros),
            Op::Field { name, .. } => (self.columns)(name),
            Op::ActorId | Op::ActorType | Op::ActorRoles | Op::ActorAttributes => self.actor(expr),
            Op::RequestTime | Op::RequestOperation | Op::RequestIp => self.request(expr),
            Op::Member(operand, key) => {
                (self.expr(operand) + Fragment::sql(" -> ") + Fragment::text(key.clone())).parenthesised()
            }
            Op::Index(operand, index) => self.index(operand, index),
            Op::List(items) => self.list(items, &expr.ty),
            Op::NullTest { operand, is_null } => {
                let test = if *is_null { " is null)" } else { " is not null)" };
                call("(", self.value(operand), test)
            }
            Op::Not(operand) => call("(not ", self.expr(operand), ")"),
            Op::And(terms) => self.chain(terms, " and "),
            Op::Or(terms) => self.chain(terms, " or "),
            Op::Conditional(parts) => self.conditional(parts, &|branch| self.expr(branch)),
            Op::Compare(comparison, left, right) => self.compare(*comparison, left, right),
            Op::In(needle, list) => self.membership(needle, list),
            Op::Arithmetic(arithmetic, left, right) => self.arithmetic(*arithmetic, left, right, &expr.ty),
            Op::Negate(operand) => call("(- ", self.expr(operand), ")"),
            Op::Convert(operand) => self.convert(operand, &expr.ty),
            Op::Call(function, args) => self.function(function, args),
            // No filter has these; null hides every row.
            Op::Local(_) | Op::Loop(_) => Fragment::sql("null"),
        }
    }

    fn actor(&self, expr: &Expr) -> Fragment {
        self.about.map_or_else(
            || actor::setting(&expr.op),
            |(actor, _)| Fragment::bind(sql_type(&expr.ty), actor::value(&expr.op, actor)),
        )
    }

    /// What the request says, as a bind.
    fn request(&self, expr: &Expr) -> Fragment {
        let value = self.about.and_then(|(_, request)| match expr.op {
            Op::RequestTime => Some(Value::Timestamp(request.time)),
            Op::RequestOperation => Some(Value::String(request.operation.to_owned())),
            _ => request.ip.map(|ip| Value::String(ip.to_owned())),
        });
        Fragment::bind(sql_type(&expr.ty), value.unwrap_or(Value::Null))
    }

    /// The expression as a value: JSON's null is null.
    fn value(&self, expr: &Expr) -> Fragment {
        let sql = self.expr(expr);
        if expr.ty == Type::Json { call("nullif(", sql, ", 'null'::jsonb)") } else { sql }
    }

    fn chain(&self, terms: &[Expr], operator: &'static str) -> Fragment {
        Fragment::join(terms.iter().map(|term| self.expr(term)), operator).parenthesised()
    }

    /// An unknown condition gives null, which a searched `case` would take for false.
    fn conditional(&self, parts: &[Expr; 3], branch: &dyn Fn(&Expr) -> Fragment) -> Fragment {
        let [condition, then, otherwise] = parts;
        call("(case ", self.expr(condition), " when true then ")
            + branch(then)
            + call(" when false then ", branch(otherwise), " end)")
    }

    fn list(&self, items: &[Expr], ty: &Type) -> Fragment {
        let list_type = sql_type(ty);
        let constants: Option<Vec<Value>> = items
            .iter()
            .map(|item| match &item.op {
                Op::Const(value) => Some(value.clone()),
                _ => None,
            })
            .collect();
        if let Some(values) = constants {
            return Fragment::bind(list_type, Value::Array(values));
        }
        let items = Fragment::join(items.iter().map(|item| self.value(item)), ", ");
        call("array[", items, "]::") + Fragment::type_name(list_type)
    }

    fn index(&self, operand: &Expr, index: &Expr) -> Fragment {
        let at = match index.op {
            // Beyond the range of an index there is no element, as there is none at its end.
            Op::Const(Value::Integer(at)) => u64::try_from(at).unwrap_or(0).min(0x7fff_fffe),
            _ => return Fragment::sql("null"),
        };
        match operand.ty {
            // `-> 0` takes a scalar for an array of one; a path in strict mode does not.
            Type::Json => {
                call("jsonb_path_query_first(", self.expr(operand), ", 'strict $[")
                    + call("", Fragment::number(at), "]', '{}', true)")
            }
            // Arrays count from 1.
            _ => call("(", self.expr(operand), ")") + call("[", Fragment::number(at + 1), "]"),
        }
    }

    fn convert(&self, operand: &Expr, to: &Type) -> Fragment {
        let utc = || call("((", self.expr(operand), " at time zone 'UTC')::");
        match (&operand.ty, to) {
            (Type::Json, _) => self.json_as(operand, to),
            (Type::Text, Type::Uuid) => actor::uuid(self.expr(operand)),
            (Type::Timestamp, Type::Date) => utc() + Fragment::sql("date)"),
            (Type::Timestamp, Type::Time) => utc() + Fragment::sql("time)"),
            _ => call("(", self.expr(operand), ")::") + Fragment::type_name(sql_type(to)),
        }
    }

    /// A part of a document as a type: null where it is of another. The type is looked at first, so no cast fails.
    fn json_as(&self, operand: &Expr, to: &Type) -> Fragment {
        let typed = |name, value| {
            call("(case when jsonb_typeof(", self.expr(operand), name) + call("", self.expr(operand), value)
        };
        match to {
            Type::Text => typed(") = 'string' then ", " #>> '{}' end)"),
            Type::Number => {
                call("(case when jsonb_typeof(", self.expr(operand), ") = 'number' then (")
                    + call("", self.expr(operand), " #>> '{}')::numeric end)")
            }
            Type::Boolean => typed(") = 'boolean' then ", " = 'true'::jsonb end)"),
            _ => Fragment::sql("null"),
        }
    }

    fn compare(&self, how: Comparison, left: &Expr, right: &Expr) -> Fragment {
        let ordered = !matches!(how, Comparison::Equal | Comparison::NotEqual);
        let operator = match how {
            Comparison::Equal => " = ",
            Comparison::NotEqual => " <> ",
            Comparison::Less => " < ",
            Comparison::LessOrEqual => " <= ",
            Comparison::Greater => " > ",
            Comparison::GreaterOrEqual => " >= ",
        };
        let (left_sql, right_sql) = if left.ty == Type::Timestamp {
            self.moments(left, right)
        } else {
            (self.value(left), self.value(right))
        };
        let collation = if ordered && left.ty == Type::Text { " collate \"C\"" } else { "" };
        call("(", left_sql, collation) + call(operator, right_sql, ")")
    }
}

#[cfg(test)]
mod tests;
