//! RoleBindings: what actors hold in a domain beside what their credentials say.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use hashbrown::HashMap;
use jiff::Timestamp;
use serde_json::{Map, Value};
use velocity_contract::role_binding::{BindingScopeSpec, RoleBindingSpec};
use velocity_schema::schema::Operation;
use velocity_schema::{Name, SchemaPath, Version};

use crate::identity::{
    MAX_ATTRIBUTES_BYTES, MAX_ROLES, PLATFORM_ADMIN, checked_attributes, is_plain, is_role_name,
};

/// Most bindings of one actor in one namespace.
const MAX_BINDINGS: usize = 256;

/// Why a binding gives nothing: everything that is wrong with it. The texts are for whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct InvalidBinding(Vec<String>);

impl InvalidBinding {
    fn one(problem: impl Into<String>) -> Self {
        Self(vec![problem.into()])
    }

    /// Each problem, beginning with its field.
    pub fn problems(&self) -> &[String] {
        &self.0
    }
}

/// One validated RoleBinding.
#[derive(Debug, Clone)]
pub struct Binding {
    name: String,
    actor: String,
    roles: Vec<String>,
    attributes: Map<String, Value>,
    attributes_bytes: usize,
    /// `None`: the whole domain.
    scopes: Option<Vec<BindingScope>>,
    expires_at: Option<Timestamp>,
}

#[derive(Debug, Clone)]
struct BindingScope {
    object: Name,
    version: Option<Version>,
    operations: Option<Vec<Operation>>,
}

impl Binding {
    /// The validated form of the RoleBinding `name`, or everything that is wrong with it.
    pub fn parse(name: &str, spec: &RoleBindingSpec) -> Result<Self, InvalidBinding> {
        let mut problems = Vec::new();
        if !is_plain(&spec.actor) || spec.actor == "*" {
            problems
                .push("actor: must be one actor, 1 to 256 bytes of text without control characters".into());
        }
        if spec.roles.is_empty() && spec.attributes.is_empty() {
            problems.push("roles: gives nothing: list roles, attributes, or both".into());
        }
        spec.roles.iter().filter_map(|role| role_problem(role)).for_each(|problem| problems.push(problem));
        let attributes = checked_attributes(&spec.attributes)
            .map_err(|error| problems.push(format!("attributes: {error}")))
            .unwrap_or_default();
        let expires_at =
            spec.expires_at.as_deref().map(str::parse::<Timestamp>).transpose().unwrap_or_else(|_| {
                problems.push("expiresAt: is not a time such as 2027-01-01T00:00:00Z".into());
                None
            });
        let scopes = spec.scopes.as_deref().map(|scopes| parse_scopes(scopes, &mut problems));
        if !problems.is_empty() {
            return Err(InvalidBinding(problems));
        }
        Ok(Self {
            name: name.to_owned(),
            actor: spec.actor.clone(),
            roles: spec.roles.clone(),
            attributes: spec.attributes.clone(),
            attributes_bytes: attributes.len(),
            scopes,
            expires_at,
        })
    }

    /// The RoleBinding's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Until when it holds.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    pub(crate) fn attributes(&self) -> &Map<String, Value> {
        &self.attributes
    }

    pub(crate) fn roles(&self) -> &[String] {
        &self.roles
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| now >= expires_at)
    }

    /// Whether it holds at `now` for all of the operations on the schema.
    pub(crate) fn holds(&self, path: &SchemaPath, operations: &[Operation], now: Timestamp) -> bool {
        if self.is_over(now) {
            return false;
        }
        let Some(scopes) = &self.scopes else { return true };
        let here = |scope: &&BindingScope| {
            scope.object == path.object
                && scope.version.as_ref().is_none_or(|version| *version == path.version)
        };
        let covered = |operation: &Operation| {
            scopes.iter().filter(here).any(|scope| {
                scope.operations.as_ref().is_none_or(|operations| operations.contains(operation))
            })
        };
        if operations.is_empty() {
            scopes.iter().any(|scope| here(&scope))
        } else {
            operations.iter().all(covered)
        }
    }
}

fn role_problem(role: &str) -> Option<String> {
    if role == PLATFORM_ADMIN {
        return Some(format!(
            "roles: `{PLATFORM_ADMIN}` comes from the installation's own strategy, never from a binding"
        ));
    }
    let shown = || role.chars().take(64).collect::<String>().escape_debug().to_string();
    (!is_role_name(role)).then(|| {
        format!("roles: `{}` is not a role: use 1 to 128 letters, digits and any of - _ . : / @", shown())
    })
}

