//! What is wrong with one field of an object, in the real server's words.

use std::fmt;

use serde_json::{Value, json};

/// The classes of field errors; they decide the first words of the message and the cause's `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Required,
    Duplicate,
    Invalid,
    TypeInvalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
}

impl Fault {
    fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
        }
    }

    fn shows_value(self) -> bool {
        matches!(
            self,
            Self::Duplicate | Self::Invalid | Self::TypeInvalid | Self::NotSupported | Self::TooMany
        )
    }
}

/// One violation at one path (`spec.fields[0].type`).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldError {
    pub(crate) fault: Fault,
    pub(crate) path: String,
    /// `None` leaves the value out of the message.
    pub(crate) value: Option<Value>,
    pub(crate) detail: String,
}

impl FieldError {
    pub(crate) fn new(
        fault: Fault,
        path: impl Into<String>,
        value: impl Into<Option<Value>>,
        detail: impl Into<String>,
    ) -> Self {
        Self { fault, path: path.into(), value: value.into(), detail: detail.into() }
    }

    pub(crate) fn required(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Fault::Required, path, None, detail)
    }

    pub(crate) fn forbidden(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Fault::Forbidden, path, None, detail)
    }

    pub(crate) fn invalid(path: impl Into<String>, value: Value, detail: impl Into<String>) -> Self {
        Self::new(Fault::Invalid, path, value, detail)
    }

    pub(crate) fn too_long(path: impl Into<String>, max: u64) -> Self {
        let unit = if max == 1 { "byte" } else { "bytes" };
        Self::new(Fault::TooLong, path, None, format!("may not be more than {max} {unit}"))
    }

    pub(crate) fn too_many(path: impl Into<String>, actual: usize, max: u64) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        Self::new(Fault::TooMany, path, json!(actual), format!("must have at most {max} {unit}"))
    }

    pub(crate) fn not_supported(path: impl Into<String>, value: Value, supported: &[String]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|one| json!(one).to_string()).collect();
        let detail = format!("supported values: {}", quoted.join(", "));
        Self::new(Fault::NotSupported, path, value, detail)
    }

    /// The same violation, seen from the parent of `field`.
    pub(crate) fn below(mut self, field: &str) -> Self {
        if self.path != "<nil>" {
            let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
            self.path = format!("{field}{separator}{}", self.path);
        }
        self
    }

    fn body(&self) -> String {
        let mut text = self.fault.words().to_owned();
        if let Some(value) = self.value.as_ref().filter(|_| self.fault.shows_value()) {
            text.push_str(": ");
            text.push_str(&go_json(value));
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }

    /// The entry in `details.causes`.
    pub(crate) fn cause(&self) -> Value {
        json!({ "reason": self.fault.reason(), "message": self.body(), "field": self.path })
    }
}

/// JSON as Go's encoder writes it: `<`, `>` and `&` escaped inside composite values.
fn go_json(value: &Value) -> String {
    let text = value.to_string();
    match value {
        Value::Array(_) | Value::Object(_) => {
            text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
        }
        _ => text,
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.body())
    }
}
