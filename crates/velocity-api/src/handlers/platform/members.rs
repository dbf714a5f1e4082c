//! The members of a request's body, read one by one, so that everything that is wrong is said at once.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use velocity_schema::violation::did_you_mean;
use velocity_schema::{Violation, Violations};

use crate::error::ApiError;
use crate::request::Malformed;

/// The members of one object.
pub(super) struct Members {
    members: Map<String, Value>,
    violations: Violations,
}

impl Members {
    /// Reads an object whose members are among `known`.
    pub(super) fn read(bytes: &[u8], known: &[&str]) -> Result<Self, ApiError> {
        let members: Map<String, Value> = serde_json::from_slice(bytes)
            .map_err(|error| Malformed(format!("the body is not a JSON object: {error}")))?;
        let mut violations = Violations::default();
        for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
            let shown: String = name.chars().take(80).collect::<String>().escape_debug().to_string();
            let near = did_you_mean(name, known.iter().copied());
            let message = format!("is not known here{near}; there are {}", known.join(", "));
            violations.push(shown, "unknownField", message);
        }
        Ok(Self { members, violations })
    }

    /// A member that may be left out; null is as good as that.
    pub(super) fn optional<T: DeserializeOwned>(&mut self, name: &str, wanted: &str) -> Option<T> {
        let value = self.members.remove(name).filter(|value| !value.is_null())?;
        let read = serde_json::from_value(value).ok();
        if read.is_none() {
            self.wrong(name, "type", format!("must be {wanted}"));
        }
        read
    }

    /// A text that must be there and not be blank.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        if self.members.get(name).is_none_or(Value::is_null) {
            self.wrong(name, "required", "is missing");
            return None;
        }
        let text: String = self.optional(name, "a text")?;
        if text.trim().is_empty() {
            self.wrong(name, "required", "is empty");
            return None;
        }
        Some(text)
    }

    /// Something is wrong with a member.
    pub(super) fn wrong(&mut self, name: impl Into<String>, rule: &'static str, message: impl Into<String>) {
        self.violations.0.push(Violation::new(name.into(), rule, message.into()));
    }

    /// The value, unless anything was wrong.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, ApiError> {
        if !self.violations.0.is_empty() {
            return Err(self.violations.into());
        }
        // Whatever is missing has been told of.
        value.ok_or(ApiError::Panicked)
    }
}
