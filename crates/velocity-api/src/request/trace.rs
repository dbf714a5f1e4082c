//! The trace that a request belongs to (W3C Trace Context).

use http::HeaderMap;

/// The trace id of the request's `traceparent`: 32 hex digits, not all zero. A header that is malformed is as none,
/// which is what the standard says.
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let mut sent = headers.get_all("traceparent").iter();
    let (Some(only), None) = (sent.next(), sent.next()) else { return None };
    let text = only.to_str().ok()?;
    let mut parts = text.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let known_shape = version != "00" || parts.next().is_none();
    let valid = is_hex(version, 2)
        && version != "ff"
        && known_shape
        && is_hex(trace, 32)
        && is_hex(parent, 16)
        && is_hex(flags, 2)
        && trace.bytes().any(|b| b != b'0')
        && parent.bytes().any(|b| b != b'0');
    valid.then_some(trace)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", value.parse().unwrap());
        trace_id(&headers).map(str::to_owned)
    }

    #[test]
    fn the_trace_id_is_taken_from_a_valid_header() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(of(&format!("00-{trace}-00f067aa0ba902b7-01")).as_deref(), Some(trace));
        assert_eq!(of(&format!("01-{trace}-00f067aa0ba902b7-01-later")).as_deref(), Some(trace));
    }

    #[test]
    fn a_malformed_header_is_as_none() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for bad in [
            "",
            "00",
            &format!("00-{trace}-00f067aa0ba902b7"),
            &format!("00-{trace}-00f067aa0ba902b7-01-more"),
            &format!("ff-{trace}-00f067aa0ba902b7-01"),
            &format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
            &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            &format!("00-{trace}-0000000000000000-01"),
            &format!("00-{trace}'--00f067aa0ba902b7-01"),
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
