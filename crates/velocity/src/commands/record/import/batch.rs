//! Rows on their way: the request of a batch, and what is needed to say which of its rows failed.

use std::ops::Range;

use sha2::{Digest, Sha256};

use super::OnConflict;

/// A batch is full at this size, well under the server's limit for a body.
const BODY_MAX: usize = 4 << 20;
/// The longest row that is sent: it must fit a body with room to spare.
const ROW_MAX: usize = 5 << 20;

/// A row that was not imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reject {
    pub(super) line: u64,
    pub(super) reason: String,
    pub(super) row: String,
}

/// Consecutive rows of the file.
#[derive(Debug)]
pub(super) struct Batch {
    /// Its position in the file, from 0.
    index: u64,
    on_conflict: OnConflict,
    /// Operations, one after the other, separated by commas.
    operations: String,
    /// The rows as they stand in the file, one after the other.
    raw: String,
    rows: Vec<Row>,
    /// Rows that never made an operation.
    pub(super) unreadable: Vec<Reject>,
}

#[derive(Debug, Clone)]
struct Row {
    line: u64,
    operation: Range<usize>,
    raw: Range<usize>,
}

impl Batch {
    pub(super) fn new(index: u64, on_conflict: OnConflict) -> Self {
        Self {
            index,
            on_conflict,
            operations: String::new(),
            raw: String::new(),
            rows: Vec::new(),
            unreadable: Vec::new(),
        }
    }

    /// How many rows it sends.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row would make it too large or too many. Depends on the file alone, so that a second run cuts the file
    /// at the same places.
    pub(super) fn is_full(&self, rows: usize) -> bool {
        self.rows.len() + self.unreadable.len() >= rows || self.operations.len() + self.raw.len() >= BODY_MAX
    }

    /// Adds a record.
    pub(super) fn push(&mut self, line: u64, record: &str, raw: &str) {
        if record.len() > ROW_MAX {
            self.reject(line, "the row is larger than 5 MiB", raw);
            return;
        }
        if !self.operations.is_empty() {
            self.operations.push(',');
        }
        let start = self.operations.len();
        self.operations.push_str("{\"create\":");
        self.operations.push_str(record);
        self.operations.push('}');
        let raw_start = self.raw.len();
        self.raw.push_str(raw);
        self.rows.push(Row { line, operation: start..self.operations.len(), raw: raw_start..self.raw.len() });
    }

    /// Notes a row that cannot be sent.
    pub(super) fn reject(&mut self, line: u64, reason: &str, raw: &str) {
        self.unreadable.push(Reject { line, reason: reason.to_owned(), row: raw.to_owned() });
    }

    /// The request for these rows of it: the body, and a key that the same rows at the same place always get. `scope` is
    /// what else the key is for: the schema, and whether the import is a new one.
    pub(super) fn request(&self, scope: &str, rows: &[usize], attempt: u32) -> (String, String) {
        let mut body = String::with_capacity(self.operations.len() + 80);
        body.push_str(r#"{"atomic":false,"mode":"import""#);
        match self.on_conflict {
            OnConflict::Fail => {}
            OnConflict::Skip => body.push_str(r#","onConflict":"skip""#),
            OnConflict::Update => body.push_str(r#","onConflict":"update""#),
        }
        body.push_str(r#","operations":["#);
        if rows.len() == self.rows.len() {
            body.push_str(&self.operations);
        } else {
            let operations: Vec<&str> = rows
                .iter()
                .filter_map(|row| Some(&self.operations[self.rows.get(*row)?.operation.clone()]))
                .collect();
            body.push_str(&operations.join(","));
        }
        body.push_str("]}");
        let key = self.key(scope, &body, attempt);
        (body, key)
    }

    fn key(&self, scope: &str, body: &str, attempt: u32) -> String {
        let mut digest = Sha256::new();
        digest.update((scope.len() as u64).to_be_bytes());
        digest.update(scope.as_bytes());
        digest.update(self.index.to_be_bytes());
        digest.update(attempt.to_be_bytes());
        digest.update(body.as_bytes());
        let digest = digest.finalize();
        // 128 bits are enough that two batches never meet.
        digest.iter().take(16).fold(String::from("import-"), |mut key, byte| {
            let _ = std::fmt::Write::write_fmt(&mut key, format_args!("{byte:02x}"));
            key
        })
    }

    /// A row of it that failed.
    pub(super) fn failed(&self, row: usize, reason: String) -> Option<Reject> {
        let row = self.rows.get(row)?;
        Some(Reject { line: row.line, reason, row: self.raw[row.raw.clone()].to_owned() })
    }

    /// The lines that it covers, for messages.
    pub(super) fn lines(&self) -> (u64, u64) {
        let lines =
            self.rows.iter().map(|row| row.line).chain(self.unreadable.iter().map(|reject| reject.line));
        (lines.clone().min().unwrap_or(0), lines.max().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use velocity_contract::bulk::{BulkMode, BulkRequest};

    use super::*;

    fn batch(index: u64, rows: &[&str]) -> Batch {
        let mut batch = Batch::new(index, OnConflict::Skip);
        for (line, row) in (2..).zip(rows) {
            batch.push(line, row, "raw");
        }
        batch
    }

    #[test]
    fn a_request_is_what_the_api_reads_and_a_part_of_it_keeps_the_order() {
        let batch = batch(0, &[r#"{"n":1.50}"#, r#"{"n":2}"#, r#"{"n":3}"#]);
        let (body, _) = batch.request("s", &[0, 1, 2], 0);
        let request: BulkRequest<'_> = serde_json::from_str(&body).unwrap();
        assert_eq!((request.atomic, request.mode, request.operations.len()), (false, BulkMode::Import, 3));
        let (part, _) = batch.request("s", &[0, 2], 1);
        assert!(part.ends_with(r#""operations":[{"create":{"n":1.50}},{"create":{"n":3}}]}"#), "{part}");
    }

    #[test]
    fn the_key_follows_schema_position_content_and_attempt_and_nothing_else() {
        let key = |scope: &str, batch: &Batch, attempt| batch.request(scope, &[0], attempt).1;
        let one = batch(0, &["{}"]);
        assert_eq!(key("a", &one, 0), key("a", &batch(0, &["{}"]), 0));
        let others = [
            key("b", &one, 0),
            key("a", &batch(1, &["{}"]), 0),
            key("a", &batch(0, &["{ }"]), 0),
            key("a", &one, 1),
        ];
        assert!(others.iter().all(|other| *other != key("a", &one, 0)));
        assert_eq!(key("a", &one, 0).len(), "import-".len() + 32);
    }
}
