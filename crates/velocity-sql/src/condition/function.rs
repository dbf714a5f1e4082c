//! Functions.

use velocity_schema::cel::ir::{Expr, Function, Part, Type};

use super::{Renderer, call};
use crate::fragment::Fragment;

impl Renderer<'_> {
    pub(super) fn function(&self, function: &Function, args: &[Expr]) -> Fragment {
        let [first, rest @ ..] = args else { return Fragment::sql("null") };
        let text = self.expr(first);
        let second = || rest.first().map_or_else(|| Fragment::sql("null"), |arg| self.expr(arg));
        match function {
            Function::Size => match first.ty {
                Type::Text => call("char_length(", text, ")::bigint"),
                Type::Bytes => call("octet_length(", text, ")::bigint"),
                _ => call("cardinality(", text, ")::bigint"),
            },
            Function::StartsWith => call("starts_with(", text, ", ") + call("", second(), ")"),
            Function::EndsWith => {
                call("starts_with(reverse(", text, "), reverse(") + call("", second(), "))")
            }
            Function::Contains => call("(strpos(", text, ", ") + call("", second(), ") > 0)"),
            // Not lower() in the "C" collation, which would stick to the result and could meet another one.
            Function::LowerAscii => {
                call("translate(", text, ", 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')")
            }
            Function::UpperAscii => {
                call("translate(", text, ", 'abcdefghijklmnopqrstuvwxyz', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ')")
            }
            Function::Part(part) => part_of(
                *part,
                if first.ty == Type::Timestamp { call("(", text, " at time zone 'UTC')") } else { text },
            ),
            // No filter has these; null hides every row.
            Function::Matches(_) | Function::Trim | Function::Whole(_) => Fragment::sql("null"),
        }
    }
}

fn part_of(part: Part, moment: Fragment) -> Fragment {
    let (before, after) = match part {
        Part::Year => ("extract(year from ", ")::bigint"),
        Part::Month => ("(extract(month from ", ")::bigint - 1)"),
        Part::DayOfMonth => ("extract(day from ", ")::bigint"),
        Part::DayOfMonthFromZero => ("(extract(day from ", ")::bigint - 1)"),
        Part::DayOfWeek => ("extract(dow from ", ")::bigint"),
        Part::DayOfYear => ("(extract(doy from ", ")::bigint - 1)"),
        Part::Hour => ("extract(hour from ", ")::bigint"),
        Part::Minute => ("extract(minute from ", ")::bigint"),
        Part::Second => ("floor(extract(second from ", "))::bigint"),
        Part::Millisecond => ("(floor(extract(milliseconds from ", "))::bigint % 1000)"),
    };
    call(before, moment, after)
}
