//! A caller on one schema: everything that decides what they may do with its records.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value as Json};
use velocity_schema::cel::ir::Op;
use velocity_schema::cel::{ActorView, Condition, RequestView};
use velocity_schema::schema::{AbacRule, Operation, View, WriteRights};
use velocity_schema::{Schema, Value};

use crate::binding::{ActorBindings, Bindings};
use crate::credential_scope::CredentialScope;
use crate::identity::{Identity, PLATFORM_ADMIN};
use crate::layer::{Layer, Layers};
use crate::rbac::{self, Decision};

/// What the database has one policy for.
const CHANGES: [Operation; 3] = [Operation::Update, Operation::Delete, Operation::Restore];

/// A condition of `access.abac` that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AbacDenied {
    /// What the caller is told: the rule's message, or that a condition does not hold.
    pub message: String,
    /// Which rule it was, by its position in `access.abac`. For the log and for administrators.
    pub rule: usize,
}

/// The caller as conditions see them.
#[derive(Debug, Clone)]
pub struct Acting<'s> {
    identity: &'s Identity,
    roles: Vec<String>,
    attributes: Cow<'s, str>,
}

impl Acting<'_> {
    /// What an evaluation takes.
    pub fn view(&self) -> ActorView<'_> {
        ActorView {
            id: self.identity.actor(),
            actor_type: self.identity.actor_type().name(),
            roles: &self.roles,
            attributes: &self.attributes,
        }
    }
}

/// A caller on one schema at one moment: the identity, the RoleBindings that hold for it there, and what the credential
/// is narrowed to. Cheap to clone; where nothing is bound, making one allocates nothing.
#[derive(Debug, Clone)]
pub struct Subject {
    identity: Arc<Identity>,
    schema: Arc<Schema>,
    /// `None`: no binding holds here.
    bound: Option<Arc<ActorBindings>>,
    now: Timestamp,
    is_admin: bool,
    layers: Layers,
}

impl Subject {
    /// The caller on `schema` at `now`. `admin_counts` says whether the caller's strategy may make platform
    /// administrators: that of a tenant may not.
    pub fn resolve(
        identity: Arc<Identity>,
        bindings: &Bindings,
        schema: Arc<Schema>,
        now: Timestamp,
        admin_counts: bool,
        layers: Layers,
    ) -> Self {
        let path = schema.path();
        let bound = bindings
            .of(path, identity.actor())
            .filter(|bound| bound.iter().any(|binding| binding.holds(path, &[], now)))
            .cloned();
        let is_admin = admin_counts && identity.is_platform_admin();
        Self { identity, schema, bound, now, is_admin, layers }
    }

    /// Who it is.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The moment at which expiry was judged.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Whether the caller may do everything: holds `platform-admin` from a strategy that may give it. A narrowed
    /// credential stays narrowed.
    pub fn is_platform_admin(&self) -> bool {
        self.is_admin
    }

    /// Whether the caller holds the role for the operation, from the credential or a binding.
    pub fn holds(&self, role: &str, operation: Operation) -> bool {
        self.holds_for(role, &[operation])
    }

    /// Whether the caller holds the role for each of the operations.
    fn holds_for(&self, role: &str, operations: &[Operation]) -> bool {
        if role == PLATFORM_ADMIN {
            return self.is_admin;
        }
        self.identity.holds(role)
            || self.bound.as_ref().is_some_and(|bound| {
                operations.iter().all(|operation| {
                    bound
                        .of_role(role)
                        .any(|binding| binding.holds(self.schema.path(), &[*operation], self.now))
                })
            })
    }

