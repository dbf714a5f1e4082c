//! A planned list as SQL.

use velocity_schema::Value;

use super::keyset;
use super::plan::{ListPlan, Total};
use super::request::CountMode;
use super::table::TableSql;
use crate::frag;
use crate::fragment::{Fragment, Rendered};
use crate::sql_type::SqlType;

/// Up to how many records an estimated count really counts.
pub const COUNT_BOUND: u64 = 10_000;

/// Page sizes that are part of the text, so that the planner knows that few rows are wanted. Any other size is a
/// parameter: a thousand texts for one query would flush the statement cache.
const USUAL_LIMITS: [u32; 12] = [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000];

impl ListPlan {
    /// The page: columns as [`Self::fetched`], one row more than the limit when there is a next page.
    pub fn render(&self, table: &TableSql) -> Rendered {
        let ranges = match &self.after {
            None => vec![Fragment::empty()],
            Some(values) => keyset::ranges(table, &self.keys, values),
        };
        let columns = || table.list(self.fetched.iter().copied());
        let select = |range: Fragment| {
            let range = if range.is_empty() { range } else { frag![" and ", range] };
            frag!["select ", columns(), self.source(table), range, self.order(table), self.page()]
        };
        let mut selects: Vec<Fragment> = ranges.into_iter().map(select).collect();
        let sql = match (selects.len(), selects.pop()) {
            (1, Some(only)) => {
                if self.offset == 0 {
                    only
                } else {
                    frag![only, " offset ", Fragment::bind(SqlType::Int8, Value::Integer(self.offset.into()))]
                }
            }
            (_, last) => {
                let parts = selects.into_iter().chain(last).map(Fragment::parenthesised);
                let union = Fragment::join(parts, " union all ").parenthesised();
                frag!["select ", columns(), " from ", union, " page", self.order(table), self.page()]
            }
        };
        sql.render()
    }

    /// All records that fit, for an export: no page.
    pub fn render_all(&self, table: &TableSql) -> Rendered {
        let columns = table.list(self.fetched.iter().copied());
        frag!["select ", columns, self.source(table), self.order(table)].render()
    }

    /// The count that was asked for: one row; see [`Self::total`].
    pub fn render_count(&self, table: &TableSql) -> Option<Rendered> {
        let sql = match self.count? {
            CountMode::Exact => frag!["select count(*), null::bigint", self.source(table)],
            CountMode::Estimated => {
                // Statistics cover the whole table, so they would give away how much a row filter or a condition of the
                // schema hides: where there are any, only what the caller sees is counted, up to the bound. What Postgres
                // expects of a query (`explain`) is no way out: it is made from the values of all rows. Without them every
                // caller sees every record, and the statistics say no more than a count does, but for deleted records.
                let statistics = if self.conditions.is_empty()
                    && self.search.is_none()
                    && self.guard.is_empty()
                    && !table.has_row_filters
                {
                    let name = Fragment::text(table.from().inline());
                    frag!["(select reltuples::bigint from pg_class where oid = to_regclass(", name, "))"]
                } else {
                    Fragment::sql("null::bigint")
                };
                let bound = Fragment::number(COUNT_BOUND + 1);
                frag![
                    "select count(*), ",
                    statistics,
                    " from (select",
                    self.source(table),
                    " limit ",
                    bound,
                    ") counted"
                ]
            }
        };
        Some(sql.render())
    }

    /// What the row of [`Self::render_count`] means.
    pub fn total(&self, counted: i64, statistics: Option<i64>) -> Total {
        let counted = u64::try_from(counted).unwrap_or(0);
        if self.count == Some(CountMode::Exact) || counted <= COUNT_BOUND {
            return Total { total: counted, estimated: false };
        }
        let guess = statistics.and_then(|tuples| u64::try_from(tuples).ok()).unwrap_or(0);
        Total { total: guess.max(counted), estimated: true }
    }

    fn source(&self, table: &TableSql) -> Fragment {
        let conditions = self.conditions.iter().map(|condition| frag![" and ", condition.render(table)]);
        let search =
            self.search.as_ref().map_or_else(Fragment::empty, |search| frag![" and ", search.render(table)]);
        frag![
            " from ",
            table.from(),
            " where ",
            table.is_shape(),
            " and deleted_at is null",
            self.guard.clone(),
            Fragment::join(conditions, ""),
            search
        ]
    }

    fn order(&self, table: &TableSql) -> Fragment {
        let keys = self
            .keys
            .iter()
            .map(|key| frag![table.column(key.position), if key.descending { " desc" } else { "" }]);
        frag![" order by ", Fragment::join(keys, ", ")]
    }

    fn page(&self) -> Fragment {
        let rows = u64::from(self.limit) + 1;
        if USUAL_LIMITS.contains(&self.limit) {
            frag![" limit ", Fragment::number(rows)]
        } else {
            frag![" limit ", Fragment::bind(SqlType::Int8, Value::Integer(i64::from(self.limit) + 1))]
        }
    }
}
