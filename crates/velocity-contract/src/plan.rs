//! What a spec would change: the body of `POST /platform/plan`, and what `velocity diff -o json` prints for each schema.

use serde::{Deserialize, Deserializer, Serialize};
use velocity_schema::changes::{self, AccessChange as AccessDifference, Change};

use crate::status::OperationClass;

/// What a spec would change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SchemaPlan {
    /// `org/app/domain/object/version`.
    pub path: String,
    /// The hash of the spec.
    pub spec_hash: String,
    /// The hash of the spec that is provisioned; null where there is none.
    pub provisioned: Option<String>,
    /// What is different for clients.
    pub changes: Vec<FieldChange>,
    /// What is done in the database, in this order.
    pub operations: Vec<Operation>,
    /// Who may do what that they could not, or no longer.
    pub access: Vec<AccessChange>,
    /// References whose target is not there yet: nothing is served before it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<MissingTarget>,
    /// What an approval of exactly these operations names.
    pub plan_hash: String,
    /// About how many records the table has; absent where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_rows: Option<i64>,
    /// Whether there is more to do that can only be planned once these operations are done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// Something that clients notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// `added`, `removed` or `changed`.
    pub change: String,
    /// `field`, `index`, `rule`, ….
    pub part: String,
    /// Its name; empty where there is only one.
    pub name: String,
    /// How it is, or how it was and is.
    pub detail: String,
}

/// One step in the database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// What it does, for people.
    pub summary: String,
    /// How careful one must be with it.
    pub class: OperationClass,
    /// The strongest lock that it takes on the table, as Postgres names it.
    pub lock: String,
    /// The exact SQL.
    pub sql: String,
    /// What it breaks, what it needs, or what is worth knowing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether no approval helps: it cannot be done in place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// The records that keep it from being done, where somebody looked and found some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violations: Option<Violations>,
    /// About how many rows it reads or writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_rows: Option<i64>,
    /// About how long it takes, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_seconds: Option<f64>,
}

/// Records that do not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violations {
    /// How many.
    pub count: i64,
    /// Three of them.
    pub samples: Vec<String>,
}

/// A role whose rights on an operation are different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessChange {
    /// The role; `*` stands for everyone.
    pub role: String,
    /// `create`, `read`, ….
    pub operation: String,
    /// `gains`, `loses`, `row filter added`, `gains read of field`, `condition changed` and their like.
    pub change: String,
    /// The field, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The row filter that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The row filter that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many records somebody sees who holds this role alone, as things are; null where that is not known, which `note`
    /// explains. Absent where it is not about what is read, and where nobody counted.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "null_too")]
    pub rows_before: Option<Option<i64>>,
    /// The same once this is applied.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "null_too")]
    pub rows_after: Option<Option<i64>>,
    /// Why there is no number, or what to know about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A member that is there, null or not.
#[expect(clippy::option_option, reason = "absent and null are two things")]
fn null_too<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<i64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A reference whose target is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingTarget {
    /// The field.
    pub field: String,
    /// `schema.table` of the target.
    pub target: String,
}

impl SchemaPlan {
    /// The most careful class among the operations; none where there is nothing to do.
    pub fn class(&self) -> Option<OperationClass> {
        self.operations.iter().map(|operation| operation.class).max()
    }
}

impl FieldChange {
    /// The sign before its line.
    pub fn sign(&self) -> char {
        use changes::Kind::{Added, Changed, Removed};
        [Added, Removed, Changed]
            .into_iter()
            .find(|kind| kind.as_str() == self.change)
            .map_or('~', changes::Kind::sign)
    }
}

impl From<Change> for FieldChange {
    fn from(change: Change) -> Self {
        let Change { kind, part, name, detail } = change;
        Self { change: kind.as_str().to_owned(), part: part.to_owned(), name, detail }
    }
}

impl From<AccessDifference> for AccessChange {
    fn from(difference: AccessDifference) -> Self {
        let AccessDifference { role, operation, change, field, before, after } = difference;
        Self {
            role,
            operation: operation.to_string(),
            change: change.to_owned(),
            field,
            before,
            after,
            rows_before: None,
            rows_after: None,
            note: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_has_the_members_of_the_contract_and_no_empty_ones() {
        let operation = Operation {
            summary: "drop column note".into(),
            class: OperationClass::NeedsData,
            lock: "ACCESS EXCLUSIVE".into(),
            sql: "alter table …".into(),
            reason: None,
            refused: false,
            violations: None,
            estimated_rows: Some(3),
            estimated_seconds: None,
        };
        let json = serde_json::json!({ "summary": "drop column note", "class": "needsData", "lock": "ACCESS EXCLUSIVE",
            "sql": "alter table …", "estimatedRows": 3 });
        assert_eq!(serde_json::to_value(&operation).unwrap(), json);
        assert_eq!(serde_json::from_value::<Operation>(json).unwrap(), operation);
    }

    #[test]
    fn rows_that_were_not_counted_are_absent_and_those_that_could_not_be_are_null() {
        for json in [
            serde_json::json!({ "role": "r", "operation": "read", "change": "gains" }),
            serde_json::json!({ "role": "r", "operation": "read", "change": "gains", "rowsBefore": 0, "rowsAfter": null,
                "note": "why" }),
        ] {
            let change: AccessChange = serde_json::from_value(json.clone()).unwrap();
            assert_eq!(serde_json::to_value(&change).unwrap(), json);
        }
    }

    #[test]
    fn a_change_keeps_its_sign() {
        let of = |word: &str| FieldChange {
            change: word.into(),
            part: "field".into(),
            name: "a".into(),
            detail: String::new(),
        };
        assert_eq!(["added", "removed", "changed"].map(|word| of(word).sign()), ['+', '-', '~']);
    }
}
