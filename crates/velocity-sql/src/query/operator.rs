//! The operators of conditions, and which types take which.

use velocity_schema::FieldType;
use velocity_schema::violation::did_you_mean;

use super::error::PlanError;

/// An operator of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum Operator {
    Eq,
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
    In,
    Nin,
    Between,
    Like,
    Ilike,
    Contains,
    StartsWith,
    EndsWith,
    IsNull,
    Exists,
}

impl Operator {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Eq,
        Self::Ne,
        Self::Gt,
        Self::Gte,
        Self::Lt,
        Self::Lte,
        Self::In,
        Self::Nin,
        Self::Between,
        Self::Like,
        Self::Ilike,
        Self::Contains,
        Self::StartsWith,
        Self::EndsWith,
        Self::IsNull,
        Self::Exists,
    ];

    /// The contract's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::In => "in",
            Self::Nin => "nin",
            Self::Between => "between",
            Self::Like => "like",
            Self::Ilike => "ilike",
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::IsNull => "isNull",
            Self::Exists => "exists",
        }
    }

    pub(super) fn parse(word: &str, parameter: &str) -> Result<Self, PlanError> {
        if word == "match" {
            return Err(PlanError::invalid(
                parameter,
                "notSupported",
                "`match` is not supported yet; use contains or ilike",
            ));
        }
        Self::ALL.into_iter().find(|operator| operator.as_str() == word).ok_or_else(|| {
            let words = Self::ALL.map(Self::as_str);
            let near = did_you_mean(word, words);
            PlanError::invalid(
                parameter,
                "operator",
                format!("is not an operator{near}; there are {}", words.join(", ")),
            )
        })
    }

    /// The operators that a type takes. Inside a json field, a path takes all.
    pub fn of(kind: &FieldType) -> &'static [Self] {
        match kind {
            FieldType::String { .. } | FieldType::Enum { .. } => &Self::ALL,
            FieldType::Integer { .. }
            | FieldType::Number { .. }
            | FieldType::Timestamp
            | FieldType::Date
            | FieldType::Time
            | FieldType::Uuid => &[
                Self::Eq,
                Self::Ne,
                Self::Gt,
                Self::Gte,
                Self::Lt,
                Self::Lte,
                Self::In,
                Self::Nin,
                Self::Between,
                Self::IsNull,
                Self::Exists,
            ],
            FieldType::Boolean => &[Self::Eq, Self::Ne, Self::In, Self::Nin, Self::IsNull, Self::Exists],
            FieldType::Json | FieldType::Array { .. } => {
                &[Self::Eq, Self::Ne, Self::Contains, Self::IsNull, Self::Exists]
            }
            FieldType::Bytes { .. } => &[Self::IsNull, Self::Exists],
        }
    }
}
