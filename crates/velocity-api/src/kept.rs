//! The body of a request, kept while it is read, so that the request can run once more.
//!
//! Nothing is read ahead: a handler that refuses before it reads leaves the body where it is, and its own limits decide
//! how much is read. What passes is remembered up to a bound; beyond it the request cannot run again.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// A body that can be had again.
pub(crate) struct Kept(Option<Arc<Mutex<State>>>);

struct State {
    /// What was read of it; `None` once it was too much, or broke off.
    read: Option<Vec<Bytes>>,
    bytes: usize,
    limit: usize,
    rest: Body,
}

/// The body from its beginning: what is kept of it, then the rest.
struct Reader {
    state: Arc<Mutex<State>>,
    at: usize,
}

/// Keeps up to `limit` bytes of a body while the one that is returned is read.
pub(crate) fn keep(body: Body, limit: usize) -> (Body, Kept) {
    if body.is_end_stream() {
        return (body, Kept(None));
    }
    let state = State { read: Some(Vec::new()), bytes: 0, limit, rest: body };
    let kept = Kept(Some(Arc::new(Mutex::new(state))));
    (kept.again().unwrap_or_default(), kept)
}

impl Kept {
    /// The body once more; `None` where it was not kept. The one before must not be read any more.
    pub(crate) fn again(&self) -> Option<Body> {
        let Some(state) = &self.0 else { return Some(Body::empty()) };
        lock(state).read.as_ref()?;
        Some(Body::new(Reader { state: Arc::clone(state), at: 0 }))
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn remember(&mut self, data: &Bytes) {
        self.bytes = self.bytes.saturating_add(data.len());
        match &mut self.read {
            Some(read) if self.bytes <= self.limit => read.push(data.clone()),
            read => *read = None,
        }
    }

    fn kept(&self) -> &[Bytes] {
        self.read.as_deref().unwrap_or_default()
    }
}

impl HttpBody for Reader {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let shared = Arc::clone(&self.state);
        let mut state = lock(&shared);
        if let Some(data) = state.kept().get(self.at) {
            self.at += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        let polled = Pin::new(&mut state.rest).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    state.remember(data);
                    self.at = state.kept().len();
                }
            }
            Poll::Ready(Some(Err(_))) => state.read = None,
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let state = lock(&self.state);
        self.at >= state.kept().len() && state.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let state = lock(&self.state);
        let kept: usize = state.kept().iter().skip(self.at).map(Bytes::len).sum();
        let (kept, rest) = (kept as u64, state.rest.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(kept));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(kept));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::BodyExt;

    use super::*;

    fn of_parts(parts: &'static [&'static str]) -> Body {
        Body::from_stream(stream::iter(parts.iter().map(|part| Ok::<_, std::io::Error>(*part))))
    }

    async fn read(body: Body) -> Bytes {
        body.collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn a_body_is_read_again_from_its_beginning_however_far_it_was_read() {
        let (first, kept) = keep(of_parts(&["ab", "cd", "ef"]), 100);
        assert_eq!(read(first).await, "abcdef");
        assert_eq!(read(kept.again().unwrap()).await, "abcdef");
        let (mut first, kept) = keep(of_parts(&["ab", "cd", "ef"]), 100);
        first.frame().await.unwrap().unwrap();
        drop(first);
        let again = kept.again().unwrap();
        assert!(!again.is_end_stream() && again.size_hint().lower() >= 2);
        assert_eq!(read(again).await, "abcdef");
        let (_, kept) = keep(of_parts(&["ab"]), 100);
        assert_eq!(read(kept.again().unwrap()).await, "ab");
        let (none, kept) = keep(Body::empty(), 100);
        assert_eq!((read(none).await, read(kept.again().unwrap()).await), (Bytes::new(), Bytes::new()));
    }

    #[tokio::test]
    async fn what_is_too_long_passes_and_is_not_kept() {
        let (first, kept) = keep(of_parts(&["ab", "cd", "ef"]), 3);
        assert_eq!(read(first).await, "abcdef");
        assert!(kept.again().is_none());
    }

    #[tokio::test]
    async fn what_broke_off_is_not_read_again() {
        let broken = stream::iter([Ok("ab"), Err(std::io::Error::other("gone"))]);
        let (first, kept) = keep(Body::from_stream(broken), 100);
        assert!(first.collect().await.is_err());
        assert!(kept.again().is_none());
    }
}
