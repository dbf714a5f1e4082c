//! Whether a request that came with a cookie was sent by a page of ours. The browser adds the cookie to any request, so
//! the cookie alone proves nothing of it.

use http::header::ORIGIN;
use http::{HeaderName, Method};

use super::secret::are_equal;
use crate::credentials::Credentials;
use crate::error::TokenRefusal;

/// What a request that changes something must carry beside the cookie.
const X_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");
/// Where the request comes from, as browsers say it and pages cannot.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request with a cookie is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrossSite {
    /// Without the token.
    #[error(
        "a request with the session cookie that changes something needs the header X-CSRF-Token: take csrfToken from GET /auth/whoami"
    )]
    TokenMissing,
    /// With another token.
    #[error(
        "the header X-CSRF-Token is not that of this session: take csrfToken from GET /auth/whoami again"
    )]
    TokenWrong,
    /// Nothing says which page sent it.
    #[error(
        "a request with the session cookie that changes something needs the header Origin or Sec-Fetch-Site, as browsers send them"
    )]
    OriginMissing,
    /// A page of another origin sent it.
    #[error(
        "a request with the session cookie that changes something must come from a page of this origin (that of the AuthStrategy's redirectUri)"
    )]
    OtherOrigin,
}

/// Whether a request with the cookie of a session with `token` may go on. `origin` is ours, as browsers see it.
pub(super) fn check(credentials: &Credentials<'_>, token: &str, origin: &str) -> Result<(), TokenRefusal> {
    if is_safe(credentials.method) {
        return Ok(());
    }
    let site = credentials.one(&SEC_FETCH_SITE)?;
    let from = credentials.one(&ORIGIN)?;
    if site.is_none() && from.is_none() {
        return Err(CrossSite::OriginMissing.into());
    }
    if site.is_some_and(|site| site != b"same-origin") || from.is_some_and(|from| from != origin.as_bytes()) {
        return Err(CrossSite::OtherOrigin.into());
    }
    let sent = credentials.one(&X_CSRF_TOKEN)?.ok_or(CrossSite::TokenMissing)?;
    if are_equal(sent, token.as_bytes()) { Ok(()) } else { Err(CrossSite::TokenWrong.into()) }
}

/// Methods that change nothing (RFC 9110, section 9.2.1). TRACE is not taken anywhere.
fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    const OURS: &str = "https://v.acme.com";

    fn decide(method: &Method, sent: &[(&'static str, &'static str)]) -> Result<(), TokenRefusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, value.parse().unwrap());
        }
        check(&Credentials { headers: &headers, method, ip: None }, "secret", OURS)
    }

    #[test]
    fn reading_needs_nothing_beside_the_cookie() {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert_eq!(decide(&method, &[("origin", "https://evil.com")]), Ok(()));
        }
    }

    #[test]
    fn a_page_of_ours_with_the_token_may_write() {
        let token = ("x-csrf-token", "secret");
        let (origin, site) = (("origin", OURS), ("sec-fetch-site", "same-origin"));
        for sent in [&[token, origin, site][..], &[token, origin], &[token, site]] {
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                assert_eq!(decide(&method, sent), Ok(()), "{sent:?}");
            }
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        let (token, origin) = (("x-csrf-token", "secret"), ("origin", OURS));
        let post = |sent: &[_]| decide(&Method::POST, sent).unwrap_err();
        assert_eq!(post(&[]), CrossSite::OriginMissing.into());
        assert_eq!(post(&[token]), CrossSite::OriginMissing.into());
        assert_eq!(post(&[origin]), CrossSite::TokenMissing.into());
        assert_eq!(post(&[origin, ("x-csrf-token", "")]), CrossSite::TokenMissing.into());
        assert_eq!(post(&[origin, ("x-csrf-token", "secre")]), CrossSite::TokenWrong.into());
        assert_eq!(post(&[origin, token, token]), TokenRefusal::AmbiguousHeader);
    }

    #[test]
    fn any_sign_of_another_origin_refuses_even_with_the_token() {
        let token = ("x-csrf-token", "secret");
        for origin in [
            "https://evil.com",
            "null",
            "http://v.acme.com",
            "https://v.acme.com:444",
            "https://v.acme.com.evil.com",
            "https://v.acme.com/",
        ] {
            let refused =
                decide(&Method::POST, &[token, ("origin", origin), ("sec-fetch-site", "same-origin")]);
            assert_eq!(refused, Err(CrossSite::OtherOrigin.into()), "{origin}");
        }
        for site in ["cross-site", "same-site", "none", "Same-Origin"] {
            let refused = decide(&Method::POST, &[token, ("origin", OURS), ("sec-fetch-site", site)]);
            assert_eq!(refused, Err(CrossSite::OtherOrigin.into()), "{site}");
        }
    }
}
