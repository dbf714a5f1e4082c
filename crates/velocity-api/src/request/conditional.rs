//! `If-Match` and `If-None-Match` (RFC 9110, section 13) over tags that are versions.

use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName};

use super::Malformed;

/// What a conditional header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tags {
    /// `*`: whichever there is.
    Any,
    /// One of these tags, in the order of the header. Empty where every tag was of a kind that cannot match.
    OneOf(Vec<Tag>),
}

/// An entity tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) weak: bool,
    /// Without its quotes.
    pub(crate) opaque: String,
}

/// `If-Match`, or `None` where it was not sent.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<Tags>, Malformed> {
    read(headers, &IF_MATCH)
}

/// `If-None-Match`, or `None` where it was not sent.
pub(crate) fn if_none_match(headers: &HeaderMap) -> Result<Option<Tags>, Malformed> {
    read(headers, &IF_NONE_MATCH)
}

impl Tags {
    /// The versions that `If-Match` takes. Comparison is strong, so weak tags and tags that no version has are left out.
    pub(crate) fn versions(&self) -> Option<Vec<i64>> {
        match self {
            Self::Any => None,
            Self::OneOf(tags) => {
                Some(tags.iter().filter(|tag| !tag.weak).filter_map(|tag| version(&tag.opaque)).collect())
            }
        }
    }

    /// Whether `If-None-Match` finds what has the tag `current`. Comparison is weak.
    pub(crate) fn matches_weakly(&self, current: &str) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.iter().any(|tag| tag.opaque == current),
        }
    }
}

/// A version as we write it: no sign, no leading zero.
fn version(text: &str) -> Option<i64> {
    let canonical = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    canonical.then(|| text.parse().ok()).flatten()
}

fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, Malformed> {
    let mut tags = Vec::new();
    let mut star = false;
    let mut lines = 0;
    for line in headers.get_all(name) {
        lines += 1;
        let Ok(text) = line.to_str() else { return Err(malformed(name)) };
        if text.trim() == "*" {
            star = true;
        } else {
            parse_list(text, &mut tags).ok_or_else(|| malformed(name))?;
        }
    }
    match (lines, star, tags.is_empty()) {
        (0, ..) => Ok(None),
        (1, true, true) => Ok(Some(Tags::Any)),
        (_, false, false) => Ok(Some(Tags::OneOf(tags))),
        _ => Err(malformed(name)),
    }
}

fn malformed(name: &HeaderName) -> Malformed {
    let name = if *name == IF_MATCH { "If-Match" } else { "If-None-Match" };
    Malformed(format!("the header {name} must be a list of quoted tags such as `\"3\"`, or `*`"))
}

/// `[W/]"opaque"` separated by commas; empty elements are allowed in lists (RFC 9110, section 5.6.1).
fn parse_list(text: &str, tags: &mut Vec<Tag>) -> Option<()> {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Some(());
        }
        let weak = rest.starts_with("W/");
        let quoted = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
        let (opaque, after) = quoted.split_once('"')?;
        let is_tag_char = |b: u8| b == 0x21 || (0x23..=0x7e).contains(&b);
        if !opaque.bytes().all(is_tag_char) {
            return None;
        }
        tags.push(Tag { weak, opaque: opaque.to_owned() });
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> Result<Option<Tags>, Malformed> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IF_MATCH, value.parse().unwrap());
        }
        if_match(&headers)
    }

    fn versions(value: &str) -> Option<Vec<i64>> {
        parse(&[value]).unwrap().unwrap().versions()
    }

    #[test]
    fn lists_stars_and_several_lines_are_read() {
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&["*"]), Ok(Some(Tags::Any)));
        assert_eq!(versions("\"3\""), Some(vec![3]));
        assert_eq!(versions("\"3\", \"4\",,\"5\" "), Some(vec![3, 4, 5]));
        assert_eq!(parse(&["\"3\"", "\"4\""]).unwrap().unwrap().versions(), Some(vec![3, 4]));
    }

    #[test]
    fn if_match_compares_strongly_so_weak_and_foreign_tags_match_nothing() {
        for value in ["W/\"3\"", "\"abc\"", "\"03\"", "\"+3\"", "\"-3\"", "\"\"", "\"99999999999999999999\""]
        {
            assert_eq!(versions(value), Some(vec![]), "{value}");
        }
    }

    #[test]
    fn if_none_match_compares_weakly() {
        let tags = parse(&["W/\"3\", \"5\""]).unwrap().unwrap();
        assert!(tags.matches_weakly("3") && tags.matches_weakly("5") && !tags.matches_weakly("4"));
        assert!(Tags::Any.matches_weakly("anything"));
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused() {
        for bad in ["3", "\"3", "\"3\" \"4\"", "w/\"3\"", "*, \"3\"", "", " ", ",", "\"a b\""] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
        assert!(parse(&["*", "*"]).is_err());
        assert!(parse(&["*", "\"3\""]).is_err());
    }
}
