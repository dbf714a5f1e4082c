//! A schema's table as SQL: what is computed once per schema and used by every statement.

use velocity_schema::Schema;

use crate::fragment::Fragment;
use crate::ident::Ident;
use crate::names::TableNames;
use crate::sql_type::SqlType;

/// A schema's table: its names and columns. `Debug` and `Clone` are cheap enough for once per schema, not per request.
#[derive(Debug, Clone)]
pub struct TableSql {
    pub(super) names: TableNames,
    columns: Vec<Column>,
    /// Positions of the columns that writers set: id and the declared fields.
    writable: Vec<usize>,
    pub(super) has_row_filters: bool,
    /// The call of the shape function.
    shape: Fragment,
}

#[derive(Debug, Clone)]
struct Column {
    ident: Ident,
    sql_type: SqlType,
    nullable: bool,
}

impl TableSql {
    /// The table of a schema.
    pub fn new(schema: &Schema) -> Self {
        let columns = schema.fields().iter().map(|field| Column {
            ident: Ident::from(&field.name),
            sql_type: SqlType::of(&field.kind),
            nullable: !(field.required || field.system || field.name.as_str() == "id"),
        });
        let writable =
            schema.fields().iter().enumerate().filter(|(_, field)| !field.system).map(|(at, _)| at);
        let names = TableNames::of(schema.path());
        let function = names.shape_function(schema.hash().as_str());
        Self {
            shape: Fragment::column(&names.schema, &function) + Fragment::sql("()"),
            names,
            columns: columns.collect(),
            writable: writable.collect(),
            has_row_filters: !schema.access().row_filters().is_empty(),
        }
    }

    /// The names in Postgres.
    pub fn names(&self) -> &TableNames {
        &self.names
    }

    /// The positions of the columns that writers set, ascending: id and the declared fields.
    pub fn writable(&self) -> &[usize] {
        &self.writable
    }

    /// How many columns a record has.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// The type of the column of the field at that position.
    pub fn sql_type(&self, position: usize) -> SqlType {
        self.columns.get(position).map_or(SqlType::Text, |column| column.sql_type)
    }

    pub(super) fn is_nullable(&self, position: usize) -> bool {
        self.columns.get(position).is_some_and(|column| column.nullable)
    }

    pub(super) fn column(&self, position: usize) -> Fragment {
        self.columns.get(position).map_or_else(Fragment::empty, |column| Fragment::ident(&column.ident))
    }

    /// `qualifier."column"`; the qualifier is an alias of ours.
    pub(super) fn qualified(&self, alias: &'static str, position: usize) -> Fragment {
        Fragment::sql(alias) + Fragment::sql(".") + self.column(position)
    }

    pub(super) fn list(&self, positions: impl IntoIterator<Item = usize>) -> Fragment {
        Fragment::join(positions.into_iter().map(|position| self.column(position)), ", ")
    }

    /// Every column of a record, in the order of the schema's fields.
    pub(super) fn all(&self) -> Fragment {
        self.list(0..self.columns.len())
    }

    pub(super) fn from(&self) -> Fragment {
        self.names.table_sql()
    }

    /// True while the table is as the schema says; without the function that it calls no statement is planned. It comes
    /// first in every condition: what else there is may make no sense on another shape, and has other errors.
    pub(super) fn is_shape(&self) -> Fragment {
        self.shape.clone()
    }
}
