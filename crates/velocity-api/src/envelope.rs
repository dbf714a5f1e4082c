//! What every request goes through, in one layer: its id and trace, its deadline, a caught panic, the problem body, the
//! security headers, the metrics, the access events. One hand-written service costs a fifth of a stack of them.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Uri};
use tower::{Layer, Service};
use velocity_contract::problem::PROBLEM_JSON;

use crate::access_events::{AccessEvent, AccessEvents};
use crate::access_log::{self, Seen};
use crate::client;
use crate::error::{ApiError, Failure};
use crate::metrics::Metrics;
use crate::request::request_id::{RequestId, X_REQUEST_ID};
use crate::request::trace::trace_id;
use crate::routes::{EndpointId, endpoint};
use crate::unread;

/// What identifies a request, in its extensions.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    pub(crate) id: RequestId,
    /// Of `traceparent`, or empty.
    pub(crate) trace_id: Arc<str>,
    /// Which of the API's endpoints it is for.
    pub(crate) endpoint: Option<EndpointId>,
    /// The client's address, as far as it can be trusted.
    pub(crate) client: Option<IpAddr>,
    pub(crate) method: Method,
    /// Cheap to keep: it shares the request's bytes.
    pub(crate) uri: Uri,
    /// What the handlers find out about the caller.
    pub(crate) seen: Arc<Seen>,
}

/// Puts the envelope around a service.
#[derive(Clone)]
pub(crate) struct Envelope {
    metrics: Arc<Metrics>,
    deadline: Duration,
    no_trace: Arc<str>,
    access: Option<AccessEvents>,
}

impl Envelope {
    /// Denials and uses of the administrator's role go to `access`.
    pub(crate) fn new(metrics: Arc<Metrics>, deadline: Duration, access: Option<AccessEvents>) -> Self {
        Self { metrics, deadline, no_trace: Arc::from(""), access }
    }

    fn context(&self, request: &Request) -> RequestContext {
        let id = RequestId::of(request.headers());
        let trace_id = trace_id(request.headers()).map_or_else(|| Arc::clone(&self.no_trace), Arc::from);
        RequestContext {
            id,
            trace_id,
            endpoint: request
                .extensions()
                .get::<MatchedPath>()
                .and_then(|path| endpoint(request.method().as_str(), path.as_str())),
            client: client::address(request.extensions()),
            method: request.method().clone(),
            uri: request.uri().clone(),
            seen: Arc::default(),
        }
    }
}

impl<S> Layer<S> for Envelope {
    type Service = Enveloped<S>;

    fn layer(&self, inner: S) -> Enveloped<S> {
        Enveloped { inner, envelope: self.clone() }
    }
}

/// A service inside of the envelope.
#[derive(Clone)]
pub(crate) struct Enveloped<S> {
    inner: S,
    envelope: Envelope,
}

impl<S> Service<Request> for Enveloped<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let started = Instant::now();
        let context = self.envelope.context(&request);
        let served = Served { context: context.clone(), started };
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(context);
        let (body, unread) = unread::lend(&parts, body);
        let request = Request::from_parts(parts, body);
        let envelope = self.envelope.clone();
        // The call itself may panic too, not only its future.
        let future = std::panic::catch_unwind(AssertUnwindSafe(|| self.inner.call(request)));
        Box::pin(async move {
            let response = match future {
                Ok(future) => envelope.run(future).await,
                Err(_) => envelope.panicked(),
            };
            if let Some(access) = &envelope.access {
                let failure = response.extensions().get::<Failure>();
                let denied = failure.and_then(|failure| access_log::denial(&failure.0, &served.context));
                record(access, denied, access_log::admin_use(&served.context)).await;
            }
            let response = envelope.finish(response, &served);
            if let Some(unread) = unread.filter(|_| response.status().as_u16() >= 400) {
                unread.discard();
            }
            Ok(response)
        })
    }
}

/// What is kept of a request until its response.
struct Served {
    context: RequestContext,
    started: Instant,
}

