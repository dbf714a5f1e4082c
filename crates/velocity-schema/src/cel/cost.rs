//! The worst that an expression can cost, from the declared bounds of the fields.
//!
//! Charged with the evaluator's own prices, so an expression that is accepted does not run out of its budget on a
//! record within the declared bounds. What declares none counts with the defaults below; a record beyond them is
//! stopped while it runs.

use super::eval::budget::{BYTES_MAX, DIVIDING, STEPS_MAX, multiplying, reading, scan};
use super::ir::{Arithmetic, Expr, Function, Loop, LoopKind, Op, Type};
use crate::field::{Field, FieldType};
use crate::value::Value;

/// Bytes of a string without `maxLength`, and of a json document.
pub const UNBOUNDED_BYTES: u64 = 4 * 1024;
/// Elements of an array without `maxItems`, and of a json document.
pub const UNBOUNDED_ITEMS: u64 = 1_000;
/// Digits of a number that a json document holds.
const JSON_DIGITS: u64 = 100;
/// Bytes of the actor's attributes; more are not let in.
const ATTRIBUTES_BYTES: u64 = 8 * 1024;
/// Roles of an actor; more are not let in.
const ROLES: u64 = 256;
/// Bytes of a role's name, and of an actor's.
const NAME_BYTES: u64 = 256;
/// Bytes of an operation's name, and of an address.
const REQUEST_BYTES: u64 = 64;
/// Bytes of an element of a list that is made.
const ELEMENT_BYTES: u64 = 48;

/// What an expression costs at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Steps: nodes evaluated, and 64 bytes looked at each.
    pub steps: u64,
    /// Bytes produced.
    pub bytes: u64,
}

impl Cost {
    /// Whether it is within what an evaluation may spend.
    pub(super) fn is_affordable(self) -> bool {
        self.steps <= STEPS_MAX && self.bytes <= BYTES_MAX
    }

    fn and(self, other: Self) -> Self {
        Self { steps: self.steps.saturating_add(other.steps), bytes: self.bytes.saturating_add(other.bytes) }
    }

    fn times(self, count: u64) -> Self {
        Self { steps: self.steps.saturating_mul(count), bytes: self.bytes.saturating_mul(count) }
    }

    fn steps(steps: u64) -> Self {
        Self { steps, bytes: 0 }
    }

    fn produce(bytes: u64) -> Self {
        Self { steps: scan(bytes), bytes }
    }
}

/// How large a value can be: bytes of a text or a document, digits of a number, elements of a list.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    bytes: u64,
    items: u64,
    item_bytes: u64,
}

/// Estimates an expression over these fields.
pub(super) fn estimate(expr: &Expr, fields: &[Field]) -> Cost {
    Estimator { fields, locals: Vec::new() }.node(expr).0
}

/// The most digits that the number has.
pub(super) fn digits(expr: &Expr, fields: &[Field]) -> u64 {
    Estimator { fields, locals: Vec::new() }.node(expr).1.bytes
}

struct Estimator<'a> {
    fields: &'a [Field],
    locals: Vec<Size>,
}

