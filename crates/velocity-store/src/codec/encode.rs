//! Values as parameters.

use bytes::{BufMut, BytesMut};
use velocity_schema::Value;
use velocity_schema::time::{POSTGRES_EPOCH_DAYS, POSTGRES_EPOCH_MICROS};
use velocity_sql::{Bind, SqlType};

use super::{array, numeric};
use crate::wire::Params;

/// Adds a bind, as the type that it declares.
pub fn push_bind(params: &mut Params, bind: &Bind) {
    push_value(params, bind.sql_type, &bind.value);
}

/// Adds a value as a type. A value that is not of that type becomes null, which no code of ours asks for.
pub fn push_value(params: &mut Params, sql_type: SqlType, value: &Value) {
    if value.is_null() || !fits(sql_type, value) {
        params.push_null(sql_type.oid());
        return;
    }
    params.push_with(sql_type.oid(), |out| {
        write(sql_type, value, out);
    });
}

/// Adds the values of one column of many records as an array. Of array columns it takes the elements' text form, as
/// `text[]`, since Postgres has no arrays of arrays.
pub fn push_batch<'a>(
    params: &mut Params,
    column: SqlType,
    values: impl ExactSizeIterator<Item = &'a Value>,
) {
    if column.element().is_some() {
        params.push_with(SqlType::TextArray.oid(), |out| {
            array::write(SqlType::Text.oid(), values, out, |value, out| match value {
                Value::Array(items) => {
                    write_literal(items, out);
                    true
                }
                _ => false,
            });
        });
        return;
    }
    params.push_with(column.array().oid(), |out| {
        array::write(column.oid(), values, out, |value, out| write(column, value, out));
    });
}

fn fits(sql_type: SqlType, value: &Value) -> bool {
    match (sql_type.element(), value) {
        (Some(element), Value::Array(items)) => {
            items.iter().all(|item| item.is_null() || fits(element, item))
        }
        (None, value) => matches!(
            (sql_type, value),
            (SqlType::Text, Value::String(_))
                | (SqlType::Int8, Value::Integer(_))
                | (SqlType::Numeric, Value::Number(_))
                | (SqlType::Bool, Value::Boolean(_))
                | (SqlType::Timestamptz, Value::Timestamp(_))
                | (SqlType::Date, Value::Date(_))
                | (SqlType::Time, Value::Time(_))
                | (SqlType::Jsonb, Value::Json(_))
                | (SqlType::Uuid, Value::Uuid(_))
                | (SqlType::Bytea, Value::Bytes(_))
        ),
        _ => false,
    }
}

/// Appends a value's binary form; `false` for null, or what is not of the type.
fn write(sql_type: SqlType, value: &Value, out: &mut BytesMut) -> bool {
    match (sql_type, value) {
        (SqlType::Text, Value::String(text)) => out.put_slice(text.as_bytes()),
        (SqlType::Int8, Value::Integer(number)) => out.put_i64(*number),
        (SqlType::Numeric, Value::Number(number)) => numeric::write(number, out),
        (SqlType::Bool, Value::Boolean(yes)) => out.put_u8(u8::from(*yes)),
        (SqlType::Timestamptz, Value::Timestamp(micros)) => {
            out.put_i64(micros.saturating_sub(POSTGRES_EPOCH_MICROS));
        }
        (SqlType::Date, Value::Date(days)) => out.put_i32(days.saturating_sub(POSTGRES_EPOCH_DAYS)),
        (SqlType::Time, Value::Time(micros)) => out.put_i64(*micros),
        (SqlType::Jsonb, Value::Json(json)) => {
            out.put_u8(1);
            out.put_slice(json.as_bytes());
        }
        (SqlType::Uuid, Value::Uuid(uuid)) => out.put_slice(uuid.as_bytes()),
        (SqlType::Bytea, Value::Bytes(bytes)) => out.put_slice(bytes),
        (sql_type, Value::Array(items)) => {
            let Some(element) = sql_type.element() else { return false };
            array::write(element.oid(), items.iter(), out, |item, out| write(element, item, out));
        }
        _ => return false,
    }
    true
}

/// `{"a","b"}`: an array as Postgres reads it from text.
fn write_literal(items: &[Value], out: &mut BytesMut) {
    out.put_u8(b'{');
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        if item.is_null() {
            out.put_slice(b"null");
            continue;
        }
        text.clear();
        item.write_text(&mut text);
        out.put_u8(b'"');
        for byte in text.bytes() {
            if matches!(byte, b'"' | b'\\') {
                out.put_u8(b'\\');
            }
            out.put_u8(byte);
        }
        out.put_u8(b'"');
    }
    out.put_u8(b'}');
}
