//! Why a query is refused.

use std::fmt;

/// The code of the HTTP contract that a refusal has; all are 400 but `FIELD_FORBIDDEN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanCode {
    /// `MALFORMED_REQUEST`: not to be read at all, or a cursor that is not ours.
    MalformedRequest,
    /// `VALIDATION_ERROR`: something named is unknown, or a value does not fit.
    ValidationError,
    /// `FIELD_NOT_FILTERABLE`: the field takes no conditions or no sorting.
    FieldNotFilterable,
    /// `FIELD_FORBIDDEN`, 403: the caller does not see the field in clear.
    FieldForbidden,
    /// `PAGINATION_LIMIT_EXCEEDED`: the page lies too deep for an offset.
    PaginationLimitExceeded,
}

impl PlanCode {
    /// The code's text in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedRequest => "MALFORMED_REQUEST",
            Self::ValidationError => "VALIDATION_ERROR",
            Self::FieldNotFilterable => "FIELD_NOT_FILTERABLE",
            Self::FieldForbidden => "FIELD_FORBIDDEN",
            Self::PaginationLimitExceeded => "PAGINATION_LIMIT_EXCEEDED",
        }
    }
}

/// Why a query is refused, and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    /// The contract's code.
    pub code: PlanCode,
    /// The parameter as it was written, such as `filter[amount][gt]`.
    pub parameter: String,
    /// The rule that it breaks: `unknownField`, `operator`, `type`, ….
    pub rule: &'static str,
    /// What is wrong and the way out, for a person.
    pub message: String,
}

impl PlanError {
    pub(super) fn new(
        code: PlanCode,
        parameter: impl Into<String>,
        rule: &'static str,
        message: impl Into<String>,
    ) -> Self {
        let parameter: String = parameter.into();
        let parameter = if parameter.chars().count() > 200 {
            parameter.chars().take(200).chain(['…']).collect()
        } else {
            parameter
        };
        Self { code, parameter, rule, message: message.into() }
    }

    pub(super) fn malformed(
        parameter: impl Into<String>,
        rule: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self::new(PlanCode::MalformedRequest, parameter, rule, message)
    }

    pub(super) fn invalid(
        parameter: impl Into<String>,
        rule: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self::new(PlanCode::ValidationError, parameter, rule, message)
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.parameter, self.message)
    }
}

impl std::error::Error for PlanError {}