impl Estimator<'_> {
    fn all<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr>) -> (Cost, Vec<Size>) {
        let mut total = Cost::default();
        let mut sizes = Vec::new();
        for expr in exprs {
            let (cost, size) = self.node(expr);
            total = total.and(cost);
            sizes.push(size);
        }
        (total, sizes)
    }

    fn node(&mut self, expr: &Expr) -> (Cost, Size) {
        let (below, size) = match &expr.op {
            Op::Loop(looping) => self.looping(looping),
            op => {
                let (cost, sizes) = self.all(expr.children());
                let (own, size) = self.own(expr, op, &sizes);
                (cost.and(own), size)
            }
        };
        (below.and(Cost::steps(1)), size)
    }

    /// What a node costs beside its children, and how large its value is.
    fn own(&self, expr: &Expr, op: &Op, sizes: &[Size]) -> (Cost, Size) {
        let first = sizes.first().copied().unwrap_or_default();
        let second = sizes.get(1).copied().unwrap_or_default();
        let free = |size| (Cost::default(), size);
        match op {
            Op::Const(value) => free(size_of_value(value)),
            Op::Field { index, .. } => {
                free(self.fields.get(*index).map_or_else(Size::default, size_of_field))
            }
            Op::Local(local) => free(self.locals.get(*local).copied().unwrap_or_default()),
            Op::ActorId | Op::ActorType => free(Size { bytes: NAME_BYTES, ..Size::default() }),
            Op::RequestOperation | Op::RequestIp => free(Size { bytes: REQUEST_BYTES, ..Size::default() }),
            Op::ActorRoles => free(Size { bytes: 0, items: ROLES, item_bytes: NAME_BYTES }),
            Op::ActorAttributes => free(json(ATTRIBUTES_BYTES)),
            Op::Member(..) => (Cost::steps(scan(first.bytes)), first),
            Op::Index(..) if expr.ty == Type::Json => (Cost::steps(scan(first.bytes)), first),
            Op::Index(..) => free(Size { bytes: first.item_bytes, ..Size::default() }),
            Op::List(items) => {
                let count = items.len() as u64;
                let item_bytes = sizes.iter().map(|size| size.bytes).max().unwrap_or(0);
                (
                    Cost::produce(ELEMENT_BYTES.saturating_mul(count)),
                    Size { bytes: 0, items: count, item_bytes },
                )
            }
            Op::Conditional(_) => free(larger(second, sizes.get(2).copied().unwrap_or_default())),
            // Every level of two documents is walked once more; eight levels are assumed.
            Op::Compare(_, left, _) if left.ty == Type::Json => {
                (Cost::steps(scan(first.bytes.saturating_add(second.bytes)) * 8), Size::default())
            }
            Op::Compare(_, left, _) => (Cost::steps(comparing(&left.ty, first, second)), Size::default()),
            Op::In(needle, list) => (Cost::steps(searching(needle, list, first, second)), Size::default()),
            Op::Arithmetic(arithmetic, ..) => computing(*arithmetic, &expr.ty, first, second),
            Op::Convert(from) => converting(&from.ty, &expr.ty, first),
            Op::Call(function, _) => calling(function, first, second),
            Op::Negate(_) => free(first),
            Op::Duration(_)
            | Op::RequestTime
            | Op::NullTest { .. }
            | Op::Not(_)
            | Op::And(_)
            | Op::Or(_)
            | Op::Loop(_) => free(Size::default()),
        }
    }

    fn looping(&mut self, looping: &Loop) -> (Cost, Size) {
        let (range_cost, range) = self.node(&looping.range);
        let is_json = looping.range.ty == Type::Json;
        // The elements of a document share its bytes, those of a list have theirs each.
        let item = if is_json {
            json(range.bytes / range.items.max(1))
        } else {
            Size { bytes: range.item_bytes, ..Size::default() }
        };
        self.locals.truncate(looping.local);
        self.locals.push(item);
        let guard = looping.guard.as_ref().map_or_else(Cost::default, |guard| self.node(guard).0);
        let (body, made) = self.node(&looping.body);
        self.locals.truncate(looping.local);
        let keeps = matches!(looping.kind, LoopKind::Map | LoopKind::Filter);
        let kept = if keeps { Cost::produce(ELEMENT_BYTES) } else { Cost::default() };
        let each = guard.and(body).and(kept).and(Cost::steps(1));
        let walked = Cost::steps(1 + if is_json { scan(range.bytes) } else { 0 });
        let item_bytes = if looping.kind == LoopKind::Map { made.bytes } else { item.bytes };
        let size = Size { bytes: 0, items: range.items, item_bytes };
        (range_cost.and(walked).and(each.times(range.items)), size)
    }
}

fn json(bytes: u64) -> Size {
    Size { bytes, items: UNBOUNDED_ITEMS.min(bytes / 2), item_bytes: bytes }
}

fn larger(a: Size, b: Size) -> Size {
    Size {
        bytes: a.bytes.max(b.bytes),
        items: a.items.max(b.items),
        item_bytes: a.item_bytes.max(b.item_bytes),
    }
}

fn size_of_value(value: &Value) -> Size {
    let bytes = match value {
        Value::String(text) | Value::Json(text) => text.len() as u64,
        Value::Bytes(bytes) => bytes.len() as u64,
        Value::Number(number) => number.digits(),
        _ => 0,
    };
    Size { bytes, ..Size::default() }
}

fn size_of_field(field: &Field) -> Size {
    match &field.kind {
        FieldType::Array { items, max_items, .. } => Size {
            bytes: 0,
            items: max_items.map_or(UNBOUNDED_ITEMS, u64::from),
            item_bytes: bytes_of_type(items),
        },
        FieldType::Json => json(UNBOUNDED_BYTES),
        kind => Size { bytes: bytes_of_type(kind), ..Size::default() },
    }
}

