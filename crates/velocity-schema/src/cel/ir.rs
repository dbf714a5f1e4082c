//! The checked expression: every node has a type, every conversion is written out.
//!
//! What evaluates and what renders SQL both work on this and on nothing else, so they cannot disagree about what an
//! expression means, only about how to do it; a property test compares them.

use std::fmt;

use super::pattern::Pattern;
use crate::name::FieldName;
use crate::value::Value;

/// The type of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// Only of the literal `null` and of the elements of `[]`.
    Null,
    /// True, false, or unknown.
    Boolean,
    /// 64 bits.
    Integer,
    /// An exact decimal.
    Number,
    /// string and enum.
    Text,
    /// A UUID.
    Uuid,
    /// An instant, to the microsecond.
    Timestamp,
    /// A length of time, to the microsecond.
    Duration,
    /// A day.
    Date,
    /// A time of day.
    Time,
    /// bytes.
    Bytes,
    /// A part of a JSON document: its type is known when it is evaluated.
    Json,
    /// A list.
    List(Box<Type>),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Text => "string",
            Self::Uuid => "uuid",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Date => "date",
            Self::Time => "time",
            Self::Bytes => "bytes",
            Self::Json => "json",
            Self::List(item) => return write!(f, "list of {item}"),
        })
    }
}

/// A checked expression.
#[derive(Debug, Clone)]
pub struct Expr {
    /// Its type. Any expression may also be null.
    pub ty: Type,
    /// What it is.
    pub op: Op,
    /// Where it starts in the source, in bytes.
    pub at: usize,
}

/// Which record a field is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// `self` or `record`.
    Current,
    /// `oldSelf`.
    Old,
}

/// What a checked expression is.
#[derive(Debug, Clone)]
pub enum Op {
    /// A value. Its variant is the one of the node's type, or null.
    Const(Value),
    /// A length of time in microseconds.
    Duration(i64),
    /// A field.
    Field {
        /// Of which record.
        record: Record,
        /// Its position in the schema's fields.
        index: usize,
        /// Its name.
        name: FieldName,
    },
    /// `actor.id`, a string.
    ActorId,
    /// `actor.type`, a string.
    ActorType,
    /// `actor.roles`, a list of strings.
    ActorRoles,
    /// `actor.attributes`, json.
    ActorAttributes,
    /// `request.time`, a timestamp.
    RequestTime,
    /// `request.operation`, a string.
    RequestOperation,
    /// `request.ip`, a string; null where the address is not known.
    RequestIp,
    /// The variable of an enclosing macro, counted from the outermost.
    Local(usize),
    /// A member of a json object; null where there is none.
    Member(Box<Expr>, String),
    /// An element of a list or of a json array, or a member of a json object by a computed key.
    Index(Box<Expr>, Box<Expr>),
    /// A list of expressions of one type.
    List(Vec<Expr>),
    /// Whether there is no value (`is_null`), or whether there is one. Never unknown.
    NullTest {
        /// What is looked at.
        operand: Box<Expr>,
        /// Whether null gives true.
        is_null: bool,
    },
    /// `!x`.
    Not(Box<Expr>),
    /// `a && b && …`.
    And(Vec<Expr>),
    /// `a || b || …`.
    Or(Vec<Expr>),
    /// condition, then, else: all of the node's type but the condition.
    Conditional(Box<[Expr; 3]>),
    /// Both sides have the same type.
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// Whether the first is an element of the second: a list of its type, or json.
    In(Box<Expr>, Box<Expr>),
    /// Arithmetic and concatenation.
    Arithmetic(Arithmetic, Box<Expr>, Box<Expr>),
    /// `-x`.
    Negate(Box<Expr>),
    /// The operand as the node's type.
    Convert(Box<Expr>),
    /// A function of the library.
    Call(Function, Vec<Expr>),
    /// `all`, `exists`, `exists_one`, `map` and `filter`.
    Loop(Box<Loop>),
}

