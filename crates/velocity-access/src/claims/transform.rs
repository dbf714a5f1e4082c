//! Steps over a list of texts, from what an issuer calls things to what we call them.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};
use velocity_contract::auth_strategy::{TransformSpec, TransformType, Unmatched};
use velocity_schema::Violations;

use crate::strategy::Scope;

/// Most texts between two steps. A token of 16 KiB cannot hold more roles than this for a good reason.
pub(crate) const MAX_VALUES: usize = 2048;
/// Most memory of one compiled pattern in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 18;

/// A validated step.
#[derive(Debug, Clone)]
pub(crate) enum Transform {
    Identity,
    PrefixStrip { prefix: String, unmatched: Unmatched },
    Split { separator: String },
    Uppercase,
    Lowercase,
    RegexExtract { pattern: Regex, group: usize, unmatched: Unmatched },
    StaticAppend { values: Vec<String> },
    Lookup { table: BTreeMap<String, Vec<String>>, unmatched: Unmatched },
}

/// More texts than any rule needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyValues;

impl Transform {
    /// The validated step at `path`.
    pub(crate) fn parse(spec: &TransformSpec, path: &str, violations: &mut Violations) -> Option<Self> {
        let mut scope = Scope::new(path, violations);
        refuse_foreign_fields(spec, &mut scope);
        let unmatched = spec.unmatched.unwrap_or_default();
        let transform = match spec.kind {
            TransformType::Identity => Some(Self::Identity),
            TransformType::Uppercase => Some(Self::Uppercase),
            TransformType::Lowercase => Some(Self::Lowercase),
            TransformType::PrefixStrip => filled(spec.prefix.as_deref(), "prefix", &mut scope)
                .map(|prefix| Self::PrefixStrip { prefix, unmatched }),
            TransformType::Split => filled(spec.separator.as_deref(), "separator", &mut scope)
                .map(|separator| Self::Split { separator }),
            TransformType::RegexExtract => parse_pattern(spec, &mut scope)
                .map(|(pattern, group)| Self::RegexExtract { pattern, group, unmatched }),
            TransformType::StaticAppend => parse_values(spec, &mut scope),
            TransformType::Lookup => match &spec.table {
                Some(table)
                    if (1..=1024).contains(&table.len()) && table.values().all(|to| to.len() <= 64) =>
                {
                    Some(Self::Lookup { table: table.clone(), unmatched })
                }
                Some(_) => {
                    scope.push("table", "length", "must have 1 to 1024 entries of at most 64 texts each");
                    None
                }
                None => missing("table", &mut scope),
            },
        };
        transform.filter(|_| scope.is_clean())
    }

    /// Whether one text can become several (or none can become one), so that the result is a list.
    pub(crate) fn makes_a_list(&self) -> bool {
        match self {
            Self::Split { .. } | Self::StaticAppend { .. } => true,
            Self::Lookup { table, .. } => table.values().any(|to| to.len() != 1),
            _ => false,
        }
    }

    /// The texts after this step.
    pub(crate) fn apply(&self, texts: Vec<String>) -> Result<Vec<String>, TooManyValues> {
        let texts: Vec<String> = match self {
            Self::Identity => texts,
            Self::Uppercase => texts.iter().map(|text| text.to_uppercase()).collect(),
            Self::Lowercase => texts.iter().map(|text| text.to_lowercase()).collect(),
            Self::PrefixStrip { prefix, unmatched } => {
                replace(texts, *unmatched, |text| text.strip_prefix(prefix).map(str::to_owned))
            }
            Self::RegexExtract { pattern, group, unmatched } => replace(texts, *unmatched, |text| {
                pattern
                    .captures(text)
                    .and_then(|found| found.get(*group))
                    .map(|part| part.as_str().to_owned())
            }),
            Self::Split { separator } => texts
                .iter()
                .flat_map(|text| text.split(separator.as_str()))
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .take(MAX_VALUES + 1)
                .map(str::to_owned)
                .collect(),
            Self::StaticAppend { values } => texts.into_iter().chain(values.iter().cloned()).collect(),
            Self::Lookup { table, unmatched } => texts
                .into_iter()
                .flat_map(|text| match (table.get(&text), unmatched) {
                    (Some(to), _) => to.clone(),
                    (None, Unmatched::Keep) => vec![text],
                    (None, Unmatched::Drop) => Vec::new(),
                })
                .take(MAX_VALUES + 1)
                .collect(),
        };
        if texts.len() > MAX_VALUES { Err(TooManyValues) } else { Ok(texts) }
    }
}

