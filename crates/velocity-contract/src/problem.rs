//! The one error body: RFC 9457 problem details with our members.

use serde::{Deserialize, Serialize};
use velocity_schema::{Violation, Violations};

use crate::Code;

/// The media type of every error body.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// An error body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The URI of the code's page.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// A few words that depend on the code alone.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong this time, and the way out; for people.
    pub detail: String,
    /// The path of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// What went wrong; for programs.
    pub code: Code,
    /// The request's id, as the logs and the events have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Every violation, where values were at fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The version that the record is at, with [`Code::VersionConflict`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_version: Option<i64>,
}

impl Problem {
    /// A problem with what its code says of it.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            type_uri: code.type_uri(),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            instance: None,
            code,
            request_id: None,
            errors: Vec::new(),
            current_version: None,
        }
    }

    /// [`Code::ValidationError`] with every violation.
    pub fn invalid(violations: &Violations) -> Self {
        let count = violations.0.len();
        let noun = if count == 1 { "value breaks" } else { "values break" };
        Self::new(Code::ValidationError, format!("{count} {noun} the schema's rules; see errors"))
            .with_errors(violations.iter().map(FieldError::from).collect())
    }

    /// Sets [`Self::errors`].
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// Sets [`Self::current_version`].
    #[must_use]
    pub fn with_current_version(mut self, version: i64) -> Self {
        self.current_version = Some(version);
        self
    }

    /// Sets the members that say which request it was.
    #[must_use]
    pub fn of_request(mut self, instance: impl Into<String>, request_id: impl Into<String>) -> Self {
        self.instance = Some(instance.into());
        self.request_id = Some(request_id.into());
        self
    }
}

/// One violation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The field, or a path into the body such as `operations[3].create.amount`.
    pub field: String,
    /// The rule: a short stable word such as `required`, `max`, `unknownField`.
    pub rule: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl From<&Violation> for FieldError {
    fn from(violation: &Violation) -> Self {
        Self {
            field: violation.path.clone(),
            rule: violation.rule.to_owned(),
            message: violation.message.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validation_problem_lists_every_violation_and_reads_back() {
        let mut violations = Violations::default();
        violations.push("amount", "min", "must be at least 0");
        violations.push("status", "required", "is required");
        let problem = Problem::invalid(&violations).of_request("/api/acme/shop/sales/order/v1", "0190c8a5");
        insta::assert_json_snapshot!(problem, @r#"
        {
          "type": "https://velocity.sh/errors/VALIDATION_ERROR",
          "title": "Invalid record",
          "status": 400,
          "detail": "2 values break the schema's rules; see errors",
          "instance": "/api/acme/shop/sales/order/v1",
          "code": "VALIDATION_ERROR",
          "requestId": "0190c8a5",
          "errors": [
            {
              "field": "amount",
              "rule": "min",
              "message": "must be at least 0"
            },
            {
              "field": "status",
              "rule": "required",
              "message": "is required"
            }
          ]
        }
        "#);
        let text = serde_json::to_string(&problem).unwrap();
        assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), problem);
    }

    #[test]
    fn a_version_conflict_says_where_the_record_is() {
        let problem =
            Problem::new(Code::VersionConflict, "the record is at version 7").with_current_version(7);
        assert_eq!(serde_json::to_value(problem).unwrap()["currentVersion"], 7);
    }
}
