//! Every way in which a request fails, and the one place where it becomes a problem of the contract's table.
//!
//! A handler returns an [`ApiError`]; the envelope renders it, since only it knows the request's id, and logs it when
//! the fault is ours.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use velocity_access::oidc::SignInError;
use velocity_access::{AbacDenied, AuthError};
use velocity_contract::{Code, FieldError, Problem};
use velocity_schema::input::InputError;
use velocity_schema::schema::{Operation, StrategyRef};
use velocity_schema::{Violation, Violations};
use velocity_sql::query::{PlanCode, PlanError};
use velocity_store::records::{DeniedBy, RecordError};
use velocity_store::wire::{Ran, WireError};

use crate::rate_limit::Exceeded;
use crate::request::Malformed;

/// How soon to try again what is not there yet: about as long as the operator needs for a table.
const RETRY_SOON: Duration = Duration::from_secs(1);

/// Why a request fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// No credential, or one that is not taken.
    #[error(transparent)]
    Unauthenticated(#[from] AuthError),
    /// A sign-in with OpenID Connect that did not succeed.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// Nobody signs in by OpenID Connect here.
    #[error(
        "there is no sign-in here: the installation's default AuthStrategy is not of type oidc, and no composite with such a member; name one in `strategy`"
    )]
    NoSignIn,
    /// The strategy that would have to authenticate the caller does not run.
    #[error("{}", no_strategy(.strategy.as_ref()))]
    NoStrategy { strategy: Option<StrategyRef>, credential_sent: bool },
    /// No role of the caller allows it.
    #[error("{reason}")]
    RbacDenied { reason: String },
    /// A condition of the schema is not true for the caller, here and now.
    #[error(transparent)]
    AbacDenied(AbacDenied),
    /// Fields were sent that the caller may not set: all of them are named.
    #[error("you may not set {}: leave {} out", listed(.fields), if fields.len() == 1 { "it" } else { "them" })]
    FieldForbidden { fields: Vec<String> },
    /// A write would decide by values that the caller does not see in clear.
    #[error(
        "`onConflict: skip` looks at every unique value, and some of them you do not see in clear: use `fail` or `update`"
    )]
    ConflictOnHidden,
    /// No schema at this path.
    #[error("no schema is served at `{path}`{}", nearest.as_ref().map_or_else(String::new, |n| format!(" (did you mean `{n}`?)")))]
    SchemaNotFound { path: String, nearest: Option<String> },
    /// Declared and not provisioned.
    #[error("the schema `{path}` is not served yet: {reason}")]
    SchemaNotReady { path: String, reason: Arc<str> },
    /// Nothing is known yet of schemas and strategies, so nothing can be said of them either.
    #[error("the API has just started and is still learning its schemas; try again in a moment")]
    Starting,
    /// No route at this address.
    #[error("there is no route `{path}`")]
    RouteNotFound { path: String },
    /// A route of the contract that this version does not have.
    #[error("`{route}` is not there yet: {what} comes with a later version")]
    NotThereYet { route: String, what: &'static str },
    /// The route takes other methods.
    #[error("this route does not take {method}")]
    MethodNotAllowed { method: String },
    /// Unreadable.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Values that break the schema's rules.
    #[error("values break the schema's rules")]
    Invalid(#[from] Violations),
    /// The body is over the limit.
    #[error("the body is larger than {limit} bytes: send less at once")]
    BodyTooLarge { limit: usize },
    /// The body did not arrive in time.
    #[error("the body did not arrive within {} s", limit.as_secs())]
    BodyTooSlow { limit: Duration },
    /// The body is of a type that the route does not read.
    #[error("the body must be `Content-Type: {}` in UTF-8, without Content-Encoding", accepted.join("` or `"))]
    UnsupportedMediaType { accepted: &'static [&'static str] },
    /// The operation needs a reason.
    #[error("`{operation}` needs a reason: send the header X-Reason{}", in_form(.pattern.as_deref()))]
    ReasonRequired { operation: Operation, pattern: Option<String> },
    /// A reason is not in the form that the schema asks for, whether or not one was needed.
    #[error("the reason of `{operation}` must match {pattern}: say more in the header X-Reason")]
    ReasonForm { operation: Operation, pattern: String },
    /// The actor's rate is used up.
    #[error("the rate is used up: wait {} s", whole_seconds(.0.retry_after))]
    RateLimited(Exceeded),
    /// The request took longer than any may.
    #[error("the request took longer than {} s and was given up", limit.as_secs())]
    DeadlineExceeded { limit: Duration },
    /// Nothing that the route makes is what the client takes.
    #[error("this route makes {made}, and Accept takes none of it")]
    NotAcceptable { made: &'static str },
    /// The query is refused.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The store did not do it.
    #[error("{}", of_record(.0))]
    Record(#[source] RecordError),
    /// As many exports run as may.
    #[error("as many exports run as may run at once: try again when one has ended")]
    TooManyExports,
    /// A handler panicked. The panic itself is logged by the panic hook.
    #[error("a fault of ours ended the request")]
    Panicked,
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn no_strategy(strategy: Option<&StrategyRef>) -> String {
    match strategy {
        Some(strategy) => format!("the AuthStrategy `{strategy}`, which decides here, is missing or invalid"),
        None => "no AuthStrategy decides here: start the API with --default-auth-strategy, or name one in the schema".into(),
    }
}

fn in_form(pattern: Option<&str>) -> String {
    pattern.map_or_else(String::new, |pattern| format!(" that matches {pattern}"))
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

impl ApiError {
    /// The code of the contract's table. Exhaustive, so that no variant can be forgotten.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::NoStrategy { credential_sent: false, .. } => Code::AuthRequired,
            Self::Unauthenticated(error) => error.code(),
            Self::NoStrategy { credential_sent: true, .. } => Code::AuthInvalidToken,
            Self::SignIn(error) => error.code(),
            Self::RbacDenied { .. } => Code::RbacDenied,
            Self::AbacDenied(_) => Code::AbacDenied,
            Self::FieldForbidden { .. } | Self::ConflictOnHidden => Code::FieldForbidden,
            Self::SchemaNotFound { .. } => Code::SchemaNotFound,
            Self::SchemaNotReady { .. } | Self::Starting => Code::SchemaNotReady,
            Self::RouteNotFound { .. } | Self::NotThereYet { .. } | Self::NoSignIn => Code::RouteNotFound,
            Self::MethodNotAllowed { .. } => Code::MethodNotAllowed,
            Self::Malformed(_) | Self::BodyTooSlow { .. } => Code::MalformedRequest,
            Self::Invalid(_) => Code::ValidationError,
            Self::BodyTooLarge { .. } => Code::PayloadTooLarge,
            Self::UnsupportedMediaType { .. } => Code::UnsupportedMediaType,
            Self::ReasonRequired { .. } | Self::ReasonForm { .. } => Code::AuditReasonRequired,
            Self::RateLimited(_) => Code::RateLimited,
            Self::DeadlineExceeded { .. } => Code::QueryTimeout,
            Self::NotAcceptable { .. } => Code::NotAcceptable,
            Self::Plan(error) => plan_code(error.code),
            Self::Record(error) => record_code(error),
            Self::TooManyExports => Code::PostgresUnavailable,
            Self::Panicked => Code::InternalError,
        }
    }

    /// The problem, without what identifies the request.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::Invalid(violations) => Problem::invalid(violations),
            Self::FieldForbidden { fields } => {
                let errors = fields.iter().map(|field| FieldError {
                    field: field.clone(),
                    rule: "fieldAccess".to_owned(),
                    message: "you may not set it".to_owned(),
                });
                Problem::new(self.code(), self.to_string()).with_errors(errors.collect())
            }
            Self::Record(error) => record_problem(error),
            Self::Plan(error) => {
                let at_fault = FieldError {
                    field: error.parameter.clone(),
                    rule: error.rule.to_owned(),
                    message: error.message.clone(),
                };
                Problem::new(self.code(), error.to_string()).with_errors(vec![at_fault])
            }
            other => Problem::new(other.code(), other.to_string()),
        }
    }

    /// The headers that belong to it.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match self {
            Self::Unauthenticated(error) if error.code().is_transient() => {
                headers.insert(RETRY_AFTER, whole_seconds(RETRY_SOON).into());
            }
            Self::Unauthenticated(error) => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(error.challenge()));
            }
            Self::SignIn(error) if error.is_passing() => {
                headers.insert(RETRY_AFTER, whole_seconds(RETRY_SOON).into());
            }
            Self::SignIn(error) if error.code() == Code::AuthInvalidToken => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::NoStrategy { .. } => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Record(RecordError::Unavailable { retry_after, .. }) => {
                headers.insert(RETRY_AFTER, whole_seconds(*retry_after).max(1).into());
            }
            Self::SchemaNotReady { .. }
            | Self::Starting
            | Self::TooManyExports
            | Self::Record(RecordError::NotReady { .. } | RecordError::ShapeChanged { .. }) => {
                headers.insert(RETRY_AFTER, whole_seconds(RETRY_SOON).into());
            }
            Self::RateLimited(exceeded) => {
                let seconds = whole_seconds(exceeded.retry_after);
                headers.insert(RETRY_AFTER, seconds.into());
                headers.insert(HeaderName::from_static("x-ratelimit-limit"), exceeded.limit.get().into());
                headers.insert(HeaderName::from_static("x-ratelimit-remaining"), 0.into());
                headers.insert(HeaderName::from_static("x-ratelimit-reset"), seconds.into());
            }
            _ => {}
        }
        headers
    }

    /// The chain of causes, for the log; never for the caller.
    pub(crate) fn causes(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}