fn replace(texts: Vec<String>, unmatched: Unmatched, step: impl Fn(&str) -> Option<String>) -> Vec<String> {
    texts
        .into_iter()
        .filter_map(|text| step(&text).or_else(|| (unmatched == Unmatched::Keep).then_some(text)))
        .collect()
}

/// A field that belongs to another type of transform would be ignored: it is a mistake.
fn refuse_foreign_fields(spec: &TransformSpec, scope: &mut Scope<'_>) {
    use TransformType::{Lookup, PrefixStrip, RegexExtract, Split, StaticAppend};
    let fields: [(&str, bool, &[TransformType]); 7] = [
        ("prefix", spec.prefix.is_some(), &[PrefixStrip]),
        ("separator", spec.separator.is_some(), &[Split]),
        ("pattern", spec.pattern.is_some(), &[RegexExtract]),
        ("group", spec.group.is_some(), &[RegexExtract]),
        ("values", spec.values.is_some(), &[StaticAppend]),
        ("table", spec.table.is_some(), &[Lookup]),
        ("unmatched", spec.unmatched.is_some(), &[PrefixStrip, RegexExtract, Lookup]),
    ];
    for (name, present, kinds) in fields {
        if present && !kinds.contains(&spec.kind) {
            scope.push(name, "exclusive", "does not belong to this type of transform: remove it");
        }
    }
}

fn missing<T>(name: &str, scope: &mut Scope<'_>) -> Option<T> {
    scope.push(name, "required", "is missing: this type of transform needs it");
    None
}

fn filled(value: Option<&str>, name: &str, scope: &mut Scope<'_>) -> Option<String> {
    match value {
        None => missing(name, scope),
        Some(text) if text.is_empty() || text.len() > 256 => {
            scope.push(name, "length", "must be 1 to 256 bytes");
            None
        }
        Some(text) => Some(text.to_owned()),
    }
}

fn parse_pattern(spec: &TransformSpec, scope: &mut Scope<'_>) -> Option<(Regex, usize)> {
    let text = match spec.pattern.as_deref() {
        None => return missing("pattern", scope),
        Some(text) if text.is_empty() || text.len() > 512 => {
            scope.push("pattern", "length", "must be 1 to 512 bytes");
            return None;
        }
        Some(text) => text,
    };
    let pattern = match RegexBuilder::new(text).size_limit(MAX_PATTERN_BYTES).nest_limit(32).build() {
        Ok(pattern) => pattern,
        Err(error) => {
            scope.push("pattern", "format", format!("is not a regular expression: {error}"));
            return None;
        }
    };
    let group = spec.group.map_or(usize::from(pattern.captures_len() > 1), usize::from);
    if group >= pattern.captures_len() {
        let message = format!("is {group}, but the pattern's last group is {}", pattern.captures_len() - 1);
        scope.push("group", "max", message);
        return None;
    }
    Some((pattern, group))
}

