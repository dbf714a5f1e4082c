//! The string formats that the real server checks; it ignores all others.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::Date;
use regex::Regex;

#[expect(clippy::expect_used, reason = "constant patterns, compiled by the tests")]
static DURATION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^[+-]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))*$",
    )
    .expect("a constant pattern")
});
#[expect(clippy::expect_used, reason = "constant patterns, compiled by the tests")]
static WORDY_DURATION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^\d+\s*(ns|nanos?|us|micros?|ms|millis?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|wks?|weeks?)$")
        .expect("a constant pattern")
});
#[expect(clippy::expect_used, reason = "constant patterns, compiled by the tests")]
static EMAIL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[^@\s<>]+@[^@\s<>]+$").expect("a constant pattern"));
#[expect(clippy::expect_used, reason = "constant patterns, compiled by the tests")]
static UUID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$")
        .expect("a constant pattern")
});
#[expect(clippy::expect_used, reason = "constant patterns, compiled by the tests")]
static HOSTNAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^([a-zA-Z0-9\p{S}\p{L}]([a-zA-Z0-9\-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.[a-zA-Z0-9\p{S}\p{L}]([a-zA-Z0-9\-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)*\.?$")
        .expect("a constant pattern")
});
#[expect(clippy::expect_used, reason = "constant patterns, compiled by the tests")]
static MAC: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$").expect("a constant pattern"));
#[expect(clippy::expect_used, reason = "constant patterns, compiled by the tests")]
static URI: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^([a-zA-Z][a-zA-Z0-9+.\-]*:\S+|/\S*)$").expect("a constant pattern"));

/// Whether `text` has the form that `format` names; unknown formats take anything.
pub(crate) fn is_valid(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => is_date_time(text),
        "date" => text.len() == 10 && Date::from_str(text).is_ok(),
        "duration" => text == "0" || DURATION.is_match(text) || WORDY_DURATION.is_match(text),
        "byte" => STANDARD.decode(text).is_ok(),
        "uuid" => UUID.is_match(text),
        "email" => EMAIL.is_match(text),
        "hostname" => text.len() <= 255 && HOSTNAME.is_match(text),
        "ipv4" => Ipv4Addr::from_str(text).is_ok(),
        "ipv6" => Ipv6Addr::from_str(text).is_ok(),
        "cidr" => is_cidr(text),
        "mac" => MAC.is_match(text),
        "uri" => URI.is_match(text),
        _ => true,
    }
}

fn is_date_time(text: &str) -> bool {
    // jiff also takes a space or a missing offset's bracketed zone; RFC 3339 does not.
    text.len() >= 20
        && text.as_bytes()[10].eq_ignore_ascii_case(&b'T')
        && !text.contains('[')
        && Timestamp::from_str(text).is_ok()
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let Ok(bits) = bits.parse::<u8>() else { return false };
    (Ipv4Addr::from_str(address).is_ok() && bits <= 32)
        || (Ipv6Addr::from_str(address).is_ok() && bits <= 128)
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn formats_take_what_they_name_and_nothing_else() {
        for (format, good, bad) in [
            ("date-time", "2026-01-02T03:04:05Z", "2026-01-02 03:04:05Z"),
            ("date", "2026-01-02", "2026-13-02"),
            ("duration", "1h30m", "soon"),
            ("byte", "aGVsbG8=", "a"),
            ("uuid", "d0819d32-b756-4b3e-a9d1-9fcc61713352", "d0819d32"),
            ("email", "a@b.io", "a.b.io"),
            ("hostname", "a-b.io", "-a.io"),
            ("ipv4", "10.0.0.1", "10.0.0.256"),
            ("ipv6", "::1", "1::2::3"),
            ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
            ("mac", "00:11:22:33:44:55", "00:11"),
            ("uri", "https://a/b", "no uri"),
        ] {
            assert!(is_valid(format, good), "{format} {good}");
            assert!(!is_valid(format, bad), "{format} {bad}");
        }
        assert!(is_valid("made-up", "anything"));
    }
}
