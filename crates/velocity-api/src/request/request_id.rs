//! The id of a request: the caller's when it is fit to print, else one of ours.

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// `X-Request-ID`.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is echoed: it travels into events and logs.
const MAX_BYTES: usize = 128;

/// An id of 1 to 128 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The id that the client sent, or a new one where it sent none, several, or one that is not fit to print.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut sent = headers.get_all(&X_REQUEST_ID).iter();
        match (sent.next(), sent.next()) {
            (Some(id), None) if is_printable(id.as_bytes()) => Self(id.clone()),
            _ => Self::new(),
        }
    }

    fn new() -> Self {
        let mut buffer = Uuid::encode_buffer();
        let text = Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
        Self(HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("unknown")))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

fn is_printable(bytes: &[u8]) -> bool {
    (1..=MAX_BYTES).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(values: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(X_REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
        }
        RequestId::of(&headers).as_str().to_owned()
    }

    #[test]
    fn a_printable_id_is_echoed() {
        assert_eq!(id_of(&[b"abc-123/x"]), "abc-123/x");
        let longest = "x".repeat(128);
        assert_eq!(id_of(&[longest.as_bytes()]), longest);
    }

    #[test]
    fn what_is_not_fit_to_print_is_replaced_by_a_fresh_id() {
        let too_long = "x".repeat(129);
        for bad in [&b""[..], b"a b", b"caf\xc3\xa9", b"a\tb", too_long.as_bytes()] {
            let id = id_of(&[bad]);
            assert!(Uuid::try_parse(&id).is_ok(), "{id}");
            assert_ne!(id, id_of(&[bad]));
        }
        assert!(Uuid::try_parse(&id_of(&[b"a", b"b"])).is_ok());
    }
}
