//! Values while an expression runs: borrowed from the record wherever possible.

use std::borrow::Cow;
use std::ops::Deref;
use std::rc::Rc;

use bigdecimal::BigDecimal;
use uuid::Uuid;

use crate::value::Value;

/// A value; null is no value, and unknown where a truth value is expected.
#[derive(Debug, Clone)]
pub(super) enum Datum<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Number(Held<'a, BigDecimal>),
    Text(Held<'a, str>),
    Uuid(Uuid),
    /// Microseconds since the Unix epoch. Wide, so that adding durations needs no check.
    Timestamp(i128),
    /// Microseconds.
    Duration(i128),
    Date(i32),
    Time(i64),
    Bytes(&'a [u8]),
    /// The text of a JSON value other than null.
    Json(&'a str),
    List(Items<'a>),
}

/// A value that is borrowed, or made and shared: a clone never copies what may be long.
#[derive(Debug)]
pub(super) enum Held<'a, T: ?Sized> {
    Borrowed(&'a T),
    Shared(Rc<T>),
}

impl<T: ?Sized> Clone for Held<'_, T> {
    fn clone(&self) -> Self {
        match self {
            Self::Borrowed(value) => Self::Borrowed(value),
            Self::Shared(value) => Self::Shared(Rc::clone(value)),
        }
    }
}

impl<T: ?Sized> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Borrowed(value) => value,
            Self::Shared(value) => value,
        }
    }
}

impl<'a> From<Cow<'a, str>> for Held<'a, str> {
    fn from(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::Borrowed(text),
            Cow::Owned(text) => Self::Shared(text.into()),
        }
    }
}

/// The elements of a list.
#[derive(Debug, Clone)]
pub(super) enum Items<'a> {
    Values(&'a [Value]),
    Texts(&'a [String]),
    Made(Rc<Vec<Datum<'a>>>),
}

impl<'a> Items<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            Self::Texts(texts) => texts.len(),
            Self::Made(made) => made.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Datum<'a>> {
        match self {
            Self::Values(values) => values.get(index).map(Datum::of),
            Self::Texts(texts) => texts.get(index).map(|text| Datum::Text(Held::Borrowed(text))),
            Self::Made(made) => made.get(index).cloned(),
        }
    }
}

impl<'a> Datum<'a> {
    /// A value of a record or a literal.
    pub(super) fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::String(text) => Self::Text(Held::Borrowed(text)),
            Value::Integer(number) => Self::Integer(*number),
            Value::Number(number) => Self::Number(Held::Borrowed(number)),
            Value::Boolean(yes) => Self::Boolean(*yes),
            Value::Timestamp(micros) => Self::Timestamp(i128::from(*micros)),
            Value::Date(days) => Self::Date(*days),
            Value::Time(micros) => Self::Time(*micros),
            Value::Json(text) => Self::json(text),
            Value::Uuid(uuid) => Self::Uuid(*uuid),
            Value::Bytes(bytes) => Self::Bytes(bytes),
            Value::Array(values) => Self::List(Items::Values(values)),
        }
    }

    /// A part of a JSON document; its null is null.
    pub(super) fn json(text: &'a str) -> Self {
        let text = text.trim_ascii();
        if text == "null" { Self::Null } else { Self::Json(text) }
    }

    pub(super) fn list(made: Vec<Self>) -> Self {
        Self::List(Items::Made(Rc::new(made)))
    }

    pub(super) fn number(number: BigDecimal) -> Self {
        Self::Number(Held::Shared(Rc::new(number)))
    }

    pub(super) fn text(text: String) -> Self {
        Self::Text(Held::Shared(text.into()))
    }

    /// What it is, for errors; never the value itself.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Uuid(_) => "a uuid",
            Self::Timestamp(_) => "a timestamp",
            Self::Duration(_) => "a duration",
            Self::Date(_) => "a date",
            Self::Time(_) => "a time",
            Self::Bytes(_) => "bytes",
            Self::Json(_) => "json",
            Self::List(_) => "a list",
        }
    }
}
