//! Column types: what a field is in Postgres. Parameters are always bound with the declared type, never inferred.

use velocity_schema::FieldType;

/// A Postgres type that we bind or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are Postgres' own")]
pub enum SqlType {
    Text,
    Int8,
    Numeric,
    Bool,
    Timestamptz,
    Date,
    Time,
    Jsonb,
    Uuid,
    Bytea,
    TextArray,
    Int8Array,
    NumericArray,
    BoolArray,
    TimestamptzArray,
    DateArray,
    TimeArray,
    UuidArray,
    JsonbArray,
    ByteaArray,
}

impl SqlType {
    /// The type of a field's column.
    pub fn of(kind: &FieldType) -> Self {
        match kind {
            FieldType::String { .. } | FieldType::Enum { .. } => Self::Text,
            FieldType::Integer { .. } => Self::Int8,
            FieldType::Number { .. } => Self::Numeric,
            FieldType::Boolean => Self::Bool,
            FieldType::Timestamp => Self::Timestamptz,
            FieldType::Date => Self::Date,
            FieldType::Time => Self::Time,
            FieldType::Json => Self::Jsonb,
            FieldType::Uuid => Self::Uuid,
            FieldType::Bytes { .. } => Self::Bytea,
            FieldType::Array { items, .. } => Self::of(items).array(),
        }
    }

    /// The type of arrays of this type; an array's is itself.
    pub fn array(self) -> Self {
        match self {
            Self::Text => Self::TextArray,
            Self::Int8 => Self::Int8Array,
            Self::Numeric => Self::NumericArray,
            Self::Bool => Self::BoolArray,
            Self::Timestamptz => Self::TimestamptzArray,
            Self::Date => Self::DateArray,
            Self::Time => Self::TimeArray,
            Self::Uuid => Self::UuidArray,
            Self::Jsonb => Self::JsonbArray,
            Self::Bytea => Self::ByteaArray,
            array => array,
        }
    }

    /// The type of an array's elements; `None` for a scalar type.
    pub fn element(self) -> Option<Self> {
        Some(match self {
            Self::TextArray => Self::Text,
            Self::Int8Array => Self::Int8,
            Self::NumericArray => Self::Numeric,
            Self::BoolArray => Self::Bool,
            Self::TimestamptzArray => Self::Timestamptz,
            Self::DateArray => Self::Date,
            Self::TimeArray => Self::Time,
            Self::UuidArray => Self::Uuid,
            Self::JsonbArray => Self::Jsonb,
            Self::ByteaArray => Self::Bytea,
            _ => return None,
        })
    }

    /// The type's OID (pg_type.dat of Postgres; these never change).
    pub fn oid(self) -> u32 {
        match self {
            Self::Text => 25,
            Self::Int8 => 20,
            Self::Numeric => 1700,
            Self::Bool => 16,
            Self::Timestamptz => 1184,
            Self::Date => 1082,
            Self::Time => 1083,
            Self::Jsonb => 3802,
            Self::Uuid => 2950,
            Self::Bytea => 17,
            Self::TextArray => 1009,
            Self::Int8Array => 1016,
            Self::NumericArray => 1231,
            Self::BoolArray => 1000,
            Self::TimestamptzArray => 1185,
            Self::DateArray => 1182,
            Self::TimeArray => 1183,
            Self::UuidArray => 2951,
            Self::JsonbArray => 3807,
            Self::ByteaArray => 1001,
        }
    }

    /// The type's name in SQL, as `format_type` shows it.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int8 => "bigint",
            Self::Numeric => "numeric",
            Self::Bool => "boolean",
            Self::Timestamptz => "timestamp with time zone",
            Self::Date => "date",
            Self::Time => "time without time zone",
            Self::Jsonb => "jsonb",
            Self::Uuid => "uuid",
            Self::Bytea => "bytea",
            Self::TextArray => "text[]",
            Self::Int8Array => "bigint[]",
            Self::NumericArray => "numeric[]",
            Self::BoolArray => "boolean[]",
            Self::TimestamptzArray => "timestamp with time zone[]",
            Self::DateArray => "date[]",
            Self::TimeArray => "time without time zone[]",
            Self::UuidArray => "uuid[]",
            Self::JsonbArray => "jsonb[]",
            Self::ByteaArray => "bytea[]",
        }
    }
}

/// The type of a field's column in full, as `format_type` shows it: `numeric(18,2)`, `text[]`, ….
pub fn column_type(kind: &FieldType) -> String {
    match kind {
        FieldType::Number { precision, scale, .. } => format!("numeric({precision},{scale})"),
        FieldType::Array { items, .. } => format!("{}[]", column_type(items)),
        other => SqlType::of(other).sql().to_owned(),
    }
}
