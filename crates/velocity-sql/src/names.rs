//! The names of a schema's things in Postgres, as the contract fixes them.

use velocity_schema::SchemaPath;

use crate::fragment::Fragment;
use crate::ident::Ident;

/// What belongs to one SchemaDefinition in Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableNames {
    /// `{org}__{app}__{domain}`; the domain's role has the same name.
    pub schema: Ident,
    /// `{object}_{version}`.
    pub table: Ident,
    /// `{object}_{version}_history`.
    pub history: Ident,
    /// The sequence of the history's `seq`.
    pub sequence: Ident,
}

impl TableNames {
    /// The names for a path. One-to-one: no two paths meet in one name.
    pub fn of(path: &SchemaPath) -> Self {
        let table = format!("{}_{}", path.object.underscored(), path.version);
        Self {
            schema: domain_ident(path),
            history: Ident::fitted(&format!("{table}_history")),
            sequence: Ident::fitted(&format!("{table}_history_seq")),
            table: Ident::fitted(&table),
        }
    }

    /// The role that the API takes for this domain.
    pub fn role(&self) -> &Ident {
        &self.schema
    }

    /// `"schema"."table"`.
    pub fn table_sql(&self) -> Fragment {
        Fragment::column(&self.schema, &self.table)
    }

    /// `"schema"."table_history"`.
    pub fn history_sql(&self) -> Fragment {
        Fragment::column(&self.schema, &self.history)
    }

    /// The name of a constraint or index on fields: `table-a-b_suffix`. Field names have no dash, so `[a_b]` and
    /// `[a, b]` stay apart.
    pub fn on_fields<'a>(&self, fields: impl IntoIterator<Item = &'a str>, suffix: &str) -> Ident {
        let mut name = self.table.as_str().to_owned();
        for field in fields {
            name.push('-');
            name.push_str(field);
        }
        Ident::fitted(&format!("{name}_{suffix}"))
    }

    /// The trigger function that completes a row before it is written.
    pub fn before_function(&self) -> Ident {
        Ident::fitted(&format!("{}_before_write", self.table.as_str()))
    }

    /// The trigger function that writes the events of a statement.
    pub fn after_function(&self) -> Ident {
        Ident::fitted(&format!("{}_after_write", self.table.as_str()))
    }

    /// `schema.table` without quotes, as `status.table` shows it.
    pub fn display(&self) -> String {
        format!("{}.{}", self.schema.as_str(), self.table.as_str())
    }
}

/// `{org}__{app}__{domain}`: names have no `_`, so `__` only ever separates.
fn domain_ident(path: &SchemaPath) -> Ident {
    Ident::fitted(&format!(
        "{}__{}__{}",
        path.org.underscored(),
        path.app.underscored(),
        path.domain.underscored()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str) -> TableNames {
        TableNames::of(&path.parse().unwrap())
    }

    #[test]
    fn the_contracts_example_has_the_contracts_names() {
        let names = names("acme/supply-chain/procurement/purchase-order/v1");
        assert_eq!(names.display(), "acme__supply_chain__procurement.purchase_order_v1");
        assert_eq!(names.history.as_str(), "purchase_order_v1_history");
    }

    #[test]
    fn paths_that_look_alike_never_meet() {
        assert_ne!(names("a-b/c/d/o/v1").schema, names("a/b-c/d/o/v1").schema);
        assert_ne!(names("a/b/c-d/o/v1").schema, names("a/b-c/d/o/v1").schema);
        let long = "x".repeat(60);
        assert_ne!(
            names(&format!("a/b/c/{long}/v1")).history,
            names(&format!("a/b/c/{}/v1", "x".repeat(61))).history
        );
    }

    #[test]
    fn a_history_is_never_another_objects_table() {
        // An object cannot be called `x_v1_history`, but `x-v1-history` gives `x_v1_history_v1`.
        assert_ne!(names("a/b/c/x/v1").history, names("a/b/c/x-v1-history/v1").table);
    }
}
