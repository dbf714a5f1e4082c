//! JSONPath (RFC 9535) over the claims of a token.

use std::fmt;

use jsonpath_rust::parser::model::{JpQuery, Segment, Selector};
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde_json::Value;

/// Longest path in bytes.
const MAX_PATH_BYTES: usize = 512;

/// A parsed path.
#[derive(Clone)]
pub(crate) struct ClaimPath {
    query: JpQuery,
    text: String,
    singular: bool,
}

impl fmt::Debug for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl ClaimPath {
    /// The path, or what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > MAX_PATH_BYTES {
            return Err(format!("must be a JSONPath of 1 to {MAX_PATH_BYTES} bytes, such as $.sub"));
        }
        // Each `..` walks the whole document for each result of the one before it: two would be quadratic.
        if text.matches("..").count() > 1 {
            return Err("has more than one `..`: name the way down instead".to_owned());
        }
        let query = parse_json_path(text).map_err(|error| {
            format!("is not a JSONPath (RFC 9535), such as $.sub or $['a claim'][*]: {error}")
        })?;
        let singular = query.segments.iter().all(is_singular);
        Ok(Self { query, text: text.to_owned(), singular })
    }

    /// Whether the path names at most one place, however the claims look.
    pub(crate) fn is_singular(&self) -> bool {
        self.singular
    }

    /// The values at the path; `null` counts as absent.
    pub(crate) fn values<'c>(&self, claims: &'c Value) -> Vec<&'c Value> {
        // The only error is a path that computes a value instead of finding one; it finds nothing.
        let found = js_path_process(&self.query, claims).unwrap_or_default();
        found.into_iter().map(jsonpath_rust::query::QueryRef::val).filter(|value| !value.is_null()).collect()
    }
}

fn is_singular(segment: &Segment) -> bool {
    matches!(segment, Segment::Selector(Selector::Name(_) | Selector::Index(_)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn find(path: &str) -> Vec<Value> {
        let claims = json!({
            "sub": "ravi", "nothing": null, "realm_access": { "roles": ["a", "b"] },
            "https://acme.com/groups": [{ "name": "x", "kind": "role" }, { "name": "y", "kind": "team" }]
        });
        ClaimPath::parse(path).unwrap().values(&claims).into_iter().cloned().collect()
    }

    #[test]
    fn paths_find_members_elements_and_filtered_elements() {
        assert_eq!(find("$.sub"), [json!("ravi")]);
        assert_eq!(find("$.realm_access.roles"), [json!(["a", "b"])]);
        assert_eq!(find("$.realm_access.roles[*]"), [json!("a"), json!("b")]);
        assert_eq!(find("$['https://acme.com/groups'][?(@.kind == 'role')].name"), [json!("x")]);
        assert_eq!(find("$.sub.deeper"), Vec::<Value>::new());
        assert_eq!(find("$.nothing"), Vec::<Value>::new());
        assert_eq!(find("$.absent[*].x"), Vec::<Value>::new());
    }

    #[test]
    fn a_path_knows_whether_it_can_find_more_than_one_value() {
        for (path, singular) in [
            ("$.a", true),
            ("$['a'].b", true),
            ("$.a[0]", true),
            ("$.a[*]", false),
            ("$.a[0:2]", false),
            ("$..a", false),
            ("$['a','b']", false),
            ("$.a[?(@.b)]", false),
        ] {
            assert_eq!(ClaimPath::parse(path).unwrap().is_singular(), singular, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_or_too_costly_is_refused() {
        for path in
            ["", "sub", ".sub", "$.", "$[", "$..a..b", &format!("$.{}", "a".repeat(511)), &"[(".repeat(200)]
        {
            assert!(ClaimPath::parse(path).is_err(), "{path}");
        }
    }
}
