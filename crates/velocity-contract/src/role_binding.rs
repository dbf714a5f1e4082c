//! RoleBinding as it is written: what an actor may do beyond what their token says.
//!
//! A binding holds in the domain that its namespace belongs to. It only ever adds: roles and attributes to those of the
//! token, never takes one away. What it says is checked in three places, each alone enough to keep a bad one from
//! giving anything: the CRD's own rules, the operator (status `Refused`), and the API, which leaves it out.
//!
//! ```yaml
//! actor: ravi@acme.com
//! roles: [procurement-writer]
//! attributes: { region: west }             # counts where the token has no attribute of that name
//! scopes:                                   # without scopes: everything in the domain
//!   - { object: purchase-order, version: v1, operations: [create, read, update] }
//!   - { object: supplier }
//! expiresAt: "2027-01-01T00:00:00Z"
//! ```

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Roles and attributes for an actor in the namespace's domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "crd",
    derive(schemars::JsonSchema),
    schemars(extend("x-kubernetes-validations" = [{
        "rule": "(has(self.roles) && size(self.roles) > 0) || has(self.attributes)",
        "message": "a binding gives something: list roles, attributes, or both"
    }]))
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleBindingSpec {
    /// Whom it is for: the actor exactly as the strategy's claim mapping gives it. There are no patterns.
    #[cfg_attr(
        feature = "crd",
        schemars(
            length(min = 1, max = 256),
            extend("x-kubernetes-validations" = [{
                "rule": "self != '*'",
                "message": "a binding is for one actor; what everyone may do is said in access.roles and by the strategy's claim mapping"
            }])
        )
    )]
    pub actor: String,
    /// The roles that the actor holds in the domain, beside those of their token. `platform-admin` is never given this
    /// way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "crd", schemars(length(max = 100)))]
    pub roles: Vec<String>,
    /// Attributes of the actor in the domain. One that the token carries too keeps the token's value.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "crd::attributes"))]
    pub attributes: Map<String, Value>,
    /// Where it holds. Without scopes it holds for every object of the domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 100)))]
    pub scopes: Option<Vec<BindingScopeSpec>>,
    /// Until when it holds: RFC 3339 with a time zone, such as `2027-01-01T00:00:00Z`. Without it: until it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(length(max = 40), extend("format" = "date-time")))]
    pub expires_at: Option<String>,
}

/// A part of the domain in which a binding holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BindingScopeSpec {
    /// The object, such as `purchase-order`.
    pub object: String,
    /// One version of it, such as `v1`. Without it: every version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The operations, as `access.roles` names them. Without them: all that the roles allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 7)))]
    pub operations: Option<Vec<String>>,
}

#[cfg(feature = "crd")]
mod crd {
    /// A name and any JSON value, as tokens have them. Rules cannot see a map of values of any type, so it is an object
    /// of unknown fields.
    pub(super) fn attributes(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": true,
            "minProperties": 1,
            "maxProperties": 64
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_example_of_the_documentation_parses_and_comes_back_unchanged() {
        let lines = include_str!("role_binding.rs").lines().map_while(|line| line.strip_prefix("//!"));
        let example: Vec<&str> =
            lines.skip_while(|l| *l != " ```yaml").skip(1).take_while(|l| *l != " ```").collect();
        let document: Value = serde_saphyr::from_str(&example.join("\n")).unwrap();
        let spec: RoleBindingSpec = serde_json::from_value(document.clone()).unwrap();
        assert_eq!(serde_json::to_value(&spec).unwrap(), document);
        assert_eq!(spec.scopes.unwrap()[1].operations, None);
    }

    #[test]
    fn an_unknown_field_is_an_error_wherever_it_stands() {
        for document in [
            json!({ "actor": "a", "roles": ["r"], "expires": "2027-01-01T00:00:00Z" }),
            json!({ "actor": "a", "roles": ["r"], "scopes": [{ "object": "o", "operation": ["read"] }] }),
        ] {
            let error = serde_json::from_value::<RoleBindingSpec>(document).unwrap_err();
            assert!(error.to_string().contains("unknown field"), "{error}");
        }
    }

    #[test]
    fn no_scopes_and_an_empty_list_of_scopes_are_not_the_same() {
        let spec = |extra: Value| {
            let mut document = json!({ "actor": "a", "roles": ["r"] });
            document.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            serde_json::from_value::<RoleBindingSpec>(document).unwrap()
        };
        assert_eq!(spec(json!({})).scopes, None);
        assert_eq!(spec(json!({ "scopes": [] })).scopes, Some(Vec::new()));
    }
}
