//! Label and field selectors.

use serde_json::Value;

use crate::kind::Endpoint;
use crate::status::ApiError;

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Exists,
    Missing,
    In(Vec<String>),
    NotIn(Vec<String>),
    Less(i64),
    Greater(i64),
}

#[derive(Debug, Clone, PartialEq)]
struct LabelTest {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
struct FieldTest {
    path: Vec<String>,
    value: String,
    equal: bool,
}

/// Both selectors of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    labels: Vec<LabelTest>,
    fields: Vec<FieldTest>,
}

impl Selector {
    pub(crate) fn parse(labels: &str, fields: &str, endpoint: &Endpoint) -> Result<Self, ApiError> {
        Ok(Self { labels: parse_labels(labels)?, fields: parse_fields(fields, endpoint)? })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether a *stored* object is selected.
    pub(crate) fn matches(&self, stored: &Value) -> bool {
        self.labels.iter().all(|test| test.matches(&stored["metadata"]["labels"]))
            && self.fields.iter().all(|test| test.matches(stored))
    }
}

impl LabelTest {
    fn matches(&self, labels: &Value) -> bool {
        let value = labels.get(&self.key).and_then(Value::as_str);
        let number = || value.and_then(|text| text.parse::<i64>().ok());
        match &self.test {
            Test::Exists => value.is_some(),
            Test::Missing => value.is_none(),
            Test::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Test::NotIn(values) => value.is_none_or(|value| values.iter().all(|one| one != value)),
            Test::Less(bound) => number().is_some_and(|number| number < *bound),
            Test::Greater(bound) => number().is_some_and(|number| number > *bound),
        }
    }
}

impl FieldTest {
    fn matches(&self, stored: &Value) -> bool {
        let mut found = stored;
        for name in &self.path {
            found = &found[name.as_str()];
        }
        let text = match found {
            Value::String(text) => text.clone(),
            Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
            other => other.to_string(),
        };
        (text == self.value) == self.equal
    }
}

fn bad_labels(text: &str, why: &str) -> ApiError {
    ApiError::bad_request(format!("unable to parse requirement: {why} in label selector {text:?}"))
}

fn parse_labels(text: &str) -> Result<Vec<LabelTest>, ApiError> {
    split_outside_parentheses(text).into_iter().map(|part| parse_label(part.trim(), text)).collect()
}

/// Commas inside of `in (a,b)` do not separate requirements.
fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut inside = false;
    for (at, character) in text.char_indices() {
        match character {
            '(' => inside = true,
            ')' => inside = false,
            ',' if !inside => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if !text[start..].trim().is_empty() || start > 0 {
        parts.push(&text[start..]);
    }
    parts
}

fn parse_label(part: &str, whole: &str) -> Result<LabelTest, ApiError> {
    let make = |key: &str, test: Test| {
        let key = key.trim();
        if is_label_key(key) {
            Ok(LabelTest { key: key.to_owned(), test })
        } else {
            Err(bad_labels(whole, &format!("invalid label key {key:?}")))
        }
    };
    if let Some(key) = part.strip_prefix('!') {
        return make(key, Test::Missing);
    }
    if let Some(open) = part.find('(') {
        let values = part[open + 1..].strip_suffix(')').ok_or_else(|| bad_labels(whole, "')' is missing"))?;
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        let mut words = part[..open].split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => make(key, Test::In(values)),
            (Some(key), Some("notin"), None) => make(key, Test::NotIn(values)),
            _ => Err(bad_labels(whole, "expected 'in' or 'notin'")),
        };
    }
    for (operator, equal) in [("!=", false), ("==", true), ("=", true)] {
        if let Some((key, value)) = part.split_once(operator) {
            let values = vec![value.trim().to_owned()];
            return make(key, if equal { Test::In(values) } else { Test::NotIn(values) });
        }
    }
    for (operator, less) in [('<', true), ('>', false)] {
        if let Some((key, value)) = part.split_once(operator) {
            let bound = value.trim().parse().map_err(|_| bad_labels(whole, "expected an integer"))?;
            return make(key, if less { Test::Less(bound) } else { Test::Greater(bound) });
        }
    }
    make(part, Test::Exists)
}

fn is_label_key(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
}

fn parse_fields(text: &str, endpoint: &Endpoint) -> Result<Vec<FieldTest>, ApiError> {
    text.split(',').filter(|part| !part.is_empty()).map(|part| parse_field(part, endpoint)).collect()
}

fn parse_field(part: &str, endpoint: &Endpoint) -> Result<FieldTest, ApiError> {
    let (field, value, equal) = if let Some((field, value)) = part.split_once("!=") {
        (field, value, false)
    } else if let Some((field, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        (field, value, true)
    } else {
        return Err(ApiError::bad_request(format!("invalid selector: '{part}'; can't understand '{part}'")));
    };
    let known = matches!(field, "metadata.name" | "metadata.namespace")
        || endpoint.version().selectable.iter().any(|one| one == field);
    if !known {
        return Err(ApiError::bad_request(format!("field label not supported: {field}")));
    }
    // An Event's `source` selector means the component, as stored.
    let field = if field == "source" { "source.component" } else { field };
    Ok(FieldTest { path: field.split('.').map(str::to_owned).collect(), value: value.to_owned(), equal })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selects(selector: &str, labels: &Value) -> bool {
        parse_labels(selector).unwrap().iter().all(|test| test.matches(labels))
    }

    #[test]
    fn label_selectors_mean_what_kubernetes_says() {
        let labels = json!({"app": "web", "tier": "3"});
        for yes in [
            "",
            "app=web",
            "app==web",
            "app!=db",
            "app in (db, web),tier",
            "app notin (db)",
            "!gone",
            "tier>2",
        ] {
            assert!(selects(yes, &labels), "{yes}");
        }
        for no in [
            "app=db",
            "app!=web",
            "app in (db)",
            "app notin (web,db)",
            "gone",
            "!app",
            "tier<3",
            "app=web,gone",
        ] {
            assert!(!selects(no, &labels), "{no}");
        }
        assert!(selects("gone!=x", &labels), "a missing label differs from every value");
    }

    #[test]
    fn broken_label_selectors_are_refused() {
        for broken in ["app in web", "app in (web", "a b", "app~web", ",", "tier>x"] {
            assert!(parse_labels(broken).is_err(), "{broken}");
        }
    }
}
