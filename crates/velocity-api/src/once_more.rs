//! A request that met a table which has just changed runs once more, under the schema that is provisioned by now.
//!
//! One layer around all routes of schemas, those that come later included. It acts on one error only,
//! [`RecordError::ShapeChanged`], which the store gives where nothing was written: every write is one transaction, a bulk
//! with all its items and its idempotency key too. The second run begins with the extractors, so that identity, access
//! and input are those of the new schema; it takes no second token from the caller's rate, and there is no third run.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use tower::{Layer, Service};
use velocity_store::records::RecordError;

use crate::error::{ApiError, Failure};
use crate::kept::keep;
use crate::request::path::schema_route;
use crate::state::Api;

/// How long a request waits for the schema to be looked up. One row by its key takes a millisecond; longer, and the
/// database has other troubles.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(5);

/// In the extensions of a request that runs for the second time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Again;

/// Lets requests of schemas run once more.
#[derive(Clone)]
pub(crate) struct OnceMore(Api);

impl OnceMore {
    pub(crate) fn new(api: Api) -> Self {
        Self(api)
    }
}

impl<S> Layer<S> for OnceMore {
    type Service = Repeating<S>;

    fn layer(&self, inner: S) -> Repeating<S> {
        Repeating { inner, api: self.0.clone() }
    }
}

/// A service whose requests may run once more.
#[derive(Clone)]
pub(crate) struct Repeating<S> {
    inner: S,
    api: Api,
}

impl<S> Service<Request> for Repeating<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if schema_route(request.uri().path()).is_none() {
            return Box::pin(self.inner.call(request));
        }
        let (parts, body) = request.into_parts();
        let (body, kept) = keep(body, self.api.config().requests.max_body_bytes);
        let (head, mut inner, api) = (parts.clone(), self.inner.clone(), self.api.clone());
        let first = self.inner.call(Request::from_parts(parts, body));
        Box::pin(async move {
            let response = first.await?;
            let Some(spec_hash) = outdated(&response) else { return Ok(response) };
            let path = schema_route(head.uri.path()).map_or("", |(path, _)| path);
            if !is_renewed(&api, path, &spec_hash).await {
                return Ok(response);
            }
            let Some(body) = kept.again() else { return Ok(response) };
            tracing::debug!(
                schema.path = path,
                spec_hash,
                "a request runs once more: its schema has changed"
            );
            api.metrics().repeated.inc();
            let mut request = Request::from_parts(head, body);
            request.extensions_mut().insert(Again);
            inner.call(request).await
        })
    }
}

/// The spec under which a request failed because its table is another one by now.
fn outdated(response: &Response) -> Option<String> {
    match &*response.extensions().get::<Failure>()?.0 {
        ApiError::Record(RecordError::ShapeChanged { spec_hash, .. }) => Some(spec_hash.clone()),
        _ => None,
    }
}

/// Whether another spec is served at the path, now or once it has been looked up.
async fn is_renewed(api: &Api, path: &str, spec_hash: &str) -> bool {
    let catalog = api.catalog();
    if !catalog.load().serves_other(path, spec_hash) {
        // Too late is like nothing new.
        let _ = tokio::time::timeout(RENEWAL_TIMEOUT, catalog.renewals().renew(path, spec_hash)).await;
    }
    catalog.load().serves_other(path, spec_hash)
}
