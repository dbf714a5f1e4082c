//! Points in time. A stored one is compared as it is, so that an index helps; a computed one as its microseconds,
//! because adding an interval to a timestamp depends on the session's time zone as far as Postgres knows.

use velocity_schema::Value;
use velocity_schema::cel::ir::{Arithmetic, Expr, Op, Type};

use super::{Renderer, call, number};
use crate::fragment::Fragment;

impl Renderer<'_> {
    /// Two timestamps in the form in which they can be compared.
    pub(super) fn moments(&self, left: &Expr, right: &Expr) -> (Fragment, Fragment) {
        if left.is_stored_moment() && right.is_stored_moment() {
            (self.expr(left), self.expr(right))
        } else {
            (self.micros(left), self.micros(right))
        }
    }

    /// Sums and differences with a timestamp, as microseconds.
    pub(super) fn moment_arithmetic(&self, how: Arithmetic, left: &Expr, right: &Expr) -> Fragment {
        let operator = if how == Arithmetic::Add { " + " } else { " - " };
        call("(", self.micros(left), operator) + self.micros(right) + Fragment::sql(")")
    }

    /// A timestamp as microseconds since the Unix epoch, a duration as its microseconds.
    fn micros(&self, expr: &Expr) -> Fragment {
        match &expr.op {
            Op::Const(Value::Timestamp(micros)) => number(*micros),
            Op::Conditional(parts) => self.conditional(parts, &|branch| self.micros(branch)),
            Op::Arithmetic(..) => self.expr(expr),
            _ if expr.ty == Type::Duration => self.expr(expr),
            _ => call("(extract(epoch from (", self.expr(expr), " at time zone 'UTC')) * 1000000)"),
        }
    }
}
