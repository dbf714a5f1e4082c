//! The path of a schema's route, taken apart without decoding: names have no character that needs an escape, so what is
//! escaped, or contains `..`, is simply no name. Only a record's id is decoded.

use std::borrow::Cow;

use super::Malformed;
use super::query::percent_decode;

const PREFIX: &str = "/api/";

/// `org/app/domain/object/version` of a path below `/api/`, and what follows it without its leading slash.
pub(crate) fn schema_route(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix(PREFIX)?;
    let mut slashes = rest.bytes().enumerate().filter(|(_, b)| *b == b'/').map(|(at, _)| at);
    let fourth = slashes.nth(3)?;
    match slashes.next() {
        Some(fifth) => Some((&rest[..fifth], &rest[fifth + 1..])),
        None if fourth + 1 < rest.len() => Some((rest, "")),
        None => None,
    }
}

/// The record's id: the first segment of what follows the schema's path, decoded once.
pub(crate) fn record_id(tail: &str) -> Result<Cow<'_, str>, Malformed> {
    let segment = tail.split('/').next().unwrap_or_default();
    percent_decode(segment)
        .map_err(|_| Malformed::new("the record's id in the path is not percent-encoded UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split_after_the_version() {
        assert_eq!(schema_route("/api/a/b/c/d/v1"), Some(("a/b/c/d/v1", "")));
        assert_eq!(schema_route("/api/a/b/c/d/v1/"), Some(("a/b/c/d/v1", "")));
        assert_eq!(schema_route("/api/a/b/c/d/v1/id/history"), Some(("a/b/c/d/v1", "id/history")));
        for other in ["/api", "/api/", "/api/a/b/c/d", "/api/a/b/c/d/", "/auth/whoami", "/apis/a/b/c/d/v1"] {
            assert_eq!(schema_route(other), None, "{other}");
        }
    }

    #[test]
    fn escapes_and_dots_never_become_another_schemas_path() {
        assert_eq!(schema_route("/api/a/b/c%2Fd/o/v1").unwrap().0, "a/b/c%2Fd/o/v1");
        assert_eq!(schema_route("/api/x/../a/b/c/d/v1").unwrap().0, "x/../a/b/c");
    }

    #[test]
    fn an_id_is_decoded_once_and_may_hold_a_slash() {
        assert_eq!(record_id("PO-1").unwrap(), "PO-1");
        assert_eq!(record_id("a%2Fb/history").unwrap(), "a/b");
        assert_eq!(record_id("a%252Fb").unwrap(), "a%2Fb");
        assert_eq!(record_id("a+b").unwrap(), "a+b");
        assert_eq!(record_id("%C3%A9").unwrap(), "é");
        assert!(record_id("%ff").is_err() && record_id("%zz").is_err() && record_id("%").is_err());
    }
}