fn plan_code(code: PlanCode) -> Code {
    match code {
        PlanCode::MalformedRequest => Code::MalformedRequest,
        PlanCode::ValidationError => Code::ValidationError,
        PlanCode::FieldForbidden => Code::FieldForbidden,
        PlanCode::FieldNotFilterable => Code::FieldNotFilterable,
        PlanCode::PaginationLimitExceeded => Code::PaginationLimitExceeded,
    }
}

fn record_code(error: &RecordError) -> Code {
    match error {
        RecordError::NotFound => Code::EntityNotFound,
        RecordError::VersionConflict { .. } => Code::VersionConflict,
        RecordError::UniqueViolation { .. } => Code::UniqueViolation,
        RecordError::ReferenceViolation { .. } => Code::ReferenceViolation,
        RecordError::Immutable { .. } | RecordError::Validation(_) => Code::ValidationError,
        RecordError::RowFilterDenied => Code::RbacDenied,
        RecordError::Denied { by: DeniedBy::Condition, .. } => Code::AbacDenied,
        RecordError::Denied { by: DeniedBy::OtherSchema, .. } => Code::CrossSchemaAccessDenied,
        RecordError::IdempotencyConflict => Code::IdempotencyConflict,
        RecordError::Bulk { failures } => {
            failures.first().map_or(Code::InternalError, |failure| record_code(&failure.error))
        }
        RecordError::Timeout => Code::QueryTimeout,
        RecordError::Unavailable { .. } => Code::PostgresUnavailable,
        RecordError::NotReady { .. } | RecordError::ShapeChanged { .. } => Code::SchemaNotReady,
        RecordError::TooLarge => Code::MalformedRequest,
        RecordError::Internal { .. } => Code::InternalError,
    }
}

