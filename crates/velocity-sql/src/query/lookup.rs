//! Which of some values records have: what a reference may point to.

use velocity_schema::{FieldName, Value};

use super::reading::Reading;
use super::table::TableSql;
use crate::frag;
use crate::fragment::{Fragment, Rendered};
use crate::ident::Ident;

/// The values among `values` that a record has in the field at `position`, which is unique, as far as the caller sees the
/// record. One column: that field.
pub fn lookup(table: &TableSql, position: usize, values: Vec<Value>, reading: &Reading<'_>) -> Rendered {
    let list = Fragment::bind(table.sql_type(position).array(), Value::Array(values));
    let column = |name: &FieldName| Fragment::ident(&Ident::from(name));
    frag![
        "select ",
        table.column(position),
        " from ",
        table.from(),
        " where ",
        table.is_shape(),
        " and deleted_at is null and ",
        table.column(position),
        " = any(",
        list,
        ")",
        reading.guard(&column)
    ]
    .render()
}
