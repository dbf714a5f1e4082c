//! Values from rows.

use uuid::Uuid;
use velocity_schema::Value;
use velocity_schema::time::{POSTGRES_EPOCH_DAYS, POSTGRES_EPOCH_MICROS};
use velocity_sql::SqlType;

use super::{CodecError, array, exact, numeric};
use crate::wire::Row;

/// The first `types.len()` columns of a row.
pub fn decode_row(types: &[SqlType], row: Row<'_>) -> Result<Vec<Value>, CodecError> {
    let mut values = row.values();
    let decode = |sql_type: &SqlType| match values.next() {
        Some(bytes) => decode_value(*sql_type, bytes),
        None => Err(CodecError("row")),
    };
    types.iter().map(decode).collect()
}

/// One column. What no field can hold (`NaN`, infinite times) counts as null.
pub fn decode_value(sql_type: SqlType, bytes: Option<&[u8]>) -> Result<Value, CodecError> {
    let Some(bytes) = bytes else { return Ok(Value::Null) };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| CodecError("text"));
    Ok(match sql_type {
        SqlType::Text => Value::String(text(bytes)?),
        SqlType::Int8 => Value::Integer(i64::from_be_bytes(exact(bytes, "bigint")?)),
        SqlType::Numeric => numeric::read(bytes)?.map_or(Value::Null, Value::Number),
        SqlType::Bool => Value::Boolean(exact::<1>(bytes, "boolean")? != [0]),
        SqlType::Timestamptz => match i64::from_be_bytes(exact(bytes, "timestamp")?) {
            i64::MAX | i64::MIN => Value::Null,
            micros => Value::Timestamp(micros.saturating_add(POSTGRES_EPOCH_MICROS)),
        },
        SqlType::Date => match i32::from_be_bytes(exact(bytes, "date")?) {
            i32::MAX | i32::MIN => Value::Null,
            days => Value::Date(days.saturating_add(POSTGRES_EPOCH_DAYS)),
        },
        SqlType::Time => Value::Time(i64::from_be_bytes(exact(bytes, "time")?)),
        SqlType::Jsonb => match bytes.split_first() {
            Some((1, json)) => Value::Json(text(json)?),
            _ => return Err(CodecError("jsonb")),
        },
        SqlType::Uuid => Value::Uuid(Uuid::from_bytes(exact(bytes, "uuid")?)),
        SqlType::Bytea => Value::Bytes(bytes.to_vec()),
        array => {
            let element = array.element().ok_or(CodecError("array"))?;
            let items = array::Elements::read(bytes)?.map(|item| decode_value(element, item?));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
    })
}
