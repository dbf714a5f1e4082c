//! Where a browser goes after the sign-in: a place of ours and nowhere else.

use reqwest::Url;

/// Longest path in bytes: it travels in a cookie.
const MAX_BYTES: usize = 1024;

/// A path on this server, with its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnPath(String);

/// Why a text is no place of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "returnTo must be a path on this server of at most {MAX_BYTES} bytes, such as /orders?page=2: one `/` first, no backslashes, blanks or control characters"
)]
pub struct NotLocal;

impl ReturnPath {
    /// The path, if every browser takes it for one on the server that sends it.
    ///
    /// Browsers read `//host`, `/\host` and both with tabs in between as other hosts, so only plain visible characters
    /// are taken, and a URL parser that does what browsers do must come to the same host.
    pub fn parse(text: &str) -> Result<Self, NotLocal> {
        let is_plain = text.len() <= MAX_BYTES
            && text.starts_with('/')
            && !text.starts_with("//")
            && text.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'\\');
        let stays = |base: &Url| {
            base.join(text).is_ok_and(|to| to.origin() == base.origin() && to.username().is_empty())
        };
        let here = Url::parse("https://velocity.invalid/auth/callback").map_err(|_| NotLocal)?;
        if is_plain && stays(&here) { Ok(Self(text.to_owned())) } else { Err(NotLocal) }
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ReturnPath {
    /// Where one sees who has signed in.
    fn default() -> Self {
        Self("/auth/whoami".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_ours_are_taken_as_they_are() {
        for path in [
            "/",
            "/orders",
            "/orders?page=2&filter[a]=b#top",
            "/a/%2F%2Fevil.com",
            "/@evil.com",
            "/a:b",
            "/..//evil",
        ] {
            assert_eq!(ReturnPath::parse(path).map(|p| p.0), Ok(path.to_owned()), "{path}");
        }
        assert!(ReturnPath::parse(ReturnPath::default().as_str()).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_taken_stays_on_the_server_that_sends_it(
            text in r"[/\\\\a-z:@?#.%\t\n 0-9-]{0,24}", any in ".{0,40}"
        ) {
            let here = Url::parse("https://v.acme.com/auth/callback").unwrap();
            for text in [text, format!("/{any}"), any] {
                if let Ok(path) = ReturnPath::parse(&text) {
                    let to = here.join(path.as_str()).unwrap();
                    proptest::prop_assert_eq!(to.origin(), here.origin());
                    proptest::prop_assert!(to.username().is_empty());
                }
            }
        }
    }

    #[test]
    fn other_hosts_are_refused_however_they_are_written() {
        let long = format!("/{}", "a".repeat(MAX_BYTES));
        for path in [
            "",
            "orders",
            "https://evil.com",
            "HTTPS:evil.com",
            "//evil.com",
            "///evil.com",
            "/\\evil.com",
            "\\/evil.com",
            "/\t/evil.com",
            "/\n/evil.com",
            "\t//evil.com",
            " //evil.com",
            "/ /evil.com",
            "/a\r\nSet-Cookie: x=y",
            "javascript:alert(1)",
            "data:text/html,x",
            "/\u{2028}/evil.com",
            "/ä",
            &long,
        ] {
            assert_eq!(ReturnPath::parse(path), Err(NotLocal), "{path:?}");
        }
    }
}
