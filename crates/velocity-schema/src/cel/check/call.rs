//! Functions and macros.

use super::scope::Root;
use super::{Checked, Checker, constant, convert};
use crate::cel::duration;
use crate::cel::ir::{Expr, Function, LoopKind, Op, Part, Type};
use crate::cel::pattern::Pattern;
use crate::cel::syntax::Node;
use crate::value::Value;
use crate::violation::did_you_mean;

/// Every function, for "did you mean".
const NAMES: [&str; 35] = [
    "has",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
    "size",
    "startsWith",
    "endsWith",
    "contains",
    "matches",
    "lowerAscii",
    "upperAscii",
    "trim",
    "timestamp",
    "duration",
    "date",
    "time",
    "string",
    "int",
    "double",
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
    "existsOne",
    "bool",
    "dyn",
    "uuid",
];

impl Checker<'_> {
    pub(super) fn call(&mut self, target: Option<&Node>, name: &str, args: &[Node], at: usize) -> Checked {
        match (target, name) {
            (None, "has") => self.has(args, at),
            (Some(range), _) if loop_kind(name).is_some() => {
                let Some(kind) = loop_kind(name) else { return self.unknown(name, at) };
                self.looping(kind, range, args, at)
            }
            (None, "timestamp" | "duration" | "date" | "time" | "string" | "int" | "double" | "uuid") => {
                let arg = self.one(name, args, at)?;
                self.conversion(name, arg, at)
            }
            (None, "size") => {
                let operand = self.one(name, args, at)?;
                self.size(operand, at)
            }
            (Some(target), _) => {
                let target = self.expr(target)?;
                let args = args.iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>, _>>()?;
                self.method(target, name, args, at)
            }
            (None, _) => self.unknown(name, at),
        }
    }

    fn unknown(&self, name: &str, at: usize) -> Checked {
        let hint = match name {
            "now" if self.roots.contains(&Root::Request) => "; the time is `request.time`".to_owned(),
            "now" => "; an expression has no clock".to_owned(),
            "bool" | "dyn" | "type" | "uint" | "bytes" => "; values have the types of the schema".to_owned(),
            _ if NAMES.contains(&name) => format!("; it is written `x.{name}(…)`"),
            _ => did_you_mean(name, NAMES),
        };
        self.refuse(at, format!("there is no function `{name}`{hint}"))
    }

    fn one(&mut self, name: &str, args: &[Node], at: usize) -> Checked {
        match args {
            [arg] => self.expr(arg),
            _ => self.refuse(at, format!("`{name}` takes one argument")),
        }
    }

    fn has(&mut self, args: &[Node], at: usize) -> Checked {
        let operand = self.one("has", args, at)?;
        let asked_for = matches!(
            operand.op,
            Op::Field { .. } | Op::Member(..) | Op::Index(..) | Op::ActorAttributes | Op::RequestIp
        );
        if !asked_for {
            return self.refuse(operand.at, "`has` takes a field or a part of json, as in `has(self.x)`");
        }
        let op = Op::NullTest { operand: Box::new(operand), is_null: false };
        Ok(Expr { ty: Type::Boolean, op, at })
    }

    fn size(&self, operand: Expr, at: usize) -> Checked {
        match &operand.ty {
            Type::Text | Type::Bytes | Type::List(_) | Type::Json => {
                Ok(Expr { ty: Type::Integer, op: Op::Call(Function::Size, vec![operand]), at })
            }
            ty => self.refuse(at, format!("a {ty} has no size")),
        }
    }

    fn conversion(&self, name: &str, arg: Expr, at: usize) -> Checked {
        let to = match name {
            "timestamp" => Type::Timestamp,
            "duration" => Type::Duration,
            "date" => Type::Date,
            "time" => Type::Time,
            "string" => Type::Text,
            "int" => Type::Integer,
            "uuid" => Type::Uuid,
            _ => Type::Number,
        };
        if arg.ty == to {
            return Ok(arg);
        }
        if let (Op::Const(Value::String(text)), Type::Timestamp | Type::Date | Type::Time | Type::Uuid) =
            (&arg.op, &to)
        {
            return self.literal(text, &to, arg.at);
        }
        if let (Op::Const(Value::String(text)), Type::Duration) = (&arg.op, &to) {
            return match duration::parse(text) {
                Some(micros) => Ok(Expr { ty: to, op: Op::Duration(micros), at }),
                None => self.refuse(arg.at, "a duration is written as '1h30m', '45s' or '250ms'"),
            };
        }
        if let (Op::Const(Value::Integer(number)), Type::Number) = (&arg.op, &to) {
            return Ok(constant(to, Value::Number((*number).into()), at));
        }
        let possible = matches!(
            (&arg.ty, &to),
            (
                Type::Integer
                    | Type::Number
                    | Type::Boolean
                    | Type::Uuid
                    | Type::Timestamp
                    | Type::Date
                    | Type::Time,
                Type::Text,
            ) | (Type::Number | Type::Text | Type::Json, Type::Integer)
                | (Type::Integer | Type::Text, Type::Number)
                | (Type::Json, Type::Text | Type::Number)
                | (
                    Type::Text | Type::Json,
                    Type::Timestamp | Type::Date | Type::Time | Type::Duration | Type::Uuid,
                )
                | (Type::Timestamp, Type::Date | Type::Time)
        );
        if !possible {
            return self.refuse(at, format!("`{name}` does not take a value of type {}", arg.ty));
        }
        // What json is converted to other than text and number is first taken for a text, an integer for a number.
        let arg = match (&arg.ty, &to) {
            (Type::Json, Type::Integer) => convert(arg, Type::Number),
            (Type::Json, Type::Text | Type::Number) => arg,
            (Type::Json, _) => convert(arg, Type::Text),
            _ => arg,
        };
        let arg = Expr { at, ..convert(arg, to) };
        Ok(arg)
    }

    fn method(&self, target: Expr, name: &str, args: Vec<Expr>, at: usize) -> Checked {
        let text =
            |function: Function, ty: Type, args: Vec<Expr>| Ok(Expr { ty, op: Op::Call(function, args), at });
        match (name, args.len()) {
            ("size", 0) => self.size(target, at),
            ("startsWith" | "endsWith" | "contains", 1) => {
                let function = match name {
                    "startsWith" => Function::StartsWith,
                    "endsWith" => Function::EndsWith,
                    _ => Function::Contains,
                };
                let mut both = vec![self.text_argument(target)?];
                for arg in args {
                    both.push(self.text_argument(arg)?);
                }
                text(function, Type::Boolean, both)
            }
            ("matches", 1) => {
                let pattern = self.pattern(&args[0])?;
                text(Function::Matches(Box::new(pattern)), Type::Boolean, vec![self.text_argument(target)?])
            }
            ("lowerAscii", 0) => text(Function::LowerAscii, Type::Text, vec![self.text_argument(target)?]),
            ("upperAscii", 0) => text(Function::UpperAscii, Type::Text, vec![self.text_argument(target)?]),
            ("trim", 0) => text(Function::Trim, Type::Text, vec![self.text_argument(target)?]),
            (getter, 0) if part(getter).is_some() => self.getter(target, getter, at),
            (getter, 1) if part(getter).is_some() => {
                self.refuse(at, format!("`{name}` takes no time zone; it counts in UTC"))
            }
            _ if NAMES.contains(&name) && part(name).is_none() && loop_kind(name).is_none() => {
                self.refuse(at, format!("`{name}` is not written so; see the reference of expressions"))
            }
            _ => self.unknown(name, at),
        }
    }

    fn text_argument(&self, expr: Expr) -> Checked {
        match expr.ty {
            Type::Text => Ok(expr),
            Type::Json => self.adapted(expr, &Type::Text),
            ref ty => self.refuse(expr.at, format!("a string is expected here, this is of type {ty}")),
        }
    }

    /// The pattern of `matches`, compiled now: while a rule runs, nothing compiles.
    fn pattern(&self, expr: &Expr) -> Result<Pattern, crate::cel::ExpressionError> {
        let Op::Const(Value::String(text)) = &expr.op else {
            return self.refuse(expr.at, "the pattern of `matches` is a literal");
        };
        Pattern::parse(text).map_err(|why| self.error(expr.at, format!("the pattern {why}")))
    }

    fn getter(&self, target: Expr, name: &str, at: usize) -> Checked {
        let Some(part) = part(name) else { return self.unknown(name, at) };
        let clock = matches!(part, Part::Hour | Part::Minute | Part::Second | Part::Millisecond);
        let function = match &target.ty {
            Type::Timestamp => Function::Part(part),
            Type::Date if !clock => Function::Part(part),
            Type::Time if clock => Function::Part(part),
            Type::Duration if clock => Function::Whole(part),
            ty => return self.refuse(at, format!("a {ty} has no `{name}`")),
        };
        Ok(Expr { ty: Type::Integer, op: Op::Call(function, vec![target]), at })
    }
}

fn loop_kind(name: &str) -> Option<LoopKind> {
    Some(match name {
        "all" => LoopKind::All,
        "exists" => LoopKind::Exists,
        "exists_one" | "existsOne" => LoopKind::ExistsOne,
        "map" => LoopKind::Map,
        "filter" => LoopKind::Filter,
        _ => return None,
    })
}

fn part(name: &str) -> Option<Part> {
    Some(match name {
        "getFullYear" => Part::Year,
        "getMonth" => Part::Month,
        "getDate" => Part::DayOfMonth,
        "getDayOfMonth" => Part::DayOfMonthFromZero,
        "getDayOfWeek" => Part::DayOfWeek,
        "getDayOfYear" => Part::DayOfYear,
        "getHours" => Part::Hour,
        "getMinutes" => Part::Minute,
        "getSeconds" => Part::Second,
        "getMilliseconds" => Part::Millisecond,
        _ => return None,
    })
}
