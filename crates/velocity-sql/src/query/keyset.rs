//! The rows after a given one, in an order of several keys with nulls and mixed directions.
//!
//! "After" is a disjunction, which no index answers. It is split into disjoint ranges that an index each answers:
//! equal in the first keys, beyond in the rest. Their union, each cut to a page, holds the page.

use velocity_schema::Value;

use super::plan::SortKey;
use super::table::TableSql;
use crate::frag;
use crate::fragment::Fragment;

/// The ranges after `values`, disjoint. As everywhere in Postgres, nulls come last in ascending order.
pub(super) fn ranges(table: &TableSql, keys: &[SortKey], values: &[Value]) -> Vec<Fragment> {
    let mut ranges = Vec::new();
    let mut start = 0;
    while start < keys.len() {
        let run = run_length(&keys[start..], &values[start..]);
        if run > 0 {
            ranges.push(and(
                equal(table, keys, values, start),
                beyond(table, &keys[start..start + run], &values[start..start + run]),
            ));
        }
        for at in start..start + run.max(1) {
            if let Some(range) = past_null(table, &keys[at], values.get(at)) {
                ranges.push(and(equal(table, keys, values, at), range));
            }
        }
        start += run.max(1);
    }
    ranges
}

/// How many keys from the first share its direction and have a value: one row comparison covers them.
fn run_length(keys: &[SortKey], values: &[Value]) -> usize {
    let Some(first) = keys.first() else { return 0 };
    keys.iter()
        .zip(values)
        .take_while(|(key, value)| key.descending == first.descending && !value.is_null())
        .count()
}

/// `("a", "id") > ($1, $2)`: rows with a null in one of the keys are not in it.
fn beyond(table: &TableSql, keys: &[SortKey], values: &[Value]) -> Fragment {
    let operator = if keys.first().is_some_and(|key| key.descending) { " < " } else { " > " };
    let columns = Fragment::join(keys.iter().map(|key| table.column(key.position)), ", ");
    let binds = keys.iter().zip(values).map(|(key, value)| bind(table, key, value));
    let binds = Fragment::join(binds, ", ");
    if keys.len() == 1 {
        frag![columns, operator, binds]
    } else {
        frag!["(", columns, ")", operator, "(", binds, ")"]
    }
}

/// The range on the other side of the border between nulls and values, where the order goes on there.
fn past_null(table: &TableSql, key: &SortKey, value: Option<&Value>) -> Option<Fragment> {
    let is_null = value.is_none_or(Value::is_null);
    if !table.is_nullable(key.position) {
        return None;
    }
    match (key.descending, is_null) {
        (false, false) => Some(frag![table.column(key.position), " is null"]),
        (true, true) => Some(frag![table.column(key.position), " is not null"]),
        (false, true) | (true, false) => None,
    }
}

fn equal(table: &TableSql, keys: &[SortKey], values: &[Value], count: usize) -> Fragment {
    let terms = keys.iter().zip(values).take(count).map(|(key, value)| {
        if value.is_null() {
            frag![table.column(key.position), " is null"]
        } else {
            frag![table.column(key.position), " = ", bind(table, key, value)]
        }
    });
    Fragment::join(terms, " and ")
}

fn and(left: Fragment, right: Fragment) -> Fragment {
    if left.is_empty() { right } else { frag![left, " and ", right] }
}

fn bind(table: &TableSql, key: &SortKey, value: &Value) -> Fragment {
    Fragment::bind(table.sql_type(key.position), value.clone())
}
