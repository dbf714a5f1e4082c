//! Every way in which a request fails, and the one place where it becomes a problem of the contract's table.
//!
//! A handler returns an [`ApiError`]; the envelope renders it, since only it knows the request's id, and logs it when
//! the fault is ours.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use velocity_access::AuthError;
use velocity_contract::{Code, Problem};
use velocity_schema::Violations;
use velocity_schema::input::InputError;
use velocity_schema::schema::{Operation, StrategyRef};

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
    /// The strategy that would have to authenticate the caller does not run.
    #[error("{}", no_strategy(.strategy.as_ref()))]
    NoStrategy { strategy: Option<StrategyRef>, credential_sent: bool },
    /// No role of the caller allows it.
    #[error("{reason}")]
    RbacDenied { reason: String },
    /// No schema at this path.
    #[error("no schema is served at `{path}`{}", nearest.as_ref().map_or_else(String::new, |n| format!(" (did you mean `{n}`?)")))]
    SchemaNotFound { path: String, nearest: Option<String> },
    /// Declared and not provisioned.
    #[error("the schema `{path}` is not served yet: {reason}")]
    SchemaNotReady { path: String, reason: Arc<str> },
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
    /// The actor's rate is used up.
    #[error("the rate is used up: wait {} s", whole_seconds(.0.retry_after))]
    RateLimited(Exceeded),
    /// The request took longer than any may.
    #[error("the request took longer than {} s and was given up", limit.as_secs())]
    DeadlineExceeded { limit: Duration },
    /// A handler panicked. The panic itself is logged by the panic hook.
    #[error("a fault of ours ended the request")]
    Panicked,
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
            Self::Unauthenticated(AuthError::Required) | Self::NoStrategy { credential_sent: false, .. } => {
                Code::AuthRequired
            }
            Self::Unauthenticated(AuthError::InvalidToken(_))
            | Self::NoStrategy { credential_sent: true, .. } => Code::AuthInvalidToken,
            Self::RbacDenied { .. } => Code::RbacDenied,
            Self::SchemaNotFound { .. } => Code::SchemaNotFound,
            Self::SchemaNotReady { .. } => Code::SchemaNotReady,
            Self::RouteNotFound { .. } | Self::NotThereYet { .. } => Code::RouteNotFound,
            Self::MethodNotAllowed { .. } => Code::MethodNotAllowed,
            Self::Malformed(_) | Self::BodyTooSlow { .. } => Code::MalformedRequest,
            Self::Invalid(_) => Code::ValidationError,
            Self::BodyTooLarge { .. } => Code::PayloadTooLarge,
            Self::UnsupportedMediaType { .. } => Code::UnsupportedMediaType,
            Self::ReasonRequired { .. } => Code::AuditReasonRequired,
            Self::RateLimited(_) => Code::RateLimited,
            Self::DeadlineExceeded { .. } => Code::QueryTimeout,
            Self::Panicked => Code::InternalError,
        }
    }

    /// The problem, without what identifies the request.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::Invalid(violations) => Problem::invalid(violations),
            other => Problem::new(other.code(), other.to_string()),
        }
    }

    /// The headers that belong to it.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match self {
            Self::Unauthenticated(error) => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(error.challenge()));
            }
            Self::NoStrategy { .. } => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::SchemaNotReady { .. } => {
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

/// `Allow` is set by the router; this only keeps the names in one place.
pub(crate) fn allows(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(ALLOW)
}
