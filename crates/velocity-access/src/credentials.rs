//! What a request brings to say who sends it.

use std::net::IpAddr;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, Method};

use crate::bearer;
use crate::error::{AuthError, TokenRefusal};

/// The parts of a request that authentication looks at. Nothing else of it counts: no query parameter, no body.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'r> {
    /// All headers of the request.
    pub headers: &'r HeaderMap,
    /// The method: what changes something needs more than a cookie.
    pub method: &'r Method,
    /// The client's address, as far as it can be trusted.
    pub ip: Option<IpAddr>,
}

impl<'r> Credentials<'r> {
    /// The token of the one `Authorization: Bearer` header. [`AuthError::Required`] where none was sent.
    pub fn bearer(&self) -> Result<&'r [u8], AuthError> {
        bearer::token(self.headers.get_all(AUTHORIZATION).iter().map(http::HeaderValue::as_bytes))
    }

    /// The value of a header that may be sent once, without the blanks around it. An empty one was not sent.
    pub fn one(&self, name: &HeaderName) -> Result<Option<&'r [u8]>, TokenRefusal> {
        let mut values = self.headers.get_all(name).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(TokenRefusal::AmbiguousHeader);
        }
        Ok(Some(value.as_bytes().trim_ascii()).filter(|value| !value.is_empty()))
    }

    /// The value of the cookie with this exact name. Two cookies of one name are refused: the second may have been put
    /// there by a neighbouring host.
    pub fn cookie(&self, name: &str) -> Result<Option<&'r [u8]>, TokenRefusal> {
        let cookies =
            self.headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|b| *b == b';'));
        let mut found = None;
        for cookie in cookies {
            let cookie = cookie.trim_ascii();
            let Some(equals) = cookie.iter().position(|b| *b == b'=') else { continue };
            if &cookie[..equals] == name.as_bytes() {
                if found.is_some() {
                    return Err(TokenRefusal::AmbiguousCookie);
                }
                found = Some(&cookie[equals + 1..]);
            }
        }
        Ok(found.filter(|value| !value.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(sent: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn cookie(sent: &[(&'static str, &'static str)]) -> Result<Option<String>, TokenRefusal> {
        let headers = headers(sent);
        let credentials = Credentials { headers: &headers, method: &Method::GET, ip: None };
        credentials.cookie("s").map(|found| found.map(|value| String::from_utf8_lossy(value).into_owned()))
    }

    #[test]
    fn a_cookie_is_found_by_its_exact_name_in_any_of_the_headers() {
        assert_eq!(cookie(&[("cookie", "a=1; s=x=y; S=2")]), Ok(Some("x=y".to_owned())));
        assert_eq!(cookie(&[("cookie", "a=1"), ("cookie", "s=2")]), Ok(Some("2".to_owned())));
        for none in ["", "s", "s=", "ss=1", "as=1; b=s=1", ";;=;"] {
            assert_eq!(cookie(&[("cookie", none)]), Ok(None), "{none}");
        }
    }

    #[test]
    fn two_cookies_or_headers_of_one_name_are_refused() {
        assert_eq!(cookie(&[("cookie", "s=1; s=1")]), Err(TokenRefusal::AmbiguousCookie));
        assert_eq!(cookie(&[("cookie", "s=1"), ("cookie", "s=2")]), Err(TokenRefusal::AmbiguousCookie));
        let twice = headers(&[("x-api-key", "a"), ("x-api-key", "a")]);
        let credentials = Credentials { headers: &twice, method: &Method::GET, ip: None };
        let name = HeaderName::from_static("x-api-key");
        assert_eq!(credentials.one(&name), Err(TokenRefusal::AmbiguousHeader));
    }
}
