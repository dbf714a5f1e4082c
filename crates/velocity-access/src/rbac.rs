//! Which roles may do which operation, and with which of its roles a caller does it.
//!
//! Every route needs one operation: undelete and unarchive need `restore` (they bring a record back), bulk and import
//! that of each item, query and search `read`, diff, replay and the change stream `history`, snapshots `export`.

use velocity_schema::schema::{Access, Operation};

use crate::identity::{Identity, PLATFORM_ADMIN};

/// Whether an identity may do an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<'i> {
    /// It may.
    Allowed {
        /// The caller's roles that allow this operation, sorted. Only these go to the database as `velocity.roles`, so
        /// that a role which allows nothing here never widens the rows that are seen. For a platform admin it is that
        /// role alone.
        effective_roles: Vec<&'i str>,
    },
    /// It may not.
    Denied {
        /// Why, and which roles would do: for the caller and the audit record.
        reason: String,
    },
}

/// Decides one operation by the identity's own roles alone.
pub fn decide<'i>(access: &'i Access, identity: &'i Identity, operation: Operation) -> Decision<'i> {
    decide_with(access, identity.is_platform_admin(), &|role| identity.holds(role), operation)
}

/// Decides one operation for somebody who holds these roles. What no role is granted is denied to everyone but
/// [`PLATFORM_ADMIN`].
pub(crate) fn decide_with<'a>(
    access: &'a Access,
    is_admin: bool,
    holds: &dyn Fn(&str) -> bool,
    operation: Operation,
) -> Decision<'a> {
    if is_admin {
        return Decision::Allowed { effective_roles: vec![PLATFORM_ADMIN] };
    }
    let granted = access.roles(operation);
    if granted.is_empty() {
        return Decision::Denied { reason: format!("`{operation}` is granted to no role here") };
    }
    let effective_roles: Vec<&str> =
        granted.iter().map(String::as_str).filter(|role| *role != PLATFORM_ADMIN && holds(role)).collect();
    if effective_roles.is_empty() {
        let needed = granted.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        return Decision::Denied { reason: format!("`{operation}` needs one of the roles: {needed}") };
    }
    Decision::Allowed { effective_roles }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use velocity_schema::Schema;
    use velocity_schema::spec::SchemaDefinitionSpec;

    use super::*;
    use crate::identity::IdentityParts;

    fn identity(roles: &[&str]) -> Identity {
        Identity::new(IdentityParts {
            roles: roles.iter().map(ToString::to_string).collect(),
            ..IdentityParts::user("ravi", "platform/dev", jiff::Timestamp::MAX)
        })
        .unwrap()
    }

    /// Create, history and restore are not listed; delete is listed, and empty.
    fn schema() -> Schema {
        let spec = SchemaDefinitionSpec::from_json(&json!({
            "org": "acme", "app": "supply", "domain": "procurement", "object": "order", "version": "v1",
            "fields": [{ "name": "region", "type": "string" }],
            "access": { "roles": {
                "read": ["reader", "writer", "region-manager"], "update": ["writer"], "delete": [], "export": ["star"]
            } }
        }))
        .unwrap();
        Schema::parse(&spec).unwrap()
    }

    fn is_denied(roles: &[&str], operation: Operation) -> bool {
        matches!(decide(schema().access(), &identity(roles), operation), Decision::Denied { .. })
    }

    #[test]
    fn only_roles_that_allow_the_operation_are_effective() {
        let (schema, ravi) = (schema(), identity(&["writer", "region-manager", "stranger"]));
        assert_eq!(
            decide(schema.access(), &ravi, Operation::Read),
            Decision::Allowed { effective_roles: vec!["region-manager", "writer"] }
        );
        assert_eq!(
            decide(schema.access(), &ravi, Operation::Update),
            Decision::Allowed { effective_roles: vec!["writer"] }
        );
    }

    #[test]
    fn a_role_that_allows_nothing_here_is_denied_and_the_reason_names_what_would_do() {
        let ravi = identity(&["reader"]);
        let schema = schema();
        let decision = decide(schema.access(), &ravi, Operation::Update);
        assert_eq!(
            decision,
            Decision::Denied { reason: "`update` needs one of the roles: writer".to_owned() }
        );
    }

    #[test]
    fn what_is_not_listed_or_listed_empty_is_denied_to_everyone_but_platform_admin() {
        let admin = identity(&["reader", PLATFORM_ADMIN]);
        for operation in [Operation::Create, Operation::Delete, Operation::History, Operation::Restore] {
            assert!(is_denied(&["reader", "writer", "region-manager", "star"], operation), "{operation}");
            assert_eq!(
                decide(schema().access(), &admin, operation),
                Decision::Allowed { effective_roles: vec![PLATFORM_ADMIN] }
            );
        }
    }

    #[test]
    fn nobody_without_the_exact_role_may_do_anything() {
        for operation in Operation::ALL {
            assert!(is_denied(&[], operation), "{operation}");
            assert!(
                is_denied(&["*", "Platform-Admin", "platform-admin2", "Writer"], operation),
                "{operation}"
            );
        }
    }
}
