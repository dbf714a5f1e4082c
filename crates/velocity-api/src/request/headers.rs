//! Our own request headers: `Idempotency-Key`, `X-Reason`, and what is misspelt. `X-CSRF-Token` belongs to the session's
//! cookie and is read with it.

use http::HeaderMap;
use velocity_schema::violation::nearest;

use super::Malformed;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const X_REASON: &str = "x-reason";
/// Read with the session's cookie.
const X_CSRF_TOKEN: &str = "x-csrf-token";
/// Longest idempotency key: it is part of a primary key.
const KEY_MAX_BYTES: usize = 255;
/// Longest reason in bytes: it is kept with every event.
const REASON_MAX_BYTES: usize = 2048;

/// Refuses headers that are ours by their look and not by their name: `X-Velocity-…`, of which none is known yet, and
/// misspelt names, which would otherwise be ignored in silence.
pub(crate) fn refuse_unknown(headers: &HeaderMap) -> Result<(), Malformed> {
    for name in headers.keys().map(http::HeaderName::as_str) {
        if !name.starts_with(['x', 'i']) {
            continue;
        }
        if name.starts_with("x-velocity") {
            return Err(Malformed(format!(
                "the header `{name}` is not known: headers of this API are X-Request-ID, X-Reason, X-CSRF-Token and Idempotency-Key"
            )));
        }
        let misspelt = match name {
            // The last is what some frameworks call the token against forged requests, and send to everyone.
            IDEMPOTENCY_KEY | X_REASON | X_CSRF_TOKEN | "x-request-id" | "x-xsrf-token" => None,
            // Short names are near to many a stranger's, so only one letter may be wrong in them.
            _ if is_one_letter_off(name, X_REASON) => Some("X-Reason"),
            _ if is_one_letter_off(name, X_CSRF_TOKEN) => Some("X-CSRF-Token"),
            _ if name.contains("idem") && nearest(name, [IDEMPOTENCY_KEY]).is_some() => {
                Some("Idempotency-Key")
            }
            _ => None,
        };
        if let Some(meant) = misspelt {
            return Err(Malformed(format!("the header `{name}` is not known: did you mean `{meant}`?")));
        }
    }
    Ok(())
}

fn is_one_letter_off(name: &str, known: &str) -> bool {
    if name.len().abs_diff(known.len()) > 1 {
        return false;
    }
    let prefix = name.bytes().zip(known.bytes()).take_while(|(a, b)| a == b).count();
    let suffix = name.bytes().rev().zip(known.bytes().rev()).take_while(|(a, b)| a == b).count();
    let longest = name.len().max(known.len());
    let swapped = name.len() == known.len()
        && prefix + suffix + 2 == longest
        && name.as_bytes()[prefix] == known.as_bytes()[prefix + 1]
        && name.as_bytes()[prefix + 1] == known.as_bytes()[prefix];
    swapped || prefix + suffix + 1 >= longest
}

/// The `Idempotency-Key`, or `None` where none was sent.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Malformed> {
    let wrong = || {
        Malformed(format!(
            "Idempotency-Key must be one value of 1 to {KEY_MAX_BYTES} visible ASCII characters"
        ))
    };
    let mut sent = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = sent.next() else { return Ok(None) };
    let bytes = key.as_bytes();
    let valid = (1..=KEY_MAX_BYTES).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    if !valid || sent.next().is_some() {
        return Err(wrong());
    }
    key.to_str().map(Some).map_err(|_| wrong())
}

/// The reason in `X-Reason`, as UTF-8, or `None` where none was sent.
pub(crate) fn reason(headers: &HeaderMap) -> Result<Option<&str>, Malformed> {
    let mut sent = headers.get_all(X_REASON).iter();
    let Some(reason) = sent.next() else { return Ok(None) };
    let text = std::str::from_utf8(reason.as_bytes()).ok().filter(|_| sent.next().is_none());
    text.map(str::trim).map(check_reason).transpose().and_then(|text| {
        text.map(Some).ok_or_else(|| Malformed::new("X-Reason must be sent once, as UTF-8 text"))
    })
}

/// A reason, wherever it was given, is text that an event can keep.
pub(crate) fn check_reason(text: &str) -> Result<&str, Malformed> {
    if text.len() > REASON_MAX_BYTES {
        return Err(Malformed(format!("the reason must be at most {REASON_MAX_BYTES} bytes")));
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(Malformed::new("the reason must be text without control characters"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(name: &str, value: &[u8]) -> HeaderMap {
        HeaderMap::from_iter([(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value).unwrap(),
        )])
    }

    #[test]
    fn misspelt_headers_of_ours_are_refused_by_name() {
        for (name, meant) in [
            ("X-Reasons", "X-Reason"),
            ("X-Raeson", "X-Reason"),
            ("XReason", "X-Reason"),
            ("Idempotence-Key", "Idempotency-Key"),
            ("X-Idempotency-Key", "Idempotency-Key"),
            ("IdempotencyKey", "Idempotency-Key"),
            ("X-CSRFToken", "X-CSRF-Token"),
            ("X-CRSF-Token", "X-CSRF-Token"),
        ] {
            let error = refuse_unknown(&headers(name, b"v")).unwrap_err();
            assert!(error.0.contains(&format!("did you mean `{meant}`")), "{name}: {error}");
        }
        assert!(refuse_unknown(&headers("X-Velocity-Trace", b"1")).is_err());
    }

    #[test]
    fn strangers_headers_pass() {
        for name in [
            "X-Region",
            "X-Request-ID",
            "X-Requested-With",
            "X-Forwarded-For",
            "X-Real-IP",
            "X-Season-ID",
            "If-Match",
            "Idempotency-Key",
            "X-Reason",
            "X-API-Key",
            "X-CSRF-Token",
            "X-XSRF-Token",
            "X-B3-TraceId",
            "Import-Id",
        ] {
            assert_eq!(refuse_unknown(&headers(name, b"v")), Ok(()), "{name}");
        }
    }

    #[test]
    fn an_idempotency_key_is_one_printable_word() {
        let longest = "k".repeat(255);
        for good in ["a", "import:3f/00012", &longest] {
            assert_eq!(idempotency_key(&headers("Idempotency-Key", good.as_bytes())), Ok(Some(good)));
        }
        let too_long = "k".repeat(256);
        for bad in [&b""[..], b"a b", b"\xff", b"caf\xc3\xa9", too_long.as_bytes()] {
            assert!(idempotency_key(&headers("Idempotency-Key", bad)).is_err(), "{bad:?}");
        }
        let mut twice = headers("Idempotency-Key", b"a");
        twice.append("Idempotency-Key", HeaderValue::from_static("a"));
        assert!(idempotency_key(&twice).is_err());
    }

    #[test]
    fn a_reason_is_utf8_text_of_bounded_length() {
        assert_eq!(reason(&headers("X-Reason", "übertragen".as_bytes())), Ok(Some("übertragen")));
        assert_eq!(reason(&HeaderMap::new()), Ok(None));
        assert!(reason(&headers("X-Reason", b"\xff\xfe")).is_err());
        assert!(reason(&headers("X-Reason", &[b'x'; 2049])).is_err());
        assert!(check_reason("a\0b").is_err());
    }
}
