//! JSON merge patch (RFC 7396) that keeps every digit of every number.

use serde_json::value::RawValue;

use super::body::{Members, members};
use crate::value::write_json_string;

/// `patch`, an object, merged into `current`. Where `current` is no object, it counts as an empty one.
///
/// Both are valid JSON of bounded depth (fields never hold anything else).
pub fn merge_json(current: Option<&str>, patch: &str) -> String {
    let mut out = String::with_capacity(current.map_or(0, str::len) + patch.len());
    merge_into(current, patch, &mut out);
    out
}

fn merge_into(current: Option<&str>, patch: &str, out: &mut String) {
    let Some(patch_members) = object(patch) else {
        out.push_str(patch);
        return;
    };
    let current_members = current.and_then(object).unwrap_or(Members(Vec::new()));
    let patched = |name: &str| patch_members.0.iter().find(|(other, _)| other == name).map(|(_, raw)| *raw);
    out.push('{');
    let mut first = true;
    let mut member = |name: &str, current: Option<&RawValue>, patch: Option<&RawValue>, out: &mut String| {
        if patch.is_some_and(|raw| raw.get() == "null") {
            return;
        }
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        write_json_string(name, out);
        out.push(':');
        match (current, patch) {
            (current, Some(patch)) => merge_into(current.map(RawValue::get), patch.get(), out),
            (Some(current), None) => out.push_str(current.get()),
            (None, None) => out.push_str("null"),
        }
    };
    for (name, raw) in &current_members.0 {
        member(name, Some(raw), patched(name), out);
    }
    for (name, raw) in &patch_members.0 {
        if !current_members.0.iter().any(|(other, _)| other == name) {
            member(name, None, Some(raw), out);
        }
    }
    out.push('}');
}

fn object(json: &str) -> Option<Members<'_>> {
    if json.trim_ascii_start().starts_with('{') { members(json.as_bytes()).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7396, appendix A, whose patch is an object.
    #[test]
    fn the_examples_of_the_standard_give_what_it_says() {
        for (current, patch, expected) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            assert_eq!(merge_json(Some(current), patch), expected, "{current} + {patch}");
        }
        assert_eq!(merge_json(None, r#"{"a":{"b":null,"c":1}}"#), r#"{"a":{"c":1}}"#);
    }

    #[test]
    fn digits_and_odd_names_survive() {
        assert_eq!(
            merge_json(
                Some(r#"{"n":0.10000000000000000001,"a\"b":1}"#),
                r#"{"m":1e2,"\u0061":12345678901234567890}"#
            ),
            r#"{"n":0.10000000000000000001,"a\"b":1,"m":1e2,"a":12345678901234567890}"#
        );
    }
}