impl From<RecordError> for ApiError {
    fn from(error: RecordError) -> Self {
        if let Some(said) = too_long_for_an_index(&error) {
            let message = if said.contains("tsvector") {
                "the searched fields have too many words for their index, which takes about 1 MB; set `maxLength` in the schema"
            } else {
                "a value is too long for its index: ids and values of unique, filterable or sortable fields \
                 may have about 2,700 bytes; set `maxLength` in the schema"
            };
            return Self::Invalid(Violations(vec![Violation::new("", "maxLength", message)]));
        }
        Self::Record(error)
    }
}

/// A B-tree entry is at most a third of a page, and a search's words a megabyte, which no type and no constraint of a schema
/// says by itself. Returns what Postgres said.
fn too_long_for_an_index(error: &RecordError) -> Option<&str> {
    let RecordError::Internal { source } = error else { return None };
    let database = source.downcast_ref::<WireError>().and_then(WireError::database)?;
    (database.code == "54000").then_some(database.message.as_str())
}

/// What a caller is told: what is ours alone is never in it.
fn of_record(error: &RecordError) -> String {
    match error {
        RecordError::Internal { .. } => "a fault of ours; the log has it under the request's id".to_owned(),
        RecordError::Unavailable { ran: Ran::Unknown, .. } => {
            "the connection to the database was lost: whether the write was carried out is not known; an Idempotency-Key \
             makes a retry safe"
                .to_owned()
        }
        other => other.to_string(),
    }
}

