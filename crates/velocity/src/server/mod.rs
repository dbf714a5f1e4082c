//! The HTTP API, as a client sees it.

mod credential;
mod problem;
mod schema_ref;
mod shape;

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};
use reqwest::{Client, Response, Url};

pub(crate) use schema_ref::{Schema, visible_schemas};
#[cfg(test)]
pub(crate) use shape::FieldShape;
pub(crate) use shape::{Kind, Shape};

use crate::config::{Context, Credential};
use crate::failure::{Exit, Failure, Outcome};
use crate::output::json::Json;

/// Nobody should wait longer for a server that is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For an answer that is not streamed; the server's own limits are lower.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);
/// How often a request is sent in all when the server says "not now".
const ATTEMPTS: u32 = 3;
/// The longest wait between two of them.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The API of a context.
pub(crate) struct Server {
    base: Url,
    client: Client,
    verbose: bool,
    credential: Credential,
}

/// A request, before it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(&'static str, String)>,
    body: Option<(Bytes, &'static str)>,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), headers: Vec::new(), body: None }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        self.headers.extend(value.map(|value| (name, value.into())));
        self
    }

    pub(crate) fn json(self, body: impl Into<Bytes>) -> Self {
        self.body(body, "application/json")
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>, media_type: &'static str) -> Self {
        self.body = Some((body.into(), media_type));
        self
    }
}

impl Reply {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// How long the server wants us to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Outcome<Json> {
        let text = std::str::from_utf8(&self.body).unwrap_or_default();
        Json::parse(text).map_err(|_| {
            Failure::failed("the server's answer is not JSON")
                .with_help("is the context's `server` a Velocity API?")
        })
    }

    /// The body's `data`.
    pub(crate) fn data(&self) -> Outcome<Json> {
        match self.json()? {
            Json::Object(members) => members
                .into_iter()
                .find_map(|(key, value)| (key == "data").then_some(value))
                .ok_or_else(|| Failure::failed("the server's answer has no `data`")),
            _ => Err(Failure::failed("the server's answer is no object")),
        }
    }
}

impl Server {
    pub(crate) fn of(context: &Context, credential: Credential, verbose: bool) -> Outcome<Self> {
        let base: Url = context.server.parse().map_err(|error| {
            Failure::usage(format!(
                "context `{}`: server `{}` is no URL: {error}",
                context.name, context.server
            ))
        })?;
        let client = http_client(&base)?;
        Ok(Self { base, client, verbose, credential })
    }

    /// The base URL, for people.
    pub(crate) fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Sends the request; waits and sends it again while the server says "not now". An error status is a failure.
    pub(crate) async fn send(&self, request: &Request) -> Outcome<Reply> {
        let reply = self.send_patiently(request).await?;
        if reply.status.is_success() || reply.status == StatusCode::NOT_MODIFIED {
            return Ok(reply);
        }
        Err(self.failure(&reply))
    }

    async fn send_patiently(&self, request: &Request) -> Outcome<Reply> {
        let mut attempt = 1;
        loop {
            let reply = self.send_once(request).await?;
            let later = matches!(reply.status.as_u16(), 429 | 503);
            let pause = reply.retry_after().unwrap_or(Duration::from_millis(200 << attempt));
            if !later || attempt == ATTEMPTS || pause > PAUSE_MAX {
                return Ok(reply);
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// What an answer with an error status means.
    pub(crate) fn failure(&self, reply: &Reply) -> Failure {
        problem::failure(reply, self.url())
    }

    /// Sends the request once and gives the answer whatever its status.
    pub(crate) async fn send_once(&self, request: &Request) -> Outcome<Reply> {
        let response = self.open(request, Some(ANSWER_TIMEOUT)).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Ok(Reply { status, headers, body })
    }

    /// Sends the request and gives the answer unread, for streams. An error status is a failure.
    pub(crate) async fn stream(&self, request: &Request) -> Outcome<Response> {
        let response = self.open(request, None).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Err(problem::failure(&Reply { status, headers, body }, self.url()))
    }

    async fn open(&self, request: &Request, timeout: Option<Duration>) -> Outcome<Response> {
        let mut url = self.base.clone();
        let prefix = self.base.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}{}", request.path));
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let mut builder = self.client.request(request.method.clone(), url.clone());
        // Each time: a token of a provider may end while a long command runs.
        if let Some((name, value)) = credential::header(&self.credential).await? {
            builder = builder.header(name, value);
        }
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some((body, media_type)) = &request.body {
            builder = builder.header(CONTENT_TYPE, *media_type).body(body.clone());
        }
        if let Some(timeout) = timeout {
            builder = builder.timeout(timeout);
        }
        let started = tokio::time::Instant::now();
        let answer = builder.send().await;
        if self.verbose {
            let what = answer.as_ref().map_or_else(
                |_| "no answer".to_owned(),
                |response| {
                    let id =
                        response.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or("-");
                    format!("{} (request {id})", response.status())
                },
            );
            eprintln!("{} {url}: {what} in {} ms", request.method, started.elapsed().as_millis());
        }
        answer.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let what = if error.is_timeout() {
            format!("{} does not answer", self.url())
        } else if error.is_connect() {
            format!("{} cannot be reached: {}", self.url(), root_cause(error))
        } else {
            format!("the connection to {} broke: {}", self.url(), root_cause(error))
        };
        Failure::new(Exit::Unavailable, what)
            .with_help("is it running? `velocity context current` shows where commands go, `velocityd dev` starts a server")
    }
}

/// A client for a server, and for nobody that it sends us to.
pub(crate) fn http_client(base: &Url) -> Outcome<Client> {
    let mut builder = Client::builder()
        .user_agent(concat!("velocity/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT);
    if is_local(base) {
        // A proxy cannot know what runs on this machine.
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| Failure::failed(format!("no HTTP client: {}", root_cause(&error))))
}

/// Whether it is this very machine.
pub(crate) fn is_local(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

/// `Retry-After` in seconds; the form with a date is not one that our servers send.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The innermost reason, which says what really happened.
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// A text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    // A dot segment would be taken for a way up.
    match out.as_str() {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_segment_whatever_it_holds() {
        assert_eq!(segment("PO-1"), "PO-1");
        assert_eq!(segment("a/b?c#d%é"), "a%2Fb%3Fc%23d%25%C3%A9");
        assert_eq!(segment(".."), "%2E%2E");
    }
}
