//! The rules for `metadata`, in the real server's words.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use crate::field_error::FieldError;

/// Annotations together, in bytes.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

#[expect(clippy::expect_used, reason = "constant patterns, compiled by the tests")]
static SUBDOMAIN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
        .expect("a constant pattern")
});
#[expect(clippy::expect_used, reason = "constant patterns, compiled by the tests")]
static LABEL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$").expect("a constant pattern"));
#[expect(clippy::expect_used, reason = "constant patterns, compiled by the tests")]
static QUALIFIED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$").expect("a constant pattern"));

const SUBDOMAIN_WORDS: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' \
    or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_WORDS: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and \
    must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED_WORDS: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and \
    end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_WORDS: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
    '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex \
    used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// How a kind's names must look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameRule {
    Subdomain,
    Label,
}

/// Why a name is refused, if it is.
fn name_faults(name: &str, rule: NameRule) -> Vec<String> {
    let (limit, pattern, words) = match rule {
        NameRule::Subdomain => (253, &SUBDOMAIN, SUBDOMAIN_WORDS),
        NameRule::Label => (63, &LABEL, LABEL_WORDS),
    };
    let mut faults = Vec::new();
    if name.len() > limit {
        faults.push(format!("must be no more than {limit} characters"));
    }
    if !pattern.is_match(name) {
        let is_dotted = rule == NameRule::Label && SUBDOMAIN.is_match(name);
        faults.push(if is_dotted { "must not contain dots".to_owned() } else { words.to_owned() });
    }
    faults
}

fn qualified_name_faults(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let part = match name.split_once('/') {
        None => name,
        Some((prefix, rest)) if !rest.contains('/') => {
            if prefix.is_empty() {
                faults.push("prefix part must be non-empty".to_owned());
            } else {
                let wrong = name_faults(prefix, NameRule::Subdomain);
                faults.extend(wrong.into_iter().map(|fault| format!("prefix part {fault}")));
            }
            rest
        }
        Some(_) => {
            return vec![format!(
                "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
                 an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
                 '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')"
            )];
        }
    };
    if part.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else if part.len() > 63 {
        faults.push("name part must be no more than 63 bytes".to_owned());
    }
    if !QUALIFIED.is_match(part) {
        faults.push(QUALIFIED_WORDS.to_owned());
    }
    faults
}

/// Violations in the metadata of an object, seen by itself.
pub(crate) fn check(metadata: &Value, rule: NameRule) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(prefix) = metadata["generateName"].as_str().filter(|prefix| !prefix.is_empty()) {
        // A dash at the end is in the middle once the suffix is there.
        let masked = prefix.strip_suffix('-').map_or_else(|| prefix.to_owned(), |start| format!("{start}a"));
        for fault in name_faults(&masked, rule) {
            errors.push(FieldError::invalid("metadata.generateName", json!(prefix), fault));
        }
    }
    let name = metadata["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else {
        for fault in name_faults(name, rule) {
            errors.push(FieldError::invalid("metadata.name", json!(name), fault));
        }
    }
    errors.extend(check_common(metadata));
    for finalizer in texts(&metadata["finalizers"]) {
        for fault in qualified_name_faults(finalizer) {
            errors.push(FieldError::invalid("metadata.finalizers", json!(finalizer), fault));
        }
    }
    errors
}

/// Violations in changed metadata.
pub(crate) fn check_changed(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if !old["deletionTimestamp"].is_null() {
        let before = texts(&old["finalizers"]);
        let mut added: Vec<&str> =
            texts(&new["finalizers"]).into_iter().filter(|finalizer| !before.contains(finalizer)).collect();
        added.sort_unstable();
        if !added.is_empty() {
            let quoted: Vec<String> = added.iter().map(|one| json!(one).to_string()).collect();
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                quoted.join(", ")
            );
            errors.push(FieldError::forbidden("metadata.finalizers", detail));
        }
    }
    for field in
        ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"]
    {
        if new[field] != old[field] {
            errors.push(FieldError::invalid(
                format!("metadata.{field}"),
                new[field].clone(),
                "field is immutable",
            ));
        }
    }
    errors.extend(check_common(new));
    errors
}

