//! Names that cannot be wrong once they exist.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest resource name: a DNS label, as Kubernetes has it.
const NAME_MAX: usize = 63;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Not a lower-case DNS label.
    #[error(
        "`{0}` is not a name: use 1 to 63 lower-case letters, digits and single dashes, beginning and ending with a letter or digit"
    )]
    NotALabel(String),
    /// `--` is kept free, so that no two paths can meet in one Postgres name.
    #[error("`{0}` contains `--`, which names may not: two paths could meet in one Postgres name")]
    DoubleDash(String),
    /// Not a field name.
    #[error(
        "`{0}` is not a field name: use 1 to 63 letters, digits and underscores, beginning with a letter"
    )]
    NotAField(String),
    /// Not a version.
    #[error("`{0}` is not a version: use v1, v2, …")]
    NotAVersion(String),
    /// Not `org/app/domain/object/version`.
    #[error("`{0}` is not a schema path: use org/app/domain/object/version")]
    NotAPath(String),
}

/// A lower-case DNS label without `--`: names of organisations, applications, domains and objects.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name with `-` as `_`, as Postgres names have it. One-to-one, since a name has no `_`.
    pub fn underscored(&self) -> String {
        self.0.replace('-', "_")
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let bytes = text.as_bytes();
        let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let label = (1..=NAME_MAX).contains(&bytes.len())
            && bytes.iter().all(|b| edge(b) || *b == b'-')
            && bytes.first().is_some_and(edge)
            && bytes.last().is_some_and(edge);
        if !label {
            Err(InvalidName::NotALabel(shown(text)))
        } else if text.contains("--") {
            Err(InvalidName::DoubleDash(shown(text)))
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

/// The name of a field: letters, digits and underscores, at most 63 bytes, so that it is a column name as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldName(String);

impl FieldName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FieldName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let bytes = text.as_bytes();
        let valid = (1..=NAME_MAX).contains(&bytes.len())
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
            && bytes.first().is_some_and(u8::is_ascii_alphabetic);
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidName::NotAField(shown(text))) }
    }
}

/// The version of an object's contract: `v1`, `v2`, ….
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(String);

impl Version {
    /// The version as text, with its `v`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Version {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let valid = text.strip_prefix('v').is_some_and(|digits| {
            (1..=9).contains(&digits.len())
                && digits.bytes().all(|b| b.is_ascii_digit())
                && !digits.starts_with('0')
        });
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidName::NotAVersion(shown(text))) }
    }
}

/// Where a schema lives: `org/app/domain/object/version`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaPath {
    /// The organisation.
    pub org: Name,
    /// The application.
    pub app: Name,
    /// The domain: one Kubernetes namespace, one Postgres schema, one Postgres role.
    pub domain: Name,
    /// The object type.
    pub object: Name,
    /// The version of its contract.
    pub version: Version,
}

impl SchemaPath {
    /// The namespace that this path must live in: `{org}-{app}-{domain}`.
    pub fn namespace(&self) -> String {
        format!("{}-{}-{}", self.org.0, self.app.0, self.domain.0)
    }

    /// The path of the schema's HTTP routes: `/api/{org}/{app}/{domain}/{object}/{version}`.
    pub fn endpoint(&self) -> String {
        format!("/api/{self}")
    }

    /// Whether `other` is in the same domain.
    pub fn same_domain(&self, other: &Self) -> bool {
        self.org == other.org && self.app == other.app && self.domain == other.domain
    }
}

impl fmt::Display for SchemaPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}/{}", self.org.0, self.app.0, self.domain.0, self.object.0, self.version.0)
    }
}

impl FromStr for SchemaPath {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let parts: Vec<&str> = text.split('/').collect();
        let [org, app, domain, object, version] = parts[..] else {
            return Err(InvalidName::NotAPath(shown(text)));
        };
        Ok(Self {
            org: org.parse()?,
            app: app.parse()?,
            domain: domain.parse()?,
            object: object.parse()?,
            version: version.parse()?,
        })
    }
}

/// A text as an error may show it: cut, so that an error is never as long as an attack.
fn shown(text: &str) -> String {
    if text.chars().count() <= 80 {
        text.escape_debug().to_string()
    } else {
        format!("{}…", text.chars().take(80).collect::<String>().escape_debug())
    }
}

macro_rules! text_like {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

text_like!(Name, FieldName, Version);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels_without_double_dashes() {
        for good in ["a", "purchase-order", "a1", "x9-y", "7-eleven"] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a--b", "é", "a b", &"a".repeat(64), "a\0"] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn field_names_are_column_names_as_they_are() {
        for good in ["id", "time_hour", "camelCase", "a1", &"f".repeat(63)] {
            assert!(good.parse::<FieldName>().is_ok(), "{good}");
        }
        for bad in ["", "_x", "1a", "a-b", "a\"b", "a b", "é", &"f".repeat(64)] {
            assert!(bad.parse::<FieldName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_begin_with_v_and_have_no_leading_zero() {
        assert!("v1".parse::<Version>().is_ok() && "v10".parse::<Version>().is_ok());
        for bad in ["1", "v0", "v01", "v", "V1", "v1.0", "v-1"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_reads_back_as_it_was_written() {
        let path: SchemaPath = "acme/supply-chain/procurement/purchase-order/v1".parse().unwrap();
        assert_eq!(path.to_string(), "acme/supply-chain/procurement/purchase-order/v1");
        assert_eq!(path.namespace(), "acme-supply-chain-procurement");
        assert!("a/b/c".parse::<SchemaPath>().is_err());
    }
}
