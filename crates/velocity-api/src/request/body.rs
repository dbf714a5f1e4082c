//! The body of a request: its type, its size, how long it may take, how deep it may nest.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;

use super::Malformed;
use crate::config::RequestConfig;
use crate::error::ApiError;

/// Deepest JSON of a body: a json field's 64 levels inside an operation inside a bulk, and room.
const MAX_DEPTH: usize = 80;

/// The types of body that a route takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum JsonKind {
    /// `application/json`.
    Document,
    /// `application/json` or `application/merge-patch+json`.
    MergePatch,
}

impl JsonKind {
    fn accepted(self) -> &'static [&'static str] {
        match self {
            Self::Document => &["application/json"],
            Self::MergePatch => &["application/merge-patch+json", "application/json"],
        }
    }
}

/// Reads a JSON body, whole. The JSON itself is not parsed here, only bounded.
pub(crate) async fn read_json(
    headers: &HeaderMap,
    body: Body,
    kind: JsonKind,
    limits: &RequestConfig,
) -> Result<Bytes, ApiError> {
    check_type(headers, kind.accepted())?;
    let bytes = read(headers, body, limits).await?;
    check_depth(&bytes)?;
    Ok(bytes)
}

/// Reads the body of a route that takes none, or optionally JSON: `None` where it is empty.
pub(crate) async fn read_optional_json(
    headers: &HeaderMap,
    body: Body,
    limits: &RequestConfig,
) -> Result<Option<Bytes>, ApiError> {
    if body.is_end_stream() {
        return Ok(None);
    }
    let bytes = read(headers, body, limits).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    check_type(headers, JsonKind::Document.accepted())?;
    check_depth(&bytes)?;
    Ok(Some(bytes))
}

async fn read(headers: &HeaderMap, body: Body, limits: &RequestConfig) -> Result<Bytes, ApiError> {
    let limit = limits.max_body_bytes;
    let announced =
        headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(ApiError::BodyTooLarge { limit });
    }
    match within(limits.body_timeout, Limited::new(body, limit).collect()).await? {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => {
            Err(ApiError::BodyTooLarge { limit })
        }
        Err(_) => Err(Malformed::new("the body ended early").into()),
    }
}

async fn within<F: Future>(limit: Duration, future: F) -> Result<F::Output, ApiError> {
    tokio::time::timeout(limit, future).await.map_err(|_| ApiError::BodyTooSlow { limit })
}

fn check_type(headers: &HeaderMap, accepted: &'static [&'static str]) -> Result<(), ApiError> {
    let refuse = || ApiError::UnsupportedMediaType { accepted };
    let encoded =
        headers.get(CONTENT_ENCODING).is_some_and(|e| !e.as_bytes().eq_ignore_ascii_case(b"identity"));
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None, false) = (types.next(), types.next(), encoded) else { return Err(refuse()) };
    let text = only.to_str().map_err(|_| refuse())?;
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let is_utf8 = parts.filter_map(|p| p.split_once('=')).all(|(name, value)| {
        !name.trim().eq_ignore_ascii_case("charset")
            || ["utf-8", "utf8"].iter().any(|c| value.trim().trim_matches('"').eq_ignore_ascii_case(c))
    });
    if is_utf8 && accepted.iter().any(|a| media.eq_ignore_ascii_case(a)) { Ok(()) } else { Err(refuse()) }
}

/// Counts brackets outside of strings, so that no parser ever sees deeper JSON, whatever it does about its stack.
fn check_depth(json: &[u8]) -> Result<(), Malformed> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Malformed(format!("the body is JSON of more than {MAX_DEPTH} levels")));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_type(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())])
    }

    #[test]
    fn json_is_taken_under_its_names_only() {
        for good in
            ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""]
        {
            assert!(check_type(&with_type(good), JsonKind::Document.accepted()).is_ok(), "{good}");
        }
        for bad in
            ["text/plain", "application/json; charset=latin1", "application/merge-patch+json", "", "json"]
        {
            assert!(check_type(&with_type(bad), JsonKind::Document.accepted()).is_err(), "{bad}");
        }
        assert!(check_type(&HeaderMap::new(), JsonKind::Document.accepted()).is_err());
        let patch = with_type("application/merge-patch+json");
        assert!(check_type(&patch, JsonKind::MergePatch.accepted()).is_ok());
    }

    #[test]
    fn a_compressed_body_is_refused_rather_than_misread() {
        let mut headers = with_type("application/json");
        headers.insert(CONTENT_ENCODING, "gzip".parse().unwrap());
        assert!(check_type(&headers, JsonKind::Document.accepted()).is_err());
        headers.insert(CONTENT_ENCODING, "identity".parse().unwrap());
        assert!(check_type(&headers, JsonKind::Document.accepted()).is_ok());
    }

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(check_depth(nested(80).as_bytes()).is_ok());
        assert!(check_depth(nested(81).as_bytes()).is_err());
        assert!(check_depth(nested(100_000).as_bytes()).is_err());
        let in_string = format!("{{\"a\":\"{}\\\"{}\"}}", "[".repeat(100), "{".repeat(100));
        assert!(check_depth(in_string.as_bytes()).is_ok());
        assert!(check_depth("[],".repeat(1000).as_bytes()).is_ok());
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_announced_or_not() {
        let limits = RequestConfig { max_body_bytes: 10, ..RequestConfig::default() };
        let mut announced = with_type("application/json");
        announced.insert(CONTENT_LENGTH, "11".parse().unwrap());
        for headers in [announced, with_type("application/json")] {
            let read = read_json(&headers, Body::from("[1,2,3,4,5]"), JsonKind::Document, &limits).await;
            assert!(matches!(read, Err(ApiError::BodyTooLarge { limit: 10 })));
        }
        let headers = with_type("application/json");
        assert!(read_json(&headers, Body::from("[1,2,3,45]"), JsonKind::Document, &limits).await.is_ok());
    }
}
