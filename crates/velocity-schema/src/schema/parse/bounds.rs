//! How long texts and lists may be: the bounds that the CRD has too, so that what passes here passes there.

use crate::spec::SchemaDefinitionSpec;
use crate::violation::Violations;

/// Most fields besides the system fields, and most fields with rights.
const FIELDS_MAX: usize = 500;
/// Most unique constraints, and most indexes.
const CONSTRAINTS_MAX: usize = 32;
/// Most columns of an index; Postgres allows 32.
const COLUMNS_MAX: usize = 16;
/// Most rules, most row filters and most conditions on requests.
const RULES_MAX: usize = 100;
/// Most values of an enum.
const VALUES_MAX: usize = 1000;
const DISPLAY_NAME_MAX: usize = 200;
const DESCRIPTION_MAX: usize = 4096;
const PATTERN_MAX: usize = 1024;
const MESSAGE_MAX: usize = 1024;

/// Reports everything that is longer than it may be.
pub(super) fn check(spec: &SchemaDefinitionSpec, errors: &mut Violations) {
    let mut check = Check { errors };
    check.text("spec.displayName", spec.display_name.as_deref(), DISPLAY_NAME_MAX);
    check.text("spec.description", spec.description.as_deref(), DESCRIPTION_MAX);
    check.list("spec.fields", spec.fields.len(), 1, FIELDS_MAX);
    check.list("spec.uniqueConstraints", spec.unique_constraints.len(), 0, CONSTRAINTS_MAX);
    check.list("spec.indexes", spec.indexes.len(), 0, CONSTRAINTS_MAX);
    for (index, field) in spec.fields.iter().enumerate() {
        let at = format!("spec.fields[{index}]");
        check.text(&format!("{at}.description"), field.description.as_deref(), DESCRIPTION_MAX);
        check.text(&format!("{at}.pattern"), field.pattern.as_deref(), PATTERN_MAX);
        check.list(&format!("{at}.enum"), field.values.len(), 0, VALUES_MAX);
    }
    for (index, constraint) in spec.unique_constraints.iter().enumerate() {
        let at = format!("spec.uniqueConstraints[{index}].fields");
        check.list(&at, constraint.fields.len(), 1, COLUMNS_MAX);
    }
    for (index, wanted) in spec.indexes.iter().enumerate() {
        check.list(&format!("spec.indexes[{index}].fields"), wanted.fields.len(), 1, COLUMNS_MAX);
    }
    if let Some(validation) = &spec.validation {
        check.list("spec.validation.rules", validation.rules.len(), 0, RULES_MAX);
        for (index, rule) in validation.rules.iter().enumerate() {
            let at = format!("spec.validation.rules[{index}].message");
            check.text(&at, Some(&rule.message), MESSAGE_MAX);
        }
    }
    if let Some(access) = &spec.access {
        check.list("spec.access.rowFilter", access.row_filter.len(), 0, RULES_MAX);
        check.list("spec.access.abac", access.abac.len(), 0, RULES_MAX);
        for (index, rule) in access.abac.iter().enumerate() {
            let at = format!("spec.access.abac[{index}].message");
            check.text(&at, rule.message.as_deref(), MESSAGE_MAX);
        }
        check.list("spec.access.fieldAccess", access.field_access.len(), 0, FIELDS_MAX);
    }
    if let Some(audit) = &spec.audit {
        check.text("spec.audit.reasonPattern", audit.reason_pattern.as_deref(), PATTERN_MAX);
    }
}

struct Check<'a> {
    errors: &'a mut Violations,
}

impl Check<'_> {
    fn text(&mut self, path: &str, text: Option<&str>, max: usize) {
        if text.is_some_and(|text| text.chars().count() > max) {
            self.errors.push(path, "length", format!("has more than {max} characters"));
        }
    }

    fn list(&mut self, path: &str, length: usize, min: usize, max: usize) {
        if length < min {
            self.errors.push(path, "length", "is empty; it needs at least one entry");
        } else if length > max {
            self.errors.push(path, "length", format!("has {length} entries; there may be {max}"));
        }
    }
}
