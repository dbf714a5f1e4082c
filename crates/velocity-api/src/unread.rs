//! What is left of a request's body when its handler has refused it.
//!
//! A client that is still sending when we close the connection sees it break, and never the refusal. So what is left is
//! read and thrown away while the answer is on its way, up to a bound.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Version;
use http::header::EXPECT;
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// Most that is thrown away: whoever sends more is cut off.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// How long it may take.
const MAX_TIME: Duration = Duration::from_secs(20);

type Slot = Arc<Mutex<Option<Body>>>;

/// The body as the handler reads it.
struct Lent(Slot);

/// The body as it can be had back.
pub(crate) struct Unread(Slot);

/// Lends the body to a handler. Where there is none, or the client waits for a word before it sends, or the protocol has
/// an end for streams that nobody reads, there is nothing to take back.
pub(crate) fn lend(parts: &Parts, body: Body) -> (Body, Option<Unread>) {
    if body.is_end_stream() || parts.version > Version::HTTP_11 || parts.headers.contains_key(EXPECT) {
        return (body, None);
    }
    let slot = Arc::new(Mutex::new(Some(body)));
    (Body::new(Lent(Arc::clone(&slot))), Some(Unread(slot)))
}

impl Unread {
    /// Throws away what is left, beside whatever else goes on.
    pub(crate) fn discard(self) {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(body) = body.filter(|body| !body.is_end_stream()) {
            tokio::spawn(async move {
                // Too late or too much: the connection closes, as it would have at once.
                let _ = tokio::time::timeout(MAX_TIME, discard(body)).await;
            });
        }
    }
}

async fn discard(mut body: Body) {
    let mut left = MAX_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}
