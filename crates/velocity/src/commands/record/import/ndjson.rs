//! One JSON object a line.

use std::io::{self, BufRead};

use crate::output::json::Members;

use super::columns::Mapping;

/// The longest line: one that is longer is no NDJSON.
const LINE_MAX: usize = 4 << 20;

/// Why the rest of a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum NdjsonError {
    /// The file itself.
    #[error("the file cannot be read on")]
    Io(#[from] io::Error),
    /// No line end far and wide.
    #[error("line {0} is longer than 4 MiB; is there one JSON object a line?")]
    TooLong(u64),
}

/// Reads lines.
pub(super) struct Reader<R> {
    input: R,
    line: u64,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: 0 }
    }

    /// The next line that is not empty, and its number; nothing at the end.
    pub(super) fn read(&mut self, line: &mut Vec<u8>) -> Result<Option<u64>, NdjsonError> {
        loop {
            line.clear();
            self.line += 1;
            let mut bounded = io::Read::take(&mut self.input, LINE_MAX as u64 + 1);
            if bounded.read_until(b'\n', line)? == 0 {
                return Ok(None);
            }
            if line.len() > LINE_MAX {
                return Err(NdjsonError::TooLong(self.line));
            }
            while line.last().is_some_and(u8::is_ascii_whitespace) {
                line.pop();
            }
            if !line.is_empty() {
                return Ok(Some(self.line));
            }
        }
    }
}

/// Writes the record of a line: as it stands, but with its fields renamed and left out as `maps` say.
pub(super) fn write_record(line: &str, maps: &[Mapping], out: &mut String) -> Result<(), String> {
    let members: Members<'_> =
        serde_json::from_str(line).map_err(|error| format!("is no JSON object: {error}"))?;
    if maps.is_empty() {
        out.push_str(line);
        return Ok(());
    }
    out.push('{');
    let mut first = true;
    for (name, value) in members.0 {
        let map = maps.iter().find(|map| map.column == name);
        let Some(field) = map.map_or(Some(&name), |map| map.field.as_ref()) else { continue };
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        velocity_schema::value::write_json_string(field, out);
        out.push(':');
        out.push_str(value.get());
    }
    out.push('}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers_and_blank_ones_do_not_count_as_rows() {
        let mut reader = Reader::new(&b"{}\r\n\n  \n{\"a\":1}"[..]);
        let mut line = Vec::new();
        assert_eq!(reader.read(&mut line).unwrap(), Some(1));
        assert_eq!(line, b"{}");
        assert_eq!(reader.read(&mut line).unwrap(), Some(4));
        assert_eq!(reader.read(&mut line).unwrap(), None);
    }

    #[test]
    fn members_are_renamed_and_left_out_and_keep_their_digits() {
        let maps = [
            Mapping { column: "x".into(), field: Some("a".into()) },
            Mapping { column: "y".into(), field: None },
        ];
        let mut out = String::new();
        write_record(r#"{"x":1.50,"y":2,"z":{"x":3}}"#, &maps, &mut out).unwrap();
        assert_eq!(out, r#"{"a":1.50,"z":{"x":3}}"#);
        assert!(write_record("[1]", &[], &mut out).unwrap_err().contains("no JSON object"));
    }
}
