//! CSV (RFC 4180) as a stream of rows that know their lines, their raw text, and which cells were quoted.
//!
//! A reader of our own, because the difference between an empty cell and an empty text in quotes is the only way in
//! which CSV can say "no value", and because a rejected row is shown as it stands in the file.

use std::io::{self, BufRead};
use std::ops::Range;

/// The longest row. One that is longer is a quote that was never closed, or no CSV.
const ROW_MAX: usize = 4 << 20;

/// A row, reused from one to the next.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// The line that it begins on, from 1.
    pub(super) line: u64,
    /// As it stands in the file, without the line end.
    pub(super) raw: Vec<u8>,
    bytes: Vec<u8>,
    cells: Vec<(Range<usize>, bool)>,
    /// Text after a closing quote: the row cannot be read.
    pub(super) broken: bool,
}

/// A cell's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell<'a> {
    pub(super) bytes: &'a [u8],
    /// Whether it stood in quotes.
    pub(super) quoted: bool,
}

impl Row {
    pub(super) fn cells(&self) -> impl ExactSizeIterator<Item = Cell<'_>> {
        self.cells.iter().map(|(range, quoted)| Cell { bytes: &self.bytes[range.clone()], quoted: *quoted })
    }

    fn clear(&mut self, line: u64) {
        self.line = line;
        self.raw.clear();
        self.bytes.clear();
        self.cells.clear();
        self.broken = false;
    }
}

/// Why the rest of a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum CsvError {
    /// The file itself.
    #[error("the file cannot be read on")]
    Io(#[from] io::Error),
    /// Most often a quote that is never closed.
    #[error("line {0}: the row is longer than 4 MiB; is a quote never closed?")]
    TooLong(u64),
    /// The file ends inside quotes.
    #[error("line {0}: the file ends inside a quote that begins in this row")]
    Unclosed(u64),
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// At the beginning of a cell.
    Begin,
    Plain,
    Quoted,
    /// After a quote inside quotes: the end of the text, or the first of two.
    QuoteInQuoted,
}

/// Reads rows.
pub(super) struct Reader<R> {
    input: R,
    /// The line that comes next.
    line: u64,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: 1 }
    }

    /// The next row that is not empty; `false` at the end.
    pub(super) fn read(&mut self, row: &mut Row) -> Result<bool, CsvError> {
        loop {
            row.clear(self.line);
            if !self.read_line_end(row)? {
                return Ok(false);
            }
            if !row.raw.is_empty() {
                return Ok(true);
            }
        }
    }

    /// Reads up to a line end outside quotes, or the end of the file; `false` when there was nothing left.
    fn read_line_end(&mut self, row: &mut Row) -> Result<bool, CsvError> {
        let mut scan = Scan { state: State::Begin, start: 0, quoted: false };
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                if row.raw.is_empty() {
                    return Ok(false);
                }
                if scan.state == State::Quoted {
                    return Err(CsvError::Unclosed(row.line));
                }
                scan.end_row(row);
                return Ok(true);
            }
            let end = buffer.iter().position(|byte| {
                self.line += u64::from(*byte == b'\n');
                scan.take(*byte, row)
            });
            let used = end.map_or(buffer.len(), |end| end + 1);
            self.input.consume(used);
            if end.is_some() {
                scan.end_row(row);
                return Ok(true);
            }
            if row.raw.len() > ROW_MAX {
                return Err(CsvError::TooLong(row.line));
            }
        }
    }
}

/// Where in a row the reading stands.
struct Scan {
    state: State,
    /// Where the cell begins among the row's bytes.
    start: usize,
    quoted: bool,
}