/// The problem that a record's error is.
pub(crate) fn record_problem(error: &RecordError) -> Problem {
    let code = record_code(error);
    let problem = Problem::new(code, of_record(error));
    let field_error = |field: &str, rule: &str, message: String| FieldError {
        field: field.to_owned(),
        rule: rule.to_owned(),
        message,
    };
    match error {
        RecordError::Validation(violations) => Problem::invalid(violations),
        RecordError::VersionConflict { current } => problem.with_current_version(*current),
        RecordError::Immutable { field } => {
            problem.with_errors(vec![field_error(field, "immutable", "stays as it was created".to_owned())])
        }
        RecordError::UniqueViolation { fields } => problem.with_errors(
            fields
                .iter()
                .map(|field| field_error(field, "unique", "is taken by another record".to_owned()))
                .collect(),
        ),
        RecordError::ReferenceViolation { field: Some(field) } => {
            problem.with_errors(vec![field_error(field, "ref", "points to no record".to_owned())])
        }
        RecordError::Bulk { failures } => {
            let errors = failures.iter().flat_map(|failure| {
                let at = format!("operations[{}]", failure.index);
                let inner = record_problem(&failure.error);
                if inner.errors.is_empty() {
                    return vec![field_error(&at, inner.code.as_str(), inner.detail)];
                }
                let prefixed =
                    |error: FieldError| FieldError { field: format!("{at}.{}", error.field), ..error };
                inner.errors.into_iter().map(prefixed).collect()
            });
            problem.with_errors(errors.collect())
        }
        _ => problem,
    }
}

impl From<InputError> for ApiError {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Malformed(malformed) => Malformed(malformed.to_string()).into(),
            InputError::Invalid(violations) => violations.into(),
        }
    }
}

/// An error on its way to the envelope, which renders it.
#[derive(Clone)]
pub(crate) struct Failure(pub(crate) Arc<ApiError>);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.headers_mut().extend(self.headers());
        response.extensions_mut().insert(Failure(Arc::new(self)));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_ours_is_told_to_the_log_and_not_to_the_caller() {
        let source = std::io::Error::other("disk on fire at /var/lib");
        let error = ApiError::from(RecordError::Internal { source: Box::new(source) });
        assert!(error.causes().ends_with("disk on fire at /var/lib"), "{}", error.causes());
        let problem = serde_json::to_string(&error.problem()).unwrap();
        assert!(!problem.contains("fire") && problem.contains("INTERNAL_ERROR"), "{problem}");
    }

    #[test]
    fn the_errors_of_a_bulk_name_the_operation_and_its_field() {
        let failure = |index, error| velocity_store::records::BulkFailure { index, error };
        let failures = vec![
            failure(3, RecordError::UniqueViolation { fields: vec!["code".to_owned()] }),
            failure(5, RecordError::NotFound),
        ];
        let problem = record_problem(&RecordError::Bulk { failures });
        let fields: Vec<&str> = problem.errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!((problem.status, fields), (409, vec!["operations[3].code", "operations[5]"]));
    }

    #[test]
    fn what_waits_says_how_long() {
        let retry_after = Duration::from_millis(1500);
        let unavailable = RecordError::Unavailable {
            retry_after,
            ran: Ran::Unknown,
            source: Box::new(WireError::TransactionFailed),
        };
        let error = ApiError::from(unavailable);
        assert_eq!(error.headers()[RETRY_AFTER], "2");
        assert!(error.to_string().contains("Idempotency-Key"), "{error}");
    }
}