    /// Whether the caller may do the operation, by role and by what the credential is narrowed to, and with which of
    /// their roles.
    pub fn roles_for(&self, operation: Operation) -> Decision<'_> {
        if !self.layers.stands(Layer::Rbac) {
            return Decision::Allowed { effective_roles: self.all_roles(operation) };
        }
        let holds = |role: &str| self.holds(role, operation);
        match rbac::decide_with(self.schema.access(), self.is_admin, &holds, operation) {
            Decision::Allowed { .. } if !self.is_in_scope(operation) => {
                Decision::Denied { reason: out_of_scope(operation) }
            }
            decision => decision,
        }
    }

    /// Those of the caller's roles with which one transaction may do all of `operations`.
    ///
    /// The database has one policy for new rows and one for changed ones, the latter for updates, deletions and restores
    /// alike. So a role that allows one kind of change must not come along to a transaction that makes another kind:
    /// its row filter would count there too.
    pub fn roles_for_all(&self, operations: &[Operation]) -> Decision<'_> {
        if let [only] = operations {
            return self.roles_for(*only);
        }
        let mut roles: Vec<&str> = Vec::new();
        for operation in operations {
            match self.roles_for(*operation) {
                Decision::Allowed { effective_roles } => roles.extend(effective_roles),
                denied @ Decision::Denied { .. } => return denied,
            }
        }
        roles.sort_unstable();
        roles.dedup();
        if self.is_admin || !self.layers.stands(Layer::Rbac) {
            return Decision::Allowed { effective_roles: roles };
        }
        let access = self.schema.access();
        let allows = |role: &str, operation: Operation| {
            access.roles(operation).contains(role) && self.holds(role, operation)
        };
        let wanted: Vec<Operation> = operations.iter().copied().filter(|o| CHANGES.contains(o)).collect();
        roles.retain(|role| {
            wanted.iter().all(|operation| allows(role, *operation))
                || !CHANGES.iter().any(|operation| access.roles(*operation).contains(*role))
        });
        match operations.iter().find(|operation| !roles.iter().any(|role| allows(role, **operation))) {
            None => Decision::Allowed { effective_roles: roles },
            Some(operation) => Decision::Denied {
                reason: format!(
                    "no role of yours allows `{operation}` together with the rest: send them apart"
                ),
            },
        }
    }

    /// The operations that the caller may do.
    pub fn operations(&self) -> Vec<Operation> {
        let allowed = |operation: &Operation| matches!(self.roles_for(*operation), Decision::Allowed { .. });
        Operation::ALL.into_iter().filter(allowed).collect()
    }

    /// The attributes that count for all of the operations, as JSON text: the credential's, and those of the bindings
    /// that hold for each of them.
    pub fn attributes_json(&self, operations: &[Operation]) -> Cow<'_, str> {
        match self.attributes(operations) {
            Cow::Borrowed(_) => Cow::Borrowed(self.identity.attributes_json()),
            // A map of JSON values can always be written.
            Cow::Owned(merged) => Cow::Owned(Json::Object(merged).to_string()),
        }
    }

    /// The same as a map. An attribute of the credential is never replaced; among bindings the first by name counts.
    pub fn attributes(&self, operations: &[Operation]) -> Cow<'_, Map<String, Json>> {
        let mut merged = Cow::Borrowed(self.identity.attributes());
        let bindings = self.bound.iter().flat_map(|bound| bound.iter());
        for binding in bindings.filter(|binding| !binding.attributes().is_empty()) {
            if !binding.holds(self.schema.path(), operations, self.now) {
                continue;
            }
            for (name, value) in binding.attributes() {
                if !merged.contains_key(name) {
                    merged.to_mut().insert(name.clone(), value.clone());
                }
            }
        }
        merged
    }

    /// What the caller sees of each field when doing the operation.
    pub fn view(&self, operation: Operation) -> View {
        let view = self.schema.view(&|role| self.holds(role, operation));
        let view = self.without_removed(view);
        match self.scoped_fields(operation) {
            None => view,
            Some(fields) => view.narrowed(&self.schema, |position| self.is_named(position, &fields)),
        }
    }

    /// Which fields the caller sets when doing the operation.
    pub fn write_rights(&self, operation: Operation) -> WriteRights {
        let rights = if self.layers.stands(Layer::FieldRights) {
            self.schema.write_rights(&|role| self.holds(role, operation))
        } else {
            WriteRights::all()
        };
        match self.scoped_fields(operation) {
            None => rights,
            Some(fields) => rights.narrowed(&self.schema, |position| self.is_named(position, &fields)),
        }
    }

    /// Whether every condition on the operation is true: all of them on a record, without one those that do not look at
    /// it. A condition that is unknown, fails or runs over its budget is not true.
    pub fn abac(
        &self,
        operation: Operation,
        record: Option<&[Value]>,
        request: RequestView<'_>,
    ) -> Result<(), AbacDenied> {
        match self.false_condition(operation, record, request) {
            None => Ok(()),
            Some((rule, message)) => Err(AbacDenied { message, rule }),
        }
    }

    fn false_condition(
        &self,
        operation: Operation,
        record: Option<&[Value]>,
        request: RequestView<'_>,
    ) -> Option<(usize, String)> {
        let rules = self.schema.access().abac();
        let asked = |rule: &AbacRule| {
            rule.operations.contains(&operation) && (record.is_some() || !rule.condition.uses_record())
        };
        if self.is_admin || !self.layers.stands(Layer::Abac) || !rules.iter().any(asked) {
            return None;
        }
        // Most conditions ask for no roles, which cost the most.
        let asks_for_roles =
            |rule: &AbacRule| rule.condition.expr().any(&|expr| matches!(expr.op, Op::ActorRoles));
        let acting = Acting {
            roles: if rules.iter().any(|rule| asked(rule) && asks_for_roles(rule)) {
                self.held_roles_owned(operation)
            } else {
                Vec::new()
            },
            identity: &self.identity,
            attributes: self.attributes_json(&[operation]),
        };
        let actor = acting.view();
        rules.iter().enumerate().filter(|(_, rule)| asked(rule)).find_map(|(index, rule)| {
            let holds = rule.condition.evaluate(record, actor, request);
            (holds != Ok(true)).then(|| (index, abac_message(rule)))
        })
    }

    /// The caller as conditions see them when doing the operation: with every role that they hold for it, whatever the
    /// roles allow. Row filters see the roles that allow it, which is what [`roles_for`](Self::roles_for) gives.
    pub fn acting(&self, operation: Operation) -> Acting<'_> {
        Acting {
            identity: &self.identity,
            roles: self.held_roles_owned(operation),
            attributes: self.attributes_json(&[operation]),
        }
    }

    fn held_roles_owned(&self, operation: Operation) -> Vec<String> {
        self.all_roles(operation).into_iter().map(str::to_owned).collect()
    }

    /// The conditions on the operation that look at the record: a read, a history or an export asks them in SQL.
    pub fn abac_in_sql(&self, operation: Operation) -> Vec<&Condition> {
        if self.is_admin || !self.layers.stands(Layer::Abac) {
            return Vec::new();
        }
        let rules = self.schema.access().abac_for(operation).map(|rule| &rule.condition);
        rules.filter(|condition| condition.uses_record()).collect()
    }

    /// Which layers stand.
    pub fn layers(&self) -> Layers {
        self.layers
    }

    pub(crate) fn bound(&self) -> Option<&ActorBindings> {
        self.bound.as_deref()
    }

    /// The roles that the database is told, as owned texts.
    pub(crate) fn effective_roles(&self, operation: Operation) -> Vec<String> {
        match self.roles_for(operation) {
            Decision::Allowed { effective_roles } => effective_roles.into_iter().map(str::to_owned).collect(),
            Decision::Denied { .. } => Vec::new(),
        }
    }

    /// Every role that the caller holds for the operation, sorted.
    pub fn all_roles(&self, operation: Operation) -> Vec<&str> {
        let own = self.identity.roles().iter().map(String::as_str);
        let bound = self.bound.iter().flat_map(|bound| bound.iter());
        let given = bound
            .filter(|binding| binding.holds(self.schema.path(), &[operation], self.now))
            .flat_map(|binding| binding.roles().iter().map(String::as_str));
        let mut roles: Vec<&str> =
            own.chain(given).filter(|role| *role != PLATFORM_ADMIN || self.is_admin).collect();
        roles.sort_unstable();
        roles.dedup();
        roles
    }

    /// Whether the credential may be used for the operation here. One that is not narrowed may.
    pub(crate) fn is_in_scope(&self, operation: Operation) -> bool {
        self.identity
            .scopes()
            .is_none_or(|scopes| scopes.iter().any(|scope| scope.covers(self.schema.path(), operation)))
    }

    /// The fields that the credential is narrowed to for the operation; `None`: to none in particular.
    fn scoped_fields(&self, operation: Operation) -> Option<Vec<&CredentialScope>> {
        let scopes = self.identity.scopes()?;
        let covering: Vec<&CredentialScope> =
            scopes.iter().filter(|scope| scope.covers(self.schema.path(), operation)).collect();
        let every_field = covering.iter().any(|scope| scope.fields.is_none());
        (!every_field).then_some(covering)
    }

    fn is_named(&self, position: usize, scopes: &[&CredentialScope]) -> bool {
        let Some(field) = self.schema.fields().get(position) else { return false };
        let name = field.name.as_str();
        scopes.iter().any(|scope| {
            scope.fields.as_ref().is_some_and(|fields| fields.iter().any(|wanted| wanted == name))
        })
    }

    #[cfg(not(feature = "removable-layers"))]
    #[expect(clippy::unused_self, reason = "the same call in both builds")]
    fn without_removed(&self, view: View) -> View {
        view
    }

    /// The view without what the layers that were taken away would have done.
    #[cfg(feature = "removable-layers")]
    fn without_removed(&self, view: View) -> View {
        use velocity_schema::schema::Sight;
        let layers = [(Layer::FieldRights, Sight::Hidden), (Layer::Masking, Sight::Masked)];
        let removed = layers.iter().filter(|(layer, _)| !self.layers.stands(*layer));
        removed.fold(view, |view, (_, sight)| view.lifting(*sight))
    }
}

fn out_of_scope(operation: Operation) -> String {
    format!("the credential is narrowed, and `{operation}` on this schema is not in its scopes")
}

pub(crate) fn abac_message(rule: &AbacRule) -> String {
    rule.message
        .clone()
        .unwrap_or_else(|| "a condition of `access.abac` on this operation does not hold".to_owned())
}
