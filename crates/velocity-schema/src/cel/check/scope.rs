//! The names that an expression may use.

use crate::cel::ir::{Expr, Op, Record, Type};
use crate::field::{Field, FieldType};
use crate::violation::did_you_mean;

/// A name that is there from the start. Another place for expressions is another list of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cel) enum Root {
    /// The record under this name.
    Record(&'static str, Record),
    /// `actor`.
    Actor,
    /// `request`.
    Request,
}

impl Root {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Record(name, _) => name,
            Self::Actor => "actor",
            Self::Request => "request",
        }
    }

    /// The names below it.
    fn members(self, fields: &[Field]) -> Vec<&str> {
        match self {
            Self::Record(..) => fields.iter().map(|field| field.name.as_str()).collect(),
            Self::Actor => vec!["id", "type", "roles", "attributes"],
            Self::Request => vec!["time", "operation", "ip"],
        }
    }

    /// What `root.member` is, or why it is nothing.
    pub(super) fn member(self, member: &str, fields: &[Field], at: usize) -> Result<Expr, String> {
        let known = match self {
            Self::Record(_, record) => fields.iter().enumerate().find_map(|(index, field)| {
                (field.name.as_str() == member).then(|| Expr {
                    ty: type_of(&field.kind),
                    op: Op::Field { record, index, name: field.name.clone() },
                    at,
                })
            }),
            Self::Actor => match member {
                "id" => Some((Type::Text, Op::ActorId)),
                "type" => Some((Type::Text, Op::ActorType)),
                "roles" => Some((Type::List(Box::new(Type::Text)), Op::ActorRoles)),
                "attributes" => Some((Type::Json, Op::ActorAttributes)),
                _ => None,
            }
            .map(|(ty, op)| Expr { ty, op, at }),
            Self::Request => match member {
                "time" => Some((Type::Timestamp, Op::RequestTime)),
                "operation" => Some((Type::Text, Op::RequestOperation)),
                "ip" => Some((Type::Text, Op::RequestIp)),
                _ => None,
            }
            .map(|(ty, op)| Expr { ty, op, at }),
        };
        known.ok_or_else(|| {
            let members = self.members(fields);
            let near = did_you_mean(member, members.iter().copied());
            let all = if near.is_empty() { format!("; there are {}", members.join(", ")) } else { near };
            format!("`{}` has no field `{member}`{all}", self.name())
        })
    }
}

/// The type that a field's values have in expressions.
pub(super) fn type_of(kind: &FieldType) -> Type {
    match kind {
        FieldType::String { .. } | FieldType::Enum { .. } => Type::Text,
        FieldType::Integer { .. } => Type::Integer,
        FieldType::Number { .. } => Type::Number,
        FieldType::Boolean => Type::Boolean,
        FieldType::Timestamp => Type::Timestamp,
        FieldType::Date => Type::Date,
        FieldType::Time => Type::Time,
        FieldType::Json => Type::Json,
        FieldType::Uuid => Type::Uuid,
        FieldType::Bytes { .. } => Type::Bytes,
        FieldType::Array { items, .. } => Type::List(Box::new(type_of(items))),
    }
}
