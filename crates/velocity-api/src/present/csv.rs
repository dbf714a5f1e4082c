//! Records as CSV (RFC 4180): no value is an empty cell, an empty text is `""`, JSON values are their JSON text.

use std::fmt;

use bytes::Bytes;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The header line.
pub(crate) fn header<'a>(names: impl Iterator<Item = &'a str>) -> Bytes {
    let mut line = String::new();
    for (index, name) in names.enumerate() {
        if index > 0 {
            line.push(',');
        }
        write_text(name, &mut line);
    }
    line.push_str("\r\n");
    line.into()
}

/// The lines of flat JSON objects, one a line, whose members are in the order of the header.
pub(crate) fn from_ndjson(lines: &[u8]) -> Result<Bytes, serde_json::Error> {
    let mut out = String::with_capacity(lines.len());
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Cells(cells) = serde_json::from_slice(line)?;
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write_cell(cell.get(), &mut out)?;
        }
        out.push_str("\r\n");
    }
    Ok(out.into())
}

fn write_cell(json: &str, out: &mut String) -> Result<(), serde_json::Error> {
    match json.as_bytes().first() {
        Some(b'n') => {}
        Some(b'"') => {
            let text: String = serde_json::from_str(json)?;
            write_text(&text, out);
        }
        _ => write_text(json, out),
    }
    Ok(())
}

fn write_text(text: &str, out: &mut String) {
    let needs_quotes = text.is_empty()
        || text.starts_with([' ', '\t'])
        || text.ends_with([' ', '\t'])
        || text.contains(['"', ',', '\r', '\n']);
    if needs_quotes {
        out.push('"');
        out.push_str(&text.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(text);
    }
}

/// The values of an object in the order of its text.
struct Cells<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Cells<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Cells<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut cells = Vec::new();
                while map.next_key::<serde::de::IgnoredAny>()?.is_some() {
                    cells.push(map.next_value()?);
                }
                Ok(Cells(cells))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_digits_and_null_is_told_from_an_empty_text() {
        let lines = br#"{"a":10.50,"b":null,"c":"","d":true,"e":{"x":[1,"y"]},"f":"say \"hi\",\nthere"}
{"a":-1,"b":"\u00e9","c":" x","d":null,"e":null,"f":"plain"}
"#;
        let csv = String::from_utf8(from_ndjson(lines).unwrap().to_vec()).unwrap();
        assert_eq!(
            csv,
            "10.50,,\"\",true,\"{\"\"x\"\":[1,\"\"y\"\"]}\",\"say \"\"hi\"\",\nthere\"\r\n-1,é,\" x\",,,plain\r\n"
        );
    }

    #[test]
    fn the_header_names_the_fields() {
        assert_eq!(&header(["id", "amount"].into_iter())[..], b"id,amount\r\n");
    }
}
