//! What a credential is narrowed to: schemas, operations and fields. A scope never gives anything.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use velocity_schema::schema::Operation;
use velocity_schema::{FieldName, Name, SchemaPath, Version};

/// Most scopes of one credential.
pub const MAX_SCOPES: usize = 64;
/// Most fields of one scope: as many as a schema may have.
const MAX_FIELDS: usize = 512;
/// Longest text form of a scope.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Why a text or a document is not a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidScope(String);

/// One part of what a credential may be used for. A credential with scopes may do what at least one of them covers, and
/// nothing else.
///
/// As JSON: `{"schema": "acme/*/*/order/v1", "operations": ["read"], "fields": ["id", "amount"]}`; as text:
/// `acme/*/*/order/v1:read,export:id,amount`, where `*` or nothing between the colons means all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct CredentialScope {
    /// Which schemas.
    pub schema: SchemaPattern,
    /// Which operations; `None`: all.
    pub operations: Option<Vec<Operation>>,
    /// Which fields are seen and set; `None`: all.
    pub fields: Option<Vec<String>>,
}

impl CredentialScope {
    /// Whether it covers the operation on the schema.
    pub fn covers(&self, schema: &SchemaPath, operation: Operation) -> bool {
        self.schema.matches(schema)
            && self.operations.as_ref().is_none_or(|operations| operations.contains(&operation))
    }
}

/// The form of a scope in JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    schema: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operations: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<String>>,
}

impl TryFrom<Raw> for CredentialScope {
    type Error = InvalidScope;

    fn try_from(raw: Raw) -> Result<Self, InvalidScope> {
        let operations = raw.operations.map(|words| {
            words.iter().map(|word| word.parse::<Operation>().map_err(InvalidScope)).collect::<Result<_, _>>()
        });
        Self::new(raw.schema.parse()?, operations.transpose()?, raw.fields)
    }
}

impl From<CredentialScope> for Raw {
    fn from(scope: CredentialScope) -> Self {
        Self {
            schema: scope.schema.to_string(),
            operations: scope.operations.map(|all| all.iter().map(ToString::to_string).collect()),
            fields: scope.fields,
        }
    }
}

impl CredentialScope {
    /// A scope, its lists checked: an empty list would read as "nothing" to one and "everything" to another.
    fn new(
        schema: SchemaPattern,
        operations: Option<Vec<Operation>>,
        fields: Option<Vec<String>>,
    ) -> Result<Self, InvalidScope> {
        let operations = operations.map(|mut operations| {
            operations.sort_unstable();
            operations.dedup();
            operations
        });
        if operations.as_ref().is_some_and(Vec::is_empty) {
            return Err(InvalidScope("`operations` is empty: name some, or leave it out for all".to_owned()));
        }
        let fields = fields.map(|mut fields| {
            fields.sort_unstable();
            fields.dedup();
            fields
        });
        if let Some(fields) = &fields {
            if fields.is_empty() || fields.len() > MAX_FIELDS {
                return Err(InvalidScope(format!(
                    "`fields` has 1 to {MAX_FIELDS} names; leave it out for all"
                )));
            }
            for field in fields {
                field.parse::<FieldName>().map_err(|error| InvalidScope(error.to_string()))?;
            }
        }
        Ok(Self { schema, operations, fields })
    }
}

impl FromStr for CredentialScope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(InvalidScope("the scope is longer than 64 KiB".to_owned()));
        }
        let mut parts = text.split(':');
        let schema = parts.next().unwrap_or_default().parse()?;
        let operations = match parts.next().filter(|part| !is_all(part)) {
            None => None,
            Some(words) => {
                let parse = |word: &str| word.trim().parse::<Operation>().map_err(InvalidScope);
                Some(words.split(',').map(parse).collect::<Result<_, _>>()?)
            }
        };
        let fields = parts
            .next()
            .filter(|part| !is_all(part))
            .map(|names| names.split(',').map(|name| name.trim().to_owned()).collect());
        if parts.next().is_some() {
            return Err(InvalidScope(
                "a scope has at most two colons: schema:operations:fields, such as acme/*/*/order/v1:read:id,amount"
                    .to_owned(),
            ));
        }
        Self::new(schema, operations, fields)
    }
}

fn is_all(part: &str) -> bool {
    matches!(part.trim(), "" | "*")
}

impl fmt::Display for CredentialScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.schema)?;
        if self.operations.is_none() && self.fields.is_none() {
            return Ok(());
        }
        let words = self.operations.iter().flatten().map(|o| o.as_str()).collect::<Vec<_>>();
        write!(f, ":{}", words.join(","))?;
        match &self.fields {
            Some(fields) => write!(f, ":{}", fields.join(",")),
            None => Ok(()),
        }
    }
}

/// `org/app/domain/object/version`, where each part is a name or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SchemaPattern {
    org: Option<Name>,
    app: Option<Name>,
    domain: Option<Name>,
    object: Option<Name>,
    version: Option<Version>,
}

