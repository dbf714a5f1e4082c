//! Rows as the server sent them: slices of the read buffer, never copied.

use std::sync::Arc;

use bytes::Bytes;

use super::{ConnectError, Oid, ResultLimit};

/// What a row costs besides its bytes: the handle that refers to them.
const ROW_OVERHEAD: usize = size_of::<Bytes>();

/// A result column as the server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name or alias.
    pub name: String,
    /// Its type.
    pub oid: Oid,
}

/// The result of one statement.
#[derive(Debug, Clone)]
pub struct ResultSet {
    columns: Arc<[Column]>,
    rows: Rows,
    tag: Bytes,
}

impl ResultSet {
    pub(super) fn new(columns: Arc<[Column]>, rows: Rows, tag: Bytes) -> Self {
        Self { columns, rows, tag }
    }

    /// The columns, in the order of the values.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(super) fn shared_columns(&self) -> Arc<[Column]> {
        Arc::clone(&self.columns)
    }

    /// The rows.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The rows alone.
    pub fn into_rows(self) -> Rows {
        self.rows
    }

    /// The server's command tag, such as `UPDATE 3`.
    pub fn tag(&self) -> &str {
        std::str::from_utf8(&self.tag).unwrap_or_default()
    }

    /// How many rows were written or read, from the command tag; 0 where the command does not count.
    pub fn affected(&self) -> u64 {
        self.tag().rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0)
    }
}

/// Rows of one result, in binary format.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    rows: Vec<Bytes>,
}

impl Rows {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row at a position.
    pub fn get(&self, index: usize) -> Option<Row<'_>> {
        self.rows.get(index).map(|data| Row { data })
    }

    /// All rows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        self.rows.iter().map(|data| Row { data })
    }
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The body of a DataRow message, checked when it arrived.
    data: &'a Bytes,
}

impl<'a> Row<'a> {
    /// How many columns it has.
    pub fn len(&self) -> usize {
        usize::from(u16::from_be_bytes([self.data[0], self.data[1]]))
    }

    /// Whether it has no columns.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A column's value; `None` for null and beyond the last column.
    ///
    /// Walks from the first column: encoders that need all of them use `values`.
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.values().nth(index).flatten()
    }

    /// A column's value as an owned slice of the same buffer.
    pub fn get_bytes(&self, index: usize) -> Option<Bytes> {
        self.get(index).map(|value| self.data.slice_ref(value))
    }

    /// The values in order; `None` is null.
    pub fn values(&self) -> Values<'a> {
        Values { rest: &self.data[2..] }
    }
}

/// Iterator over a row's values.
#[derive(Debug, Clone)]
pub struct Values<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Values<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let (len, rest) = self.rest.split_first_chunk::<4>()?;
        let Ok(len) = usize::try_from(i32::from_be_bytes(*len)) else {
            self.rest = rest;
            return Some(None);
        };
        let (value, rest) = rest.split_at_checked(len)?;
        self.rest = rest;
        Some(Some(value))
    }
}

/// Collects the rows of one statement within its limit.
#[derive(Debug)]
pub(super) struct RowCollector {
    rows: Vec<Bytes>,
    bytes: usize,
    limit: ResultLimit,
    overflowed: bool,
}

impl RowCollector {
    pub(super) fn new(limit: ResultLimit) -> Self {
        Self { rows: Vec::new(), bytes: 0, limit, overflowed: false }
    }

    /// The largest DataRow that may still be taken into memory.
    pub(super) fn room(&self) -> usize {
        if self.overflowed { 0 } else { self.limit.max_bytes.saturating_sub(self.bytes) }
    }

    /// Takes a row in, or drops all rows for good once the limit is exceeded.
    pub(super) fn push(&mut self, data: Bytes) -> Result<(), ConnectError> {
        check_row(&data)?;
        self.bytes = self.bytes.saturating_add(data.len() + ROW_OVERHEAD);
        if self.bytes > self.limit.max_bytes || self.rows.len() >= self.limit.max_rows {
            self.overflow();
        }
        if !self.overflowed {
            self.rows.push(data);
        }
        Ok(())
    }

    /// Drops everything: a row was too large even to be read.
    pub(super) fn overflow(&mut self) {
        self.overflowed = true;
        self.rows = Vec::new();
    }

    pub(super) fn overflowed(&self) -> bool {
        self.overflowed
    }

    pub(super) fn finish(self) -> Rows {
        Rows { rows: self.rows }
    }
}

/// Checks that a DataRow's lengths add up, so that reading it later cannot fail.
fn check_row(data: &[u8]) -> Result<(), ConnectError> {
    let broken = || ConnectError::Protocol("a row whose lengths do not add up".into());
    let (count, mut rest) = data.split_first_chunk::<2>().ok_or_else(broken)?;
    for _ in 0..u16::from_be_bytes(*count) {
        let (len, after) = rest.split_first_chunk::<4>().ok_or_else(broken)?;
        rest = match i32::from_be_bytes(*len) {
            -1 => after,
            len => after.get(usize::try_from(len).map_err(|_| broken())?..).ok_or_else(broken)?,
        };
    }
    if rest.is_empty() { Ok(()) } else { Err(broken()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_row(values: &[Option<&[u8]>]) -> Bytes {
        let mut row = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
        for value in values {
            row.extend(value.map_or(-1, |v| i32::try_from(v.len()).unwrap()).to_be_bytes());
            row.extend(value.unwrap_or_default());
        }
        row.into()
    }

    #[test]
    fn values_are_read_by_index_with_null_apart_from_empty() {
        let mut rows = RowCollector::new(ResultLimit::default());
        rows.push(data_row(&[Some(b"a"), None, Some(b""), Some(b"xyz")])).unwrap();
        let rows = rows.finish();
        let row = rows.get(0).unwrap();
        assert_eq!(row.len(), 4);
        assert_eq!(row.get(0), Some(&b"a"[..]));
        assert_eq!(row.get(1), None);
        assert_eq!(row.get(2), Some(&b""[..]));
        assert_eq!(row.get_bytes(3).unwrap(), "xyz");
        assert_eq!(row.get(4), None);
        assert_eq!(row.values().count(), 4);
    }

    #[test]
    fn a_row_whose_lengths_lie_is_refused() {
        let good = data_row(&[Some(b"abc"), None]);
        for end in 0..good.len() {
            assert!(check_row(&good[..end]).is_err(), "cut at {end}");
        }
        let mut long = good.to_vec();
        long.push(0);
        assert!(check_row(&long).is_err());
        assert!(check_row(&[0, 1, 255, 255, 255, 254]).is_err());
    }

    #[test]
    fn beyond_the_limit_nothing_is_kept() {
        for limit in
            [ResultLimit { max_rows: 2, max_bytes: 1000 }, ResultLimit { max_rows: 9, max_bytes: 110 }]
        {
            let mut rows = RowCollector::new(limit);
            for _ in 0..3 {
                rows.push(data_row(&[Some(b"abcdef")])).unwrap();
            }
            assert!(rows.overflowed());
            assert_eq!(rows.room(), 0);
            assert!(rows.finish().is_empty());
        }
    }

    #[test]
    fn the_affected_count_is_the_tags_last_number() {
        for (tag, count) in [("INSERT 0 5", 5), ("UPDATE 3", 3), ("BEGIN", 0), ("", 0)] {
            let result = ResultSet::new(Arc::new([]), Rows::default(), Bytes::from(tag));
            assert_eq!(result.affected(), count);
        }
    }
}