/// A macro over a list or a json document.
#[derive(Debug, Clone)]
pub struct Loop {
    /// Which.
    pub kind: LoopKind,
    /// The number of the variable.
    pub local: usize,
    /// What is walked.
    pub range: Expr,
    /// Only elements for which it is true take part (`map` with three arguments).
    pub guard: Option<Expr>,
    /// What is evaluated for each element.
    pub body: Expr,
}

/// Which macro a loop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are CEL's own")]
pub enum LoopKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Arithmetic on two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// Integers, numbers, durations, a timestamp and a duration; texts and lists are joined.
    Add,
    /// Integers, numbers, durations, two timestamps, two dates, a timestamp and a duration.
    Subtract,
    /// Integers, numbers.
    Multiply,
    /// Integers: the quotient without its fraction, towards zero. Numbers that are whole likewise.
    DivideWhole,
    /// Numbers: 34 digits, half to even.
    Divide,
    /// Integers, and numbers that are whole: the rest of [`Self::DivideWhole`], with the sign of the dividend.
    Remainder,
}

/// A function.
#[derive(Debug, Clone)]
pub enum Function {
    /// Characters of a text, bytes of bytes, elements of a list, elements or members of json.
    Size,
    /// Whether the first text starts with the second.
    StartsWith,
    /// Whether the first text ends with the second.
    EndsWith,
    /// Whether the second text is found in the first.
    Contains,
    /// Whether the pattern is found in the text.
    Matches(Box<Pattern>),
    /// A to Z become a to z.
    LowerAscii,
    /// a to z become A to Z.
    UpperAscii,
    /// Without white space at both ends.
    Trim,
    /// A part of a timestamp (in UTC), a date or a time.
    Part(Part),
    /// A whole duration in a unit, cut towards zero.
    Whole(Part),
}

/// A part of a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The year.
    Year,
    /// From 0.
    Month,
    /// From 1.
    DayOfMonth,
    /// From 0.
    DayOfMonthFromZero,
    /// Sunday is 0.
    DayOfWeek,
    /// From 0.
    DayOfYear,
    /// 0 to 23.
    Hour,
    /// 0 to 59.
    Minute,
    /// 0 to 59.
    Second,
    /// 0 to 999.
    Millisecond,
}

impl Expr {
    /// Whether it is a literal.
    pub fn is_const(&self) -> bool {
        matches!(self.op, Op::Const(_) | Op::Duration(_))
    }

    /// Whether it is a point in time as it is stored or written, not one that is computed.
    pub fn is_stored_moment(&self) -> bool {
        match &self.op {
            Op::Arithmetic(..) => false,
            Op::Conditional(parts) => parts[1].is_stored_moment() && parts[2].is_stored_moment(),
            _ => true,
        }
    }

    /// The nodes right below.
    pub fn children(&self) -> Vec<&Self> {
        match &self.op {
            Op::Const(_)
            | Op::Duration(_)
            | Op::Field { .. }
            | Op::ActorId
            | Op::ActorType
            | Op::ActorRoles
            | Op::ActorAttributes
            | Op::RequestTime
            | Op::RequestOperation
            | Op::RequestIp
            | Op::Local(_) => Vec::new(),
            Op::Member(inner, _)
            | Op::NullTest { operand: inner, .. }
            | Op::Not(inner)
            | Op::Negate(inner)
            | Op::Convert(inner) => vec![inner],
            Op::Index(left, right)
            | Op::Compare(_, left, right)
            | Op::In(left, right)
            | Op::Arithmetic(_, left, right) => vec![left, right],
            Op::List(items) | Op::And(items) | Op::Or(items) | Op::Call(_, items) => items.iter().collect(),
            Op::Conditional(parts) => parts.iter().collect(),
            Op::Loop(looping) => {
                let mut all = vec![&looping.range];
                all.extend(looping.guard.as_ref());
                all.push(&looping.body);
                all
            }
        }
    }

    /// Whether any node satisfies the predicate.
    pub fn any(&self, predicate: &dyn Fn(&Self) -> bool) -> bool {
        predicate(self) || self.children().into_iter().any(|child| child.any(predicate))
    }
}
