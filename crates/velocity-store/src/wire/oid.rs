//! Type identifiers of the server's built-in types.

/// A Postgres type's object identifier.
pub type Oid = u32;

/// Object identifiers of the types that the product binds; they are fixed in `pg_type.dat`.
pub mod types {
    use super::Oid;

    /// `boolean`: one byte.
    pub const BOOL: Oid = 16;
    /// `bytea`.
    pub const BYTEA: Oid = 17;
    /// `bigint`.
    pub const INT8: Oid = 20;
    /// `smallint`.
    pub const INT2: Oid = 21;
    /// `integer`.
    pub const INT4: Oid = 23;
    /// `text`.
    pub const TEXT: Oid = 25;
    /// `oid`.
    pub const OID: Oid = 26;
    /// `json`.
    pub const JSON: Oid = 114;
    /// `real`.
    pub const FLOAT4: Oid = 700;
    /// `double precision`.
    pub const FLOAT8: Oid = 701;
    /// `text[]`.
    pub const TEXT_ARRAY: Oid = 1009;
    /// `bigint[]`.
    pub const INT8_ARRAY: Oid = 1016;
    /// `varchar`.
    pub const VARCHAR: Oid = 1043;
    /// `date`: days since 2000-01-01.
    pub const DATE: Oid = 1082;
    /// `time`: microseconds since midnight.
    pub const TIME: Oid = 1083;
    /// `timestamp`: microseconds since 2000-01-01.
    pub const TIMESTAMP: Oid = 1114;
    /// `timestamptz`: microseconds since 2000-01-01 UTC.
    pub const TIMESTAMPTZ: Oid = 1184;
    /// `interval`.
    pub const INTERVAL: Oid = 1186;
    /// `numeric`.
    pub const NUMERIC: Oid = 1700;
    /// `uuid`.
    pub const UUID: Oid = 2950;
    /// `uuid[]`.
    pub const UUID_ARRAY: Oid = 2951;
    /// `jsonb`: a version byte, then the text.
    pub const JSONB: Oid = 3802;
}