impl Scan {
    /// Takes a byte; `true` when it ends the row.
    fn take(&mut self, byte: u8, row: &mut Row) -> bool {
        let outside = self.state != State::Quoted;
        if outside && byte == b'\n' {
            return true;
        }
        row.raw.push(byte);
        match (self.state, byte) {
            (_, b',') if outside => {
                row.cells.push((self.start..row.bytes.len(), self.quoted));
                *self = Self { state: State::Begin, start: row.bytes.len(), quoted: false };
                return false;
            }
            (State::Begin, b'"') => {
                self.quoted = true;
                self.state = State::Quoted;
                return false;
            }
            (State::Quoted, b'"') => {
                self.state = State::QuoteInQuoted;
                return false;
            }
            (State::QuoteInQuoted, b'"') => self.state = State::Quoted,
            // Stays: a line end follows, or the row is broken anyway.
            (State::QuoteInQuoted, b'\r') | (State::Quoted, _) => {}
            (State::QuoteInQuoted, _) => {
                row.broken = true;
                self.state = State::Plain;
            }
            (State::Begin | State::Plain, _) => self.state = State::Plain,
        }
        row.bytes.push(byte);
        false
    }

    /// Ends the last cell of a row; the `\r` of a `\r\n` is no part of it.
    fn end_row(&self, row: &mut Row) {
        if row.raw.last() == Some(&b'\r') {
            row.raw.pop();
            if row.bytes.len() > self.start && row.bytes.last() == Some(&b'\r') {
                row.bytes.pop();
            }
        }
        row.cells.push((self.start..row.bytes.len(), self.quoted));
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    /// Every row as `line: cell|cell`, quoted cells in brackets, read through a buffer of `capacity` bytes.
    fn rows(text: &str, capacity: usize) -> Result<Vec<String>, CsvError> {
        let mut reader = Reader::new(BufReader::with_capacity(capacity, text.as_bytes()));
        let (mut row, mut all) = (Row::default(), Vec::new());
        while reader.read(&mut row)? {
            let cells: Vec<String> = row
                .cells()
                .map(|cell| {
                    let text = String::from_utf8_lossy(cell.bytes);
                    if cell.quoted { format!("[{text}]") } else { text.into_owned() }
                })
                .collect();
            all.push(format!("{}{}: {}", row.line, if row.broken { "!" } else { "" }, cells.join("|")));
        }
        Ok(all)
    }

    #[test]
    fn rows_know_their_lines_and_quotes_whatever_the_buffer() {
        let text = "a,b\r\n1,\"x\ny\"\r\n\r\n\"\",\n\"say \"\"hi\"\"\",2\nlast,3";
        for capacity in 1..12 {
            assert_eq!(
                rows(text, capacity).unwrap(),
                ["1: a|b", "2: 1|[x\ny]", "5: []|", "6: [say \"hi\"]|2", "7: last|3"],
                "{capacity}"
            );
        }
    }

    #[test]
    fn a_broken_row_is_told_and_the_next_one_is_whole() {
        assert_eq!(rows("\"a\"b,c\nd,e\n", 64).unwrap(), ["1!: [ab]|c", "2: d|e"]);
        assert_eq!(rows("a\"b,c\n", 64).unwrap(), ["1: a\"b|c"]);
    }

    #[test]
    fn an_unclosed_quote_is_an_error_with_the_line_of_its_row() {
        assert!(matches!(rows("a\n1\n\"b\nc\n", 4), Err(CsvError::Unclosed(3))));
        let endless = format!("a\n\"{}", "x\n".repeat(3 << 20));
        assert!(matches!(rows(&endless, 1 << 16), Err(CsvError::TooLong(2))));
    }

    proptest! {
        #[test]
        fn what_a_writer_writes_is_read_back(
            cells in prop::collection::vec(prop::collection::vec("[a-c\",\n\r é]{0,6}", 3), 1..8), capacity in 1usize..40
        ) {
            let quote = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
            let text: String = cells.iter().map(|row| row.iter().map(quote).collect::<Vec<_>>().join(",") + "\r\n").collect();
            let mut reader = Reader::new(BufReader::with_capacity(capacity, text.as_bytes()));
            let (mut row, mut back) = (Row::default(), Vec::new());
            while reader.read(&mut row).unwrap() {
                back.push(row.cells().map(|cell| String::from_utf8(cell.bytes.to_vec()).unwrap()).collect::<Vec<_>>());
            }
            prop_assert_eq!(back, cells);
        }
    }
}