/// Writes down who was turned away, and what was done as an administrator. Waits where the queue is full.
async fn record(access: &AccessEvents, denied: Option<AccessEvent>, used: Option<AccessEvent>) {
    if let Some(denied) = denied {
        access.denied(denied).await;
    }
    if let Some(used) = used {
        access.admin_use(used).await;
    }
}

impl Envelope {
    async fn run(&self, future: impl Future<Output = Result<Response, Infallible>>) -> Response {
        let guarded = AssertUnwindSafe(future).catch_unwind();
        match tokio::time::timeout(self.deadline, guarded).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Err(_)) => self.panicked(),
            Err(_) => ApiError::DeadlineExceeded { limit: self.deadline }.into_response(),
        }
    }

    fn panicked(&self) -> Response {
        self.metrics.panics.inc();
        ApiError::Panicked.into_response()
    }

    fn finish(&self, mut response: Response, served: &Served) -> Response {
        if let Some(Failure(error)) = response.extensions_mut().remove::<Failure>() {
            log(&error, served);
            write_problem(&error, served, &mut response);
        }
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, served.context.id.header());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        self.metrics.count(served.context.endpoint, response.status(), served.started.elapsed());
        response
    }
}

fn write_problem(error: &ApiError, served: &Served, response: &mut Response) {
    let problem = error.problem().of_request(cut(served.context.uri.path()), served.context.id.as_str());
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    headers.insert(CONTENT_LENGTH, body.len().into());
    *response.body_mut() =
        if served.context.method == Method::HEAD { Body::empty() } else { Body::from(body) };
}

/// A path as an answer may repeat it: an error is never as long as an attack.
fn cut(path: &str) -> &str {
    let end = (0..=path.len().min(512)).rev().find(|at| path.is_char_boundary(*at)).unwrap_or(0);
    &path[..end]
}

fn log(error: &ApiError, served: &Served) {
    let (code, id) = (error.code(), served.context.id.as_str());
    let causes = error.causes();
    match code.status() {
        500 => {
            tracing::error!(request.id = id, %code, error = causes, "a request failed through a fault of ours");
        }
        501.. => tracing::warn!(request.id = id, %code, error = causes, "a request could not be served"),
        _ => tracing::debug!(request.id = id, %code, error = causes, "a request was refused"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;
    use tower::{ServiceExt, service_fn};

    use super::*;

    async fn problem(response: Response) -> Json {
        assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON);
        serde_json::from_slice(&axum::body::to_bytes(response.into_body(), 10_000).await.unwrap()).unwrap()
    }

    fn request() -> Request {
        Request::builder().uri("/api/a").header("x-request-id", "r-1").body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn a_panic_becomes_a_problem_that_says_nothing_of_it() {
        let metrics = Metrics::new(Vec::new());
        let envelope = Envelope::new(Arc::clone(&metrics), Duration::from_secs(5), None);
        let later = service_fn(|_: Request| async { panic!("secret") });
        let at_once =
            service_fn(|_: Request| -> std::future::Ready<Result<Response, Infallible>> { panic!("secret") });
        let answers = [
            envelope.layer(later).oneshot(request()).await.unwrap(),
            envelope.layer(at_once).oneshot(request()).await.unwrap(),
        ];
        for answer in answers {
            let problem = problem(answer).await;
            assert_eq!((&problem["code"], &problem["requestId"]), (&"INTERNAL_ERROR".into(), &"r-1".into()));
            assert!(!problem.to_string().contains("secret"), "{problem}");
        }
        assert_eq!(metrics.panics.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_never_ends_is_given_up_at_the_deadline() {
        let envelope = Envelope::new(Metrics::new(Vec::new()), Duration::from_mins(1), None);
        let never = service_fn(|_: Request| std::future::pending::<Result<Response, Infallible>>());
        let answer = envelope.layer(never).oneshot(request()).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), problem(answer).await["code"].clone()),
            (504, "QUERY_TIMEOUT".into())
        );
    }

    #[test]
    fn a_path_is_cut_between_characters() {
        assert_eq!(cut("/short"), "/short");
        assert_eq!(cut(&"é".repeat(300)).len(), 512);
        assert_eq!(cut(&format!("a{}", "é".repeat(300))).len(), 511);
    }
}