/// The scopes; what is wrong with them goes to `problems`.
fn parse_scopes(specs: &[BindingScopeSpec], problems: &mut Vec<String>) -> Vec<BindingScope> {
    if specs.is_empty() {
        problems.push("scopes: is empty: leave it out for the whole domain".to_owned());
    }
    let mut scopes = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let mut wrong = |member: &str, error: &dyn fmt::Display| {
            problems.push(format!("scopes[{index}].{member}: {error}"));
        };
        let object = spec.object.parse::<Name>().map_err(|error| wrong("object", &error)).ok();
        let version = spec.version.as_deref().map(str::parse::<Version>).transpose();
        let version = version.map_err(|error| wrong("version", &error)).ok();
        let operations = match &spec.operations {
            Some(words) if words.is_empty() => {
                wrong("operations", &"is empty: leave it out for all that the roles allow");
                None
            }
            Some(words) => {
                let parsed = words.iter().map(|word| word.parse()).collect::<Result<Vec<Operation>, _>>();
                parsed.map_err(|error| wrong("operations", &error)).ok().map(Some)
            }
            None => Some(None),
        };
        if let (Some(object), Some(version), Some(operations)) = (object, version, operations) {
            scopes.push(BindingScope { object, version, operations });
        }
    }
    scopes
}

/// Every binding of one actor in one namespace, by name.
#[derive(Debug, Default)]
pub(crate) struct ActorBindings {
    bindings: Vec<Binding>,
    /// Which bindings give a role.
    by_role: HashMap<String, Vec<usize>>,
}

impl ActorBindings {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Binding> {
        self.bindings.iter()
    }

    /// The bindings that give the role.
    pub(crate) fn of_role(&self, role: &str) -> impl Iterator<Item = &Binding> {
        self.by_role.get(role).into_iter().flatten().map(|index| &self.bindings[*index])
    }

    /// Adds a binding, unless the actor's bindings would then be more than travels with a transaction.
    fn push(&mut self, binding: Binding) -> Result<(), InvalidBinding> {
        let total =
            |size: fn(&Binding) -> usize| self.bindings.iter().map(size).sum::<usize>() + size(&binding);
        let over = |what: &str, most: usize| {
            Err(InvalidBinding::one(format!(
                "the bindings of `{}` in this namespace have more than {most} {what} together, and this one comes last by \
                 name: merge some, or give fewer",
                binding.actor
            )))
        };
        if self.bindings.len() >= MAX_BINDINGS {
            return over("entries", MAX_BINDINGS);
        }
        if total(|binding| binding.roles.len()) > MAX_ROLES {
            return over("roles", MAX_ROLES);
        }
        if total(|binding| binding.attributes_bytes) > MAX_ATTRIBUTES_BYTES {
            return over("bytes of attributes", MAX_ATTRIBUTES_BYTES);
        }
        for role in &binding.roles {
            self.by_role.entry(role.clone()).or_default().push(self.bindings.len());
        }
        self.bindings.push(binding);
        Ok(())
    }
}

/// A binding that was left out: its namespace and name, and why.
pub type RefusedBinding = (String, String, InvalidBinding);

/// Every RoleBinding at one moment, by namespace and actor.
#[derive(Debug, Default)]
pub struct Bindings {
    by_namespace: HashMap<String, HashMap<String, Arc<ActorBindings>>>,
    count: usize,
}

impl Bindings {
    /// The bindings (namespace, name, spec) that are valid, and those that are not. The order does not matter: where an
    /// actor has too many, those that come first by name count.
    pub fn build<'s>(
        specs: impl IntoIterator<Item = (&'s str, &'s str, &'s RoleBindingSpec)>,
    ) -> (Self, Vec<RefusedBinding>) {
        let sorted: BTreeMap<(&str, &str), &RoleBindingSpec> =
            specs.into_iter().map(|(namespace, name, spec)| ((namespace, name), spec)).collect();
        let mut building: HashMap<&str, HashMap<String, ActorBindings>> = HashMap::new();
        let (mut refused, mut count) = (Vec::new(), 0);
        for ((namespace, name), spec) in sorted {
            let added = Binding::parse(name, spec).and_then(|binding| {
                let actors = building.entry(namespace).or_default();
                actors.entry(binding.actor.clone()).or_default().push(binding)
            });
            match added {
                Ok(()) => count += 1,
                Err(why) => refused.push((namespace.to_owned(), name.to_owned(), why)),
            }
        }
        let shared = |actors: HashMap<String, ActorBindings>| {
            actors.into_iter().map(|(actor, bindings)| (actor, Arc::new(bindings))).collect()
        };
        let by_namespace =
            building.into_iter().map(|(namespace, actors)| (namespace.to_owned(), shared(actors))).collect();
        (Self { by_namespace, count }, refused)
    }

    /// How many count.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bindings of an actor in the domain of a schema, whatever their scopes and expiry.
    pub(crate) fn of(&self, path: &SchemaPath, actor: &str) -> Option<&Arc<ActorBindings>> {
        if self.by_namespace.is_empty() {
            return None;
        }
        let mut namespace = StackText::default();
        fmt::Write::write_fmt(&mut namespace, format_args!("{}-{}-{}", path.org, path.app, path.domain))
            .ok()?;
        self.by_namespace.get(namespace.as_str())?.get(actor)
    }
}

/// Room for a namespace of three longest names, so that looking one up allocates nothing.
struct StackText {
    bytes: [u8; 3 * 63 + 2],
    length: usize,
}

impl Default for StackText {
    fn default() -> Self {
        Self { bytes: [0; 191], length: 0 }
    }
}

impl StackText {
    fn as_str(&self) -> &str {
        // Only whole texts are written, so it is valid.
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl fmt::Write for StackText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
