//! Which fields a constraint's name stands for.

use std::collections::HashMap;

use velocity_schema::Schema;
use velocity_sql::{TableNames, ddl};

/// The constraints of a table by name.
#[derive(Debug)]
pub(super) struct Constraints {
    fields: HashMap<String, Vec<String>>,
    checks: HashMap<String, (String, &'static str)>,
    /// What the names of the table's unique constraints begin with.
    prefix: String,
}

impl Constraints {
    pub(super) fn of(schema: &Schema, names: &TableNames) -> Self {
        let mut fields = HashMap::new();
        fields.insert(names.on_fields([], "pkey").as_str().to_owned(), vec!["id".to_owned()]);
        for key in ddl::unique_fields(schema) {
            let key: Vec<String> = key.iter().map(ToString::to_string).collect();
            let name = names.on_fields(key.iter().map(String::as_str), "key");
            fields.insert(name.as_str().to_owned(), key);
        }
        let mut checks = HashMap::new();
        for field in schema.fields() {
            let name = field.name.as_str();
            if field.reference.is_some() {
                let key = names.on_fields([name], "fkey");
                fields.insert(key.as_str().to_owned(), vec![name.to_owned()]);
            }
            for rule in ddl::CHECK_RULES {
                let check = ddl::check_name(name, rule);
                checks.insert(check.as_str().to_owned(), (name.to_owned(), rule));
            }
        }
        Self { fields, checks, prefix: format!("{}-", names.table.as_str()) }
    }

    /// The fields in the name of a unique constraint or index that the schema does not have; none where the name does
    /// not tell.
    pub(super) fn fields_of_unknown(&self, constraint: &str) -> Vec<String> {
        let fields = constraint.strip_prefix(&self.prefix).and_then(|rest| rest.rsplit_once('_'));
        fields.map_or_else(Vec::new, |(fields, _)| fields.split('-').map(str::to_owned).collect())
    }

    /// The fields of a unique constraint or foreign key.
    pub(super) fn fields(&self, constraint: &str) -> Option<&[String]> {
        self.fields.get(constraint).map(Vec::as_slice)
    }

    /// The field and rule of a check.
    pub(super) fn check<'a>(&'a self, constraint: &'a str) -> Option<(&'a str, &'static str)> {
        let known = self.checks.get(constraint).map(|(field, rule)| (field.as_str(), *rule));
        known.or_else(|| unknown_check(constraint))
    }
}

/// The field and rule in the name of a check that the schema does not have: of the next one, which is just being
/// provisioned, perhaps on the column that a field's values move to.
fn unknown_check(constraint: &str) -> Option<(&str, &'static str)> {
    let (column, rule) = constraint.strip_suffix("_check")?.rsplit_once('_')?;
    let rule = ddl::CHECK_RULES.into_iter().find(|known| *known == rule)?;
    Some((column.strip_prefix("_new_").unwrap_or(column), rule))
}
