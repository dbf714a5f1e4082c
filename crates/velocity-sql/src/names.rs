//! The names of a schema's things in Postgres, as the contract fixes them.

use velocity_schema::SchemaPath;

use crate::fragment::Fragment;
use crate::ident::{IDENT_MAX, Ident, quote_literal};

/// Between a table's name and the digits of a spec's hash.
const SHAPE_INFIX: &str = "_is_";
/// Digits of a spec's hash in a shape function's name.
const SHAPE_DIGITS: usize = 12;

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

    /// `'"schema"."table"'::regclass`.
    pub fn regclass(&self) -> String {
        format!("{}::regclass", quote_literal(&self.table_sql().inline()))
    }

    /// The same for the history.
    pub fn history_regclass(&self) -> String {
        format!("{}::regclass", quote_literal(&self.history_sql().inline()))
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

    /// The function that is there while exactly the spec of this hash is provisioned. Every statement of the API on the
    /// table names it, so that none ever runs against the shape of another spec. The hash is `sha256:…`; twelve digits
    /// tell a table's few specs apart.
    pub fn shape_function(&self, spec_hash: &str) -> Ident {
        let digits: String = spec_hash.trim_start_matches("sha256:").chars().take(SHAPE_DIGITS).collect();
        Ident::fitted(&format!("{}{digits}", self.shape_prefix()))
    }

    /// What the names of a table's shape functions begin with, and no other table's do.
    pub fn shape_prefix(&self) -> String {
        let whole = self.table.as_str();
        let table = if whole.len() <= IDENT_MAX - SHAPE_INFIX.len() - SHAPE_DIGITS {
            whole.to_owned()
        } else {
            // `fitted` cuts to the longest identifier, which leaves no room for more: the hash at its end is what tells.
            let digest = Ident::fitted(&whole.repeat(2)).as_str().chars().rev().take(10).collect::<String>();
            let mut end = IDENT_MAX - SHAPE_INFIX.len() - SHAPE_DIGITS - 11;
            while !whole.is_char_boundary(end) {
                end -= 1;
            }
            format!("{}_{digest}", &whole[..end])
        };
        format!("{table}{SHAPE_INFIX}")
    }

    /// The trigger function that fills the shadow columns of fields whose type is being changed.
    pub fn convert_function(&self) -> Ident {
        Ident::fitted(&format!("{}_convert", self.table.as_str()))
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
    fn shape_functions_of_long_tables_stay_apart() {
        let of = |object: &str| names(&format!("a/b/c/{object}/v1"));
        let (one, other) = (of(&format!("{}a", "x".repeat(59))), of(&format!("{}b", "x".repeat(59))));
        assert_eq!(of("x").shape_function("sha256:0123456789abcdef").as_str(), "x_v1_is_0123456789ab");
        assert_ne!(one.shape_prefix(), other.shape_prefix());
        let function = one.shape_function("sha256:0123456789abcdef");
        assert!(function.as_str().starts_with(&one.shape_prefix()), "{function}");
    }

    #[test]
    fn a_history_is_never_another_objects_table() {
        // An object cannot be called `x_v1_history`, but `x-v1-history` gives `x_v1_history_v1`.
        assert_ne!(names("a/b/c/x/v1").history, names("a/b/c/x-v1-history/v1").table);
    }
}
