//! About how long a step takes, from the table's size. A rough model, so that people can tell a moment from an hour: real
//! times depend on the disk, on how much of the table is in memory, and on what else is going on.
//!
//! - What only changes the catalog takes no time worth telling.
//! - A check or a validation reads the table once.
//! - An index that is built while writers go on reads it twice and sorts one entry for each row.
//! - A backfill writes each row anew, with its indexes and triggers, in batches.

use velocity_sql::ddl::{How, LiveTable, Step};

/// Reading a table from a disk of today, with some of it in memory.
const READ_BYTES_PER_SECOND: f64 = 200e6;
/// Looking at rows: evaluating a condition takes half a microsecond.
const CHECKED_ROWS_PER_SECOND: f64 = 2e6;
/// Sorting and writing index entries.
const INDEXED_ROWS_PER_SECOND: f64 = 400e3;
/// Writing rows anew with one index or two, measured at 20,000 to 40,000 on two cores.
const WRITTEN_ROWS_PER_SECOND: f64 = 20e3;
/// What a row takes on disk where Postgres has not counted the rows yet: in the table, and in each index.
const ROW_BYTES: i64 = 150;
const ENTRY_BYTES: i64 = 40;
/// What an index takes that has next to nothing in it: two pages.
const EMPTY_INDEX_BYTES: i64 = 2 * 8192;

/// How much there is to go through.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Size {
    rows: i64,
    bytes: i64,
}

/// What a step costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cost {
    pub(super) rows: i64,
    pub(super) seconds: f64,
}

impl Size {
    /// The size of a table; nothing where there is none.
    pub(super) fn of(table: Option<&LiveTable>) -> Self {
        let Some(table) = table else { return Self::default() };
        let rows = match table.estimated_rows {
            // A table that was never analysed counts as empty.
            0 if table.has_rows => rows_of_bytes(table),
            rows => rows,
        };
        Self { rows, bytes: table.bytes }
    }

    /// About how many rows.
    pub(super) fn rows(self) -> i64 {
        self.rows
    }

    /// What the step costs on a table of this size.
    pub(super) fn cost(self, step: &Step) -> Cost {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let (rows, bytes) = (self.rows as f64, self.bytes as f64);
        let read = bytes / READ_BYTES_PER_SECOND;
        let seconds = match &step.how {
            How::Batches { .. } => rows / WRITTEN_ROWS_PER_SECOND,
            How::Alone if step.sql.contains(" index concurrently ") && step.sql.starts_with("create") => {
                2.0 * read + rows / INDEXED_ROWS_PER_SECOND
            }
            _ if step.check.is_some() || step.sql.contains(" validate constraint ") => {
                read + rows / CHECKED_ROWS_PER_SECOND
            }
            _ => return Cost { rows: 0, seconds: 0.0 },
        };
        Cost { rows: self.rows, seconds: (seconds * 100.0).round() / 100.0 }
    }
}

fn rows_of_bytes(table: &LiveTable) -> i64 {
    let indexes = i64::try_from(table.indexes.len()).unwrap_or(0);
    // One more for the index of what is stored outside of the rows.
    let filled = table.bytes - (indexes + 1) * EMPTY_INDEX_BYTES;
    (filled / (ROW_BYTES + indexes * ENTRY_BYTES)).max(1)
}

#[cfg(test)]
mod tests {
    use velocity_sql::ddl::{Lock, Stage};

    use super::*;

    fn step(sql: &str, how: How) -> Step {
        let mut step = Step::safe(Stage::Prepare, "a step", Lock::None, sql);
        step.how = how;
        step
    }

    #[test]
    fn a_million_rows_take_a_moment_to_read_seconds_to_index_and_a_minute_to_write() {
        let table = LiveTable { estimated_rows: 1_000_000, bytes: 200_000_000, ..LiveTable::default() };
        let size = Size::of(Some(&table));
        let seconds = |sql: &str, how: How| size.cost(&step(sql, how)).seconds;
        let batches = How::Batches { name: "b".into(), silent: true };
        let sql = "create unique index concurrently \"x\" on t (a)";
        insta::assert_debug_snapshot!([
            seconds("alter table t add column a text", How::Transaction),
            seconds("alter table t validate constraint c", How::Transaction),
            seconds(sql, How::Alone),
            seconds("update t", batches),
            seconds("drop index concurrently x", How::Alone),
        ], @r"
        [
            0.0,
            1.5,
            4.5,
            50.0,
            0.0,
        ]
        ");
    }

    #[test]
    fn a_table_that_was_never_counted_is_judged_by_its_bytes_and_one_that_is_not_there_costs_nothing() {
        let indexes = (0..5).map(|n| (format!("i{n}"), true)).collect();
        let table = |bytes| LiveTable { has_rows: true, bytes, indexes, ..LiveTable::default() };
        let rows = |bytes| Size::of(Some(&table.clone()(bytes))).rows();
        assert_eq!((rows(6 * 16_384 + 35_000), rows(8192)), (100, 1));
        let none = Size::of(None).cost(&step("update t", How::Batches { name: "b".into(), silent: true }));
        assert_eq!(none, Cost { rows: 0, seconds: 0.0 });
    }
}
