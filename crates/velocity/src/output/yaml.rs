//! YAML, with every digit of a number.

use super::json::Json;

/// The value as a block.
pub(super) fn render(value: &Json) -> String {
    let mut out = String::new();
    write(value, 0, &mut out);
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

fn write(value: &Json, indent: usize, out: &mut String) {
    match value {
        Json::Object(members) if !members.is_empty() => {
            for (position, (key, value)) in members.iter().enumerate() {
                if position > 0 || !out.ends_with("- ") {
                    out.push_str(&" ".repeat(indent));
                }
                write_text(key, out);
                out.push(':');
                write_member(value, indent, out);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for (position, item) in items.iter().enumerate() {
                if position > 0 || !out.ends_with("- ") {
                    out.push_str(&" ".repeat(indent));
                }
                out.push_str("- ");
                write(item, indent + 2, out);
                if !out.ends_with('\n') {
                    out.push('\n');
                }
            }
        }
        Json::String(text) => write_text(text, out),
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn write_member(value: &Json, indent: usize, out: &mut String) {
    match value {
        // A list may stand at its key's own indentation, as kubectl writes it.
        Json::Array(items) if !items.is_empty() => {
            out.push('\n');
            write(value, indent, out);
        }
        Json::Object(members) if !members.is_empty() => {
            out.push('\n');
            write(value, indent + 2, out);
        }
        scalar => {
            out.push(' ');
            write(scalar, indent, out);
            out.push('\n');
        }
    }
}

/// A text without quotes where every YAML reader takes it for the same text, else quoted as JSON.
fn write_text(text: &str, out: &mut String) {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/' | b'-' | b'_');
    let plain = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && text.bytes().all(word)
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if plain {
        out.push_str(text);
    } else {
        velocity_schema::value::write_json_string(text, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_reads_as_people_write_it() {
        let json = Json::parse(
            r#"{"metadata":{"name":"a-b","labels":{}},"list":[{"name":"x","v":1.50},[1,["no"]],"two words"],"at":"2026-01-01","n":null}"#,
        )
        .unwrap();
        insta::assert_snapshot!(render(&json), @r#"
        metadata:
          name: a-b
          labels: {}
        list:
        - name: x
          v: 1.50
        - - 1
          - - "no"
        - "two words"
        at: "2026-01-01"
        "n": null
        "#);
    }
}
