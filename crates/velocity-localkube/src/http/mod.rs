//! The HTTP side: which request means what.

mod decode;
mod discovery;
mod list;
mod negotiate;
mod options;
mod path;
mod protobuf;
mod respond;
mod watch;
pub(crate) mod write;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::{Method, StatusCode, header, request::Parts};
use tokio::sync::watch as signal;

use crate::kind::{Behaviour, Endpoint};
use crate::server::Core;
use crate::status::ApiError;
use crate::store::Key;
use options::Options;
use path::{Target, Verb};

/// The largest body that is read, as in the real server.
const BODY_LIMIT: usize = 3 * 1024 * 1024;
/// How much of a larger body is read and forgotten.
const DISCARD_LIMIT: usize = 64 * 1024 * 1024;

/// What a handler needs to know of its request.
pub(crate) struct Call {
    pub(crate) core: Arc<Core>,
    pub(crate) endpoint: Endpoint,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
    pub(crate) options: Options,
    pub(crate) parts: Parts,
    pub(crate) body: Bytes,
    /// True once the server is shutting down: watches end.
    pub(crate) closing: signal::Receiver<bool>,
}

impl Call {
    pub(crate) fn key(&self, name: &str) -> Key {
        Key {
            table: self.endpoint.kind.table.clone(),
            namespace: self.namespace.clone().unwrap_or_default(),
            name: name.to_owned(),
        }
    }

    pub(crate) fn not_found(&self, name: &str) -> ApiError {
        ApiError::not_found(&self.endpoint.kind.group, &self.endpoint.kind.plural, name)
    }

    /// The name in the path; only collections have none, and they are routed elsewhere.
    pub(crate) fn name(&self) -> Result<&str, ApiError> {
        self.name.as_deref().ok_or_else(ApiError::unknown_path)
    }
}

/// Answers one request.
pub(crate) async fn answer(core: Arc<Core>, closing: signal::Receiver<bool>, request: Request) -> Response {
    let is_head = request.method() == Method::HEAD;
    let mut response = match route(core, closing, request).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    };
    if is_head {
        *response.body_mut() = Body::empty();
    }
    response
}

async fn route(
    core: Arc<Core>,
    closing: signal::Receiver<bool>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let target = Target::parse(parts.uri.path())?;
    if let Target::Resource { group, version, namespace, plural, name, subresource } = target {
        let no_route = || if group.is_empty() { ApiError::unknown_path() } else { ApiError::no_page() };
        let endpoint = core.registry.find(&group, &version, &plural).ok_or_else(no_route)?.clone();
        if name.is_none()
            && matches!(parts.method, Method::PUT | Method::PATCH)
            && endpoint.kind.behaviour == Behaviour::Custom
        {
            return Err(ApiError::bad_request("name must be provided"));
        }
        let verb = Verb::of(&parts.method, name.is_some())?;
        path::check(&endpoint, verb, namespace.as_deref(), name.as_deref(), subresource.as_deref())?;
        let options = Options::parse(&parts.uri, verb.options_kind())?;
        let body = read_body(body).await?;
        let call = Call { core, endpoint, namespace, name, subresource, options, parts, body, closing };
        return dispatch(call, verb).await;
    }
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return Err(ApiError::method_not_allowed());
    }
    match target {
        Target::Health => {
            Ok((StatusCode::OK, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], "ok").into_response())
        }
        document => discovery::answer(&core, &document, &parts),
    }
}

/// Reads the body. One that is too large is still read for a while, so that its sender hears the answer instead of
/// a broken connection.
async fn read_body(body: Body) -> Result<Bytes, ApiError> {
    let mut stream = body.into_data_stream();
    let mut whole = BytesMut::new();
    let mut total = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| ApiError::bad_request(format!("reading the body: {error}")))?;
        total += chunk.len();
        if total <= BODY_LIMIT {
            whole.extend_from_slice(&chunk);
        } else if total > DISCARD_LIMIT {
            break;
        }
    }
    if total > BODY_LIMIT { Err(ApiError::too_large(BODY_LIMIT)) } else { Ok(whole.freeze()) }
}

async fn dispatch(call: Call, verb: Verb) -> Result<Response, ApiError> {
    if call.endpoint.is_read_only() && !matches!(verb, Verb::Get | Verb::List) {
        return Err(ApiError::method_not_allowed());
    }
    match verb {
        Verb::Get => list::get(&call),
        Verb::List if call.options.watch => watch::watch(&call),
        Verb::List => list::list(&call),
        Verb::Create => write::create(&call).await,
        Verb::Update => write::update(&call).await,
        Verb::Patch => write::patch(&call).await,
        Verb::Delete => write::delete(&call).await,
        Verb::DeleteCollection => write::delete_collection(&call).await,
    }
}
