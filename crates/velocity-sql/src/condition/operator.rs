//! Arithmetic and membership.

use velocity_schema::cel::ir::{Arithmetic, Expr, Op, Type};

use super::{Renderer, asks_actor, call, number, sql_type};
use crate::fragment::Fragment;
use crate::sql_type::SqlType;
use velocity_schema::Value;

/// Microseconds of a day.
const DAY_MICROS: i64 = 86_400_000_000;

impl Renderer<'_> {
    pub(super) fn arithmetic(&self, how: Arithmetic, left: &Expr, right: &Expr, ty: &Type) -> Fragment {
        if left.ty == Type::Date {
            let days = call("(", self.expr(left), " - ") + call("", self.expr(right), ")::numeric");
            return call("(", days, " * ") + number(DAY_MICROS) + Fragment::sql(")");
        }
        if left.ty == Type::Timestamp || right.ty == Type::Timestamp {
            return self.moment_arithmetic(how, left, right);
        }
        let (left, right) = (self.expr(left), self.expr(right));
        match how {
            Arithmetic::Add if *ty == Type::Text => call("(", left, " || ") + right + Fragment::sql(")"),
            Arithmetic::Add => call("(", left, " + ") + right + Fragment::sql(")"),
            Arithmetic::Subtract => call("(", left, " - ") + right + Fragment::sql(")"),
            Arithmetic::Multiply => call("(", left, " * ") + right + Fragment::sql(")"),
            Arithmetic::DivideWhole => call("div(", left, ", ") + call("nullif(", right, ", 0))"),
            // No filter divides decimals; null hides every row.
            Arithmetic::Divide => Fragment::sql("null"),
            Arithmetic::Remainder => call("(", left, " % ") + call("nullif(", right, ", 0))"),
        }
    }

    pub(super) fn membership(&self, needle: &Expr, list: &Expr) -> Fragment {
        if list.ty == Type::Json {
            return if asks_actor(list) {
                self.in_attribute(needle, list)
            } else {
                self.in_document(needle, list)
            };
        }
        if let (Op::Const(value), Op::Field { .. }) = (&needle.op, &list.op) {
            // Containment can use a GIN index.
            let one = Fragment::bind(sql_type(&list.ty), Value::Array(vec![value.clone()]));
            return call("(", self.expr(list), " @> ") + one + Fragment::sql(")");
        }
        call("(", self.value(needle), " = any(") + call("", self.expr(list), "))")
    }

    /// In an array of the actor's attributes, which becomes an array of the needle's type; elements of others are left
    /// out.
    fn in_attribute(&self, needle: &Expr, list: &Expr) -> Fragment {
        let inside = Renderer { in_select: true, ..*self };
        let array = call("case when jsonb_typeof(", inside.expr(list), ") = 'array' then array(select ");
        let (item, filter, cast) = if needle.ty == Type::Number {
            (
                "(e #>> '{}')::numeric from jsonb_array_elements(",
                ") e where jsonb_typeof(e) = 'number') end",
                SqlType::NumericArray,
            )
        } else {
            (
                "e #>> '{}' from jsonb_array_elements(",
                ") e where jsonb_typeof(e) = 'string') end",
                SqlType::TextArray,
            )
        };
        let select = call("(select ", array + call(item, inside.expr(list), filter), ")::");
        let array = select + Fragment::type_name(cast);
        call("(", self.expr(needle), " = any(") + array + Fragment::sql("))")
    }

    /// In an array of a document.
    fn in_document(&self, needle: &Expr, list: &Expr) -> Fragment {
        let guard = call("(case when jsonb_typeof(", self.expr(list), ") = 'array' then ");
        let test = match &needle.op {
            _ if needle.ty == Type::Text => self.expr(list) + Fragment::sql(" ? ") + self.expr(needle),
            Op::Const(value) => {
                let mut json = String::new();
                Value::Array(vec![value.clone()]).write_json(&mut json);
                self.expr(list) + Fragment::sql(" @> ") + Fragment::bind(SqlType::Jsonb, Value::Json(json))
            }
            _ => Fragment::sql("null"),
        };
        guard + test + Fragment::sql(" end)")
    }
}