fn parse_values(spec: &TransformSpec, scope: &mut Scope<'_>) -> Option<Transform> {
    match &spec.values {
        None => missing("values", scope),
        Some(values) if (1..=64).contains(&values.len()) && values.iter().all(|v| !v.is_empty()) => {
            Some(Transform::StaticAppend { values: values.clone() })
        }
        Some(_) => {
            scope.push("values", "length", "must be 1 to 64 texts that are not empty");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(spec: Value) -> Result<Transform, Violations> {
        let spec: TransformSpec = serde_json::from_value(spec).unwrap();
        let mut violations = Violations::default();
        let transform = Transform::parse(&spec, "t", &mut violations);
        transform.ok_or(violations)
    }

    fn apply(spec: Value, texts: &[&str]) -> Vec<String> {
        parse(spec).unwrap().apply(texts.iter().map(ToString::to_string).collect()).unwrap()
    }

    #[test]
    fn each_transform_does_what_its_name_says() {
        assert_eq!(apply(json!({ "type": "identity" }), &["A", "b"]), ["A", "b"]);
        assert_eq!(apply(json!({ "type": "uppercase" }), &["straße"]), ["STRASSE"]);
        assert_eq!(apply(json!({ "type": "lowercase" }), &["ÄB"]), ["äb"]);
        assert_eq!(apply(json!({ "type": "split", "separator": "," }), &["a, b,,", "c"]), ["a", "b", "c"]);
        assert_eq!(apply(json!({ "type": "staticAppend", "values": ["x"] }), &["a"]), ["a", "x"]);
        assert_eq!(apply(json!({ "type": "staticAppend", "values": ["x"] }), &[]), ["x"]);
    }

    #[test]
    fn what_does_not_match_is_dropped_unless_it_is_to_be_kept() {
        let strip = |unmatched| json!({ "type": "prefixStrip", "prefix": "app-", "unmatched": unmatched });
        assert_eq!(
            apply(json!({ "type": "prefixStrip", "prefix": "app-" }), &["app-a", "platform-admin"]),
            ["a"]
        );
        assert_eq!(apply(strip("keep"), &["app-a", "b"]), ["a", "b"]);
        assert_eq!(apply(strip("drop"), &["app-a", "b"]), ["a"]);
        let table = json!({ "g1": ["reader", "writer"], "g2": [] });
        assert_eq!(
            apply(json!({ "type": "lookup", "table": table }), &["g1", "g2", "g3"]),
            ["reader", "writer"]
        );
        assert_eq!(apply(json!({ "type": "lookup", "table": table, "unmatched": "keep" }), &["g3"]), ["g3"]);
    }

    #[test]
    fn regex_extract_keeps_a_group_the_first_one_or_the_match() {
        let extract = |pattern: &str, group: Option<u8>| {
            let mut spec = json!({ "type": "regexExtract", "pattern": pattern });
            if let Some(group) = group {
                spec["group"] = json!(group);
            }
            apply(spec, &["CN=admins,OU=acme", "nothing"])
        };
        assert_eq!(extract("CN=([^,]+),OU=(.+)", None), ["admins"]);
        assert_eq!(extract("CN=([^,]+),OU=(.+)", Some(2)), ["acme"]);
        assert_eq!(extract("CN=([^,]+),OU=(.+)", Some(0)), ["CN=admins,OU=acme"]);
        assert_eq!(extract("CN=[a-z]+", None), ["CN=admins"]);
        // A group that took no part in the match gives nothing.
        assert_eq!(extract("CN=(x)?", None), Vec::<String>::new());
    }

    #[test]
    fn missing_foreign_and_wrong_fields_are_named() {
        for (spec, path) in [
            (json!({ "type": "prefixStrip" }), "t.prefix"),
            (json!({ "type": "prefixStrip", "prefix": "" }), "t.prefix"),
            (json!({ "type": "split" }), "t.separator"),
            (json!({ "type": "regexExtract" }), "t.pattern"),
            (json!({ "type": "regexExtract", "pattern": "(" }), "t.pattern"),
            (json!({ "type": "regexExtract", "pattern": "a{1000}{1000}" }), "t.pattern"),
            (json!({ "type": "regexExtract", "pattern": "a", "group": 1 }), "t.group"),
            (json!({ "type": "staticAppend" }), "t.values"),
            (json!({ "type": "staticAppend", "values": [] }), "t.values"),
            (json!({ "type": "lookup" }), "t.table"),
            (json!({ "type": "lookup", "table": {} }), "t.table"),
            (json!({ "type": "identity", "prefix": "a" }), "t.prefix"),
            (json!({ "type": "split", "separator": ",", "unmatched": "keep" }), "t.unmatched"),
        ] {
            let violations = parse(spec.clone()).unwrap_err();
            assert_eq!(violations.iter().map(|v| v.path.as_str()).collect::<Vec<_>>(), [path], "{spec}");
        }
    }

    #[test]
    fn a_flood_of_values_is_refused() {
        let split = parse(json!({ "type": "split", "separator": "," })).unwrap();
        assert_eq!(split.apply(vec!["a,".repeat(MAX_VALUES)]).map(|v| v.len()), Ok(MAX_VALUES));
        assert_eq!(split.apply(vec!["a,".repeat(MAX_VALUES + 1)]), Err(TooManyValues));
        let double = parse(json!({ "type": "lookup", "table": { "a": ["b", "c"] } })).unwrap();
        assert_eq!(double.apply(vec!["a".to_owned(); MAX_VALUES]), Err(TooManyValues));
    }
}