impl SchemaPattern {
    /// Whether the schema at `path` is meant.
    pub fn matches(&self, path: &SchemaPath) -> bool {
        fn fits<T: PartialEq>(wanted: Option<&T>, name: &T) -> bool {
            wanted.is_none_or(|wanted| wanted == name)
        }
        fits(self.org.as_ref(), &path.org)
            && fits(self.app.as_ref(), &path.app)
            && fits(self.domain.as_ref(), &path.domain)
            && fits(self.object.as_ref(), &path.object)
            && fits(self.version.as_ref(), &path.version)
    }
}

impl FromStr for SchemaPattern {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        fn part<T: FromStr<Err = velocity_schema::name::InvalidName>>(
            text: &str,
        ) -> Result<Option<T>, InvalidScope> {
            if text == "*" {
                return Ok(None);
            }
            text.parse().map(Some).map_err(|error: velocity_schema::name::InvalidName| {
                InvalidScope(format!("{error}; `*` stands for all"))
            })
        }
        let mut parts = text.split('/');
        let mut next = || parts.next().unwrap_or_default();
        let (org, app, domain, object, version) = (next(), next(), next(), next(), next());
        if version.is_empty() || parts.next().is_some() {
            return Err(InvalidScope(
                "the schema of a scope is org/app/domain/object/version, each a name or `*`".to_owned(),
            ));
        }
        Ok(Self {
            org: part(org)?,
            app: part(app)?,
            domain: part(domain)?,
            object: part(object)?,
            version: part(version)?,
        })
    }
}

impl fmt::Display for SchemaPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn shown<T: AsRef<str>>(part: Option<&T>) -> &str {
            part.map_or("*", AsRef::as_ref)
        }
        write!(
            f,
            "{}/{}/{}/{}/{}",
            shown(self.org.as_ref()),
            shown(self.app.as_ref()),
            shown(self.domain.as_ref()),
            shown(self.object.as_ref()),
            shown(self.version.as_ref())
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn scope(text: &str) -> CredentialScope {
        text.parse().unwrap()
    }

    fn path(text: &str) -> SchemaPath {
        text.parse().unwrap()
    }

    #[test]
    fn a_scope_reads_the_same_as_text_and_as_json() {
        for (text, document) in [
            ("acme/*/*/order/v1", json!({ "schema": "acme/*/*/order/v1" })),
            ("*/*/*/*/*:read,export", json!({ "schema": "*/*/*/*/*", "operations": ["read", "export"] })),
            (
                "a/b/c/d/v2:read:amount,id",
                json!({ "schema": "a/b/c/d/v2", "operations": ["read"], "fields": ["amount", "id"] }),
            ),
            ("a/b/c/d/v2::id", json!({ "schema": "a/b/c/d/v2", "fields": ["id"] })),
        ] {
            let parsed = scope(text);
            assert_eq!(parsed.to_string(), text);
            assert_eq!(serde_json::to_value(&parsed).unwrap(), document);
            assert_eq!(serde_json::from_value::<CredentialScope>(document).unwrap(), parsed);
        }
        assert_eq!(scope("a/b/c/d/v1:*:*"), scope("a/b/c/d/v1"));
        assert_eq!(scope("a/b/c/d/v1:read,read"), scope("a/b/c/d/v1:read"));
    }

    #[test]
    fn what_is_no_scope_is_an_error_and_never_a_wide_scope() {
        for text in [
            "",
            "*",
            "a/b/c/d",
            "a/b/c/d/v1/e",
            "a/b/c/d/1",
            "a/b/c/*d/v1",
            "A/b/c/d/v1",
            "a/b/c/d/v1:fly",
            "a/b/c/d/v1:read:",
            "a/b/c/d/v1:read:id:x",
            "a/b/c/d/v1:read:a b",
            "a/b/c/d/v1:read,",
            "/////",
        ] {
            let parsed = text.parse::<CredentialScope>();
            assert!(parsed.is_err() == (text != "a/b/c/d/v1:read:"), "{text}: {parsed:?}");
        }
        for document in [
            json!({}),
            json!({ "schema": "*" }),
            json!({ "schema": "*/*/*/*/*", "operations": [] }),
            json!({ "schema": "*/*/*/*/*", "fields": [] }),
            json!({ "schema": "*/*/*/*/*", "operation": ["read"] }),
            json!({ "schema": "*/*/*/*/*", "operations": ["READ"] }),
            Value::Null,
        ] {
            assert!(serde_json::from_value::<CredentialScope>(document.clone()).is_err(), "{document}");
        }
    }

    #[test]
    fn a_scope_covers_its_schemas_and_operations_and_no_others() {
        let orders = scope("acme/*/*/order/v1:read");
        assert!(orders.covers(&path("acme/a/b/order/v1"), Operation::Read));
        assert!(!orders.covers(&path("acme/a/b/order/v1"), Operation::Export));
        assert!(!orders.covers(&path("acme/a/b/order/v2"), Operation::Read));
        assert!(!orders.covers(&path("acme/a/b/orders/v1"), Operation::Read));
        assert!(!orders.covers(&path("evil/a/b/order/v1"), Operation::Read));
    }
}