/// Warnings about finalizers that were added and are not named after a domain.
pub(crate) fn finalizer_warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let before = old.map(|old| texts(&old["finalizers"])).unwrap_or_default();
    let mut added: Vec<&str> =
        texts(&new["finalizers"]).into_iter().filter(|name| !before.contains(name)).collect();
    added.sort_unstable();
    added
        .into_iter()
        .filter(|name| !name.contains('/') && !["orphan", "foregroundDeletion", "kubernetes"].contains(name))
        .map(|name| {
            let how = if name.contains('.') { " including a path (/)" } else { "" };
            format!(
                "metadata.finalizers: {}: prefer a domain-qualified finalizer name{how} to avoid accidental conflicts \
                 with other finalizer writers",
                json!(name)
            )
        })
        .collect()
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn check_common(metadata: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in metadata["labels"].as_object().into_iter().flatten() {
        for fault in qualified_name_faults(key) {
            errors.push(FieldError::invalid("metadata.labels", json!(key), fault));
        }
        let value = value.as_str().unwrap_or_default();
        if value.len() > 63 {
            errors.push(FieldError::invalid(
                "metadata.labels",
                json!(value),
                "must be no more than 63 bytes",
            ));
        }
        if !value.is_empty() && !QUALIFIED.is_match(value) {
            errors.push(FieldError::invalid("metadata.labels", json!(value), VALUE_WORDS));
        }
    }
    let mut size = 0;
    for (key, value) in metadata["annotations"].as_object().into_iter().flatten() {
        size += key.len() + value.as_str().unwrap_or_default().len();
        for fault in qualified_name_faults(&key.to_lowercase()) {
            errors.push(FieldError::invalid("metadata.annotations", json!(key), fault));
        }
    }
    if size > ANNOTATIONS_LIMIT {
        errors.push(FieldError::too_long("metadata.annotations", ANNOTATIONS_LIMIT as u64));
    }
    errors.extend(check_owners(&metadata["ownerReferences"]));
    errors
}

fn check_owners(owners: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let path = "metadata.ownerReferences";
    let mut controller: Option<String> = None;
    for owner in owners.as_array().into_iter().flatten() {
        let text = |field: &str| owner[field].as_str().unwrap_or_default();
        for field in ["apiVersion", "kind", "name", "uid"] {
            if text(field).is_empty() {
                let detail =
                    if field == "apiVersion" { "version must not be empty" } else { "must not be empty" };
                errors.push(FieldError::invalid(format!("{path}.{field}"), json!(""), detail));
            }
        }
        if owner["controller"] == true {
            let this = format!("{}/{}", text("kind"), text("name"));
            if let Some(first) = &controller {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and \
                     {this}"
                );
                errors.push(FieldError::invalid(path, owners.clone(), detail));
            } else {
                controller = Some(this);
            }
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(errors: &[FieldError]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_name_must_be_a_dns_name() {
        let found = messages(&check(&json!({"name": "Not_ok"}), NameRule::Subdomain));
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("metadata.name: Invalid value: \"Not_ok\": a lowercase RFC 1123 subdomain")
        );
        assert!(check(&json!({"name": "a.b"}), NameRule::Subdomain).is_empty());
        assert_eq!(check(&json!({"name": "a.b"}), NameRule::Label).len(), 1);
    }

    #[test]
    fn a_deleted_object_takes_no_new_finalizers() {
        let old = json!({"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x/y"]});
        let mut new = old.clone();
        new["finalizers"] = json!(["x/y", "p/q"]);
        assert_eq!(
            messages(&check_changed(&new, &old)),
            [
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found \
                 new finalizers []string{\"p/q\"}"
            ]
        );
    }

    #[test]
    fn labels_and_owners_are_checked() {
        let metadata =
            json!({"name": "a", "labels": {"a b": "c", "ok": "-x"}, "ownerReferences": [{"kind": "K"}]});
        let paths: Vec<String> =
            check(&metadata, NameRule::Subdomain).into_iter().map(|error| error.path).collect();
        assert_eq!(
            paths,
            [
                "metadata.labels",
                "metadata.labels",
                "metadata.ownerReferences.apiVersion",
                "metadata.ownerReferences.name",
                "metadata.ownerReferences.uid"
            ]
        );
    }
}