fn bytes_of_type(kind: &FieldType) -> u64 {
    match kind {
        // A character has at most four bytes.
        FieldType::String { max_length, .. } => max_length.map_or(UNBOUNDED_BYTES, |max| u64::from(max) * 4),
        FieldType::Enum { values } => values.iter().map(|value| value.len() as u64).max().unwrap_or(0),
        FieldType::Bytes { max_size } => max_size.map_or(UNBOUNDED_BYTES, u64::from),
        FieldType::Number { precision, .. } => u64::from(*precision),
        _ => 0,
    }
}

fn comparing(ty: &Type, first: Size, second: Size) -> u64 {
    let bytes = match ty {
        Type::Number => first.bytes.saturating_add(second.bytes),
        _ => first.bytes.min(second.bytes),
    };
    let items = first.items.min(second.items);
    let each = scan(first.item_bytes.min(second.item_bytes)) + 1;
    scan(bytes).saturating_add(items.saturating_mul(each))
}

fn searching(needle: &Expr, list: &Expr, first: Size, second: Size) -> u64 {
    let is_json = list.ty == Type::Json;
    let number = if needle.ty == Type::Number && is_json { reading(JSON_DIGITS) } else { 0 };
    let each = 2_u64.saturating_add(scan(first.bytes)).saturating_add(number);
    let decoded = if is_json { second.bytes / 32 } else { 0 };
    decoded.saturating_add(second.items.saturating_mul(each))
}

fn computing(how: Arithmetic, ty: &Type, first: Size, second: Size) -> (Cost, Size) {
    let bytes = first.bytes.saturating_add(second.bytes);
    match ty {
        Type::Number => {
            let digits = match how {
                Arithmetic::Divide => 34,
                _ => bytes.saturating_add(1),
            };
            let divides = matches!(how, Arithmetic::Divide | Arithmetic::DivideWhole | Arithmetic::Remainder);
            let dividing = Cost::steps(if divides { DIVIDING } else { 0 });
            let cost = dividing
                .and(Cost::produce(bytes.saturating_mul(2)))
                .and(Cost::steps(multiplying(first.bytes, second.bytes)));
            (cost, Size { bytes: digits, ..Size::default() })
        }
        Type::Text => (Cost::produce(bytes), Size { bytes, ..Size::default() }),
        Type::List(_) => {
            let items = first.items.saturating_add(second.items);
            let item_bytes = first.item_bytes.max(second.item_bytes);
            (Cost::produce(items.saturating_mul(ELEMENT_BYTES)), Size { bytes: 0, items, item_bytes })
        }
        _ => (Cost::default(), Size::default()),
    }
}

fn converting(from: &Type, to: &Type, size: Size) -> (Cost, Size) {
    let text = |bytes| Size { bytes, ..Size::default() };
    match (from, to) {
        (_, Type::Number) => {
            let digits = match from {
                Type::Integer => 19,
                Type::Json => JSON_DIGITS,
                _ => size.bytes.min(1_100),
            };
            (Cost::steps(scan(size.bytes).saturating_add(reading(digits))), text(digits))
        }
        (Type::Json, Type::Text) => (Cost::produce(size.bytes), text(size.bytes)),
        (Type::Number, Type::Text) => {
            (Cost::produce(size.bytes.saturating_mul(2).saturating_add(2)), text(size.bytes + 2))
        }
        (_, Type::Text) => (Cost::produce(40), text(40)),
        (Type::List(_), Type::List(_)) => {
            let each = Cost::produce(ELEMENT_BYTES).and(Cost::steps(1)).and(Cost::produce(size.item_bytes));
            (each.times(size.items), size)
        }
        _ => (Cost::steps(scan(size.bytes)), size),
    }
}

fn calling(function: &Function, first: Size, second: Size) -> (Cost, Size) {
    let looked = scan(first.bytes).saturating_add(scan(second.bytes));
    match function {
        Function::Matches(pattern) => {
            (Cost::steps(looked.saturating_add(pattern.price(first.bytes))), Size::default())
        }
        Function::LowerAscii | Function::UpperAscii | Function::Trim => {
            (Cost::produce(first.bytes).and(Cost::steps(looked)), first)
        }
        Function::Size => (Cost::produce(first.bytes).and(Cost::steps(looked)), Size::default()),
        _ => (Cost::steps(looked), Size::default()),
    }
}
