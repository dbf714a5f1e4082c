//! The cookies of sessions and of sign-ins under way, as the browser is told to keep them.

use http::HeaderValue;
use jiff::Timestamp;
use velocity_access::oidc::{LOGIN_COOKIE, LOGIN_SECONDS, SESSION_COOKIE};

/// What every cookie of ours says. `__Host-` in its name makes browsers insist on it: over TLS only (or from this very
/// machine), for this host and no neighbour, unreadable for scripts, and not sent with what other sites' pages post.
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";

/// Keeps the session's secret until the session ends.
pub(super) fn session(secret: &str, ends: Timestamp, now: Timestamp) -> Option<HeaderValue> {
    cookie(SESSION_COOKIE, secret, ends.as_second().saturating_sub(now.as_second()))
}

/// Keeps the state of a sign-in.
pub(super) fn login(state: &str) -> Option<HeaderValue> {
    cookie(LOGIN_COOKIE, state, LOGIN_SECONDS)
}

/// Forgets the session.
pub(super) fn no_session() -> Option<HeaderValue> {
    cookie(SESSION_COOKIE, "", 0)
}

/// Forgets the sign-in.
pub(super) fn no_login() -> Option<HeaderValue> {
    cookie(LOGIN_COOKIE, "", 0)
}

/// `None` for a value that no cookie can hold, which none of ours is.
fn cookie(name: &str, value: &str, seconds: i64) -> Option<HeaderValue> {
    let is_value = value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let text = format!("{name}={value}; {ATTRIBUTES}; Max-Age={}", seconds.max(0));
    is_value.then(|| HeaderValue::from_str(&text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_for_this_host_over_tls_and_not_for_scripts() {
        let ends = Timestamp::from_second(3_600).unwrap();
        assert_eq!(
            session("abc", ends, Timestamp::UNIX_EPOCH).unwrap(),
            "__Host-velocity_session=abc; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=3600"
        );
        assert_eq!(
            no_login().unwrap(),
            "__Host-velocity_login=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"
        );
    }

    #[test]
    fn a_value_cannot_add_attributes_of_its_own() {
        for value in ["a; Domain=evil.com", "a b", "a,b", "a\r\nb", "ä"] {
            assert_eq!(login(value), None, "{value:?}");
        }
    }
}
