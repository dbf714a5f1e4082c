//! RoleBindings, as `grant`, `revoke` and `role list` see them.

mod name;
mod scope;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use velocity_contract::role_binding::{BindingScopeSpec, RoleBindingSpec};

pub(super) use name::name;
pub(super) use scope::{fits, operation as parse_operation, parse as parse_scope, words as scope_words};

use super::options::attribute_words;
use crate::cluster::{Cluster, Kind, Kinds};
use crate::failure::{Failure, Outcome};
use crate::output::table::Table;
use crate::session::Session;

/// The label that says that `grant` made a binding, so that `revoke` may change it.
pub(super) const MADE_BY: &str = "app.kubernetes.io/managed-by";
/// Its value.
pub(super) const GRANT: &str = "velocity-grant";

/// A binding.
#[derive(Debug, Clone)]
pub(super) struct Binding {
    pub(super) name: String,
    pub(super) namespace: String,
    /// The version of the object, for changes that nobody else's change is lost in.
    pub(super) version: String,
    pub(super) by_grant: bool,
    pub(super) spec: RoleBindingSpec,
    /// Why the operator refuses it, where it does.
    pub(super) refused: Option<String>,
}

impl Binding {
    /// The binding that an object is.
    pub(super) fn of(object: &Value) -> Result<Self, serde_json::Error> {
        let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
        let refused = (object["status"]["phase"] == "Refused").then(|| super::target::readiness(object));
        Ok(Self {
            name: text("name"),
            namespace: text("namespace"),
            version: text("resourceVersion"),
            by_grant: object["metadata"]["labels"][MADE_BY] == GRANT,
            spec: RoleBindingSpec::deserialize(&object["spec"])?,
            refused,
        })
    }

    /// Whether it gives anything at that time.
    pub(super) fn is_in_force(&self, now: Timestamp) -> bool {
        self.refused.is_none() && !self.is_over(now)
    }

    /// Whether its time is over; one that cannot be read gives nothing.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let end = self.spec.expires_at.as_ref();
        end.is_some_and(|end| end.parse::<Timestamp>().map_or(true, |end| end <= now))
    }

    pub(super) fn scopes(&self) -> &[BindingScopeSpec] {
        self.spec.scopes.as_deref().unwrap_or_default()
    }

    /// Where it holds, for people.
    pub(super) fn place(&self) -> String {
        match self.scopes() {
            [] => "everything".to_owned(),
            scopes => scopes.iter().map(scope_words).collect::<Vec<_>>().join(" "),
        }
    }
}

/// The kind.
pub(super) async fn kind(cluster: &Cluster) -> Outcome<Kind> {
    Kinds::of(cluster).called("rolebindings.velocity.sh").await
}

/// The bindings of one namespace, or of all. One that cannot be read is told of, and only itself left out.
pub(super) async fn list(
    session: &Session,
    cluster: &Cluster,
    kind: &Kind,
    namespace: Option<&str>,
) -> Outcome<Vec<Binding>> {
    let list = cluster.get(&kind.collection(namespace)).await?.value()?;
    let mut bindings = Vec::new();
    for item in list["items"].as_array().into_iter().flatten() {
        match Binding::of(item) {
            Ok(binding) => bindings.push(binding),
            Err(error) => session.out.note(&format!(
                "{} cannot be read and is left out: {error}",
                kind.display(item["metadata"]["name"].as_str().unwrap_or_default())
            )),
        }
    }
    bindings.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Ok(bindings)
}

/// The namespace of `-n`, else the only one that has a schema.
pub(super) async fn home(session: &Session, cluster: &Cluster) -> Outcome<String> {
    if let Some(namespace) = session.namespace() {
        return Ok(namespace.to_owned());
    }
    let kind = Kinds::of(cluster).called("schemadefinitions").await?;
    let list = cluster.get(&kind.collection(None)).await?.value()?;
    let mut namespaces: Vec<&str> = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item["metadata"]["namespace"].as_str())
        .collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    match namespaces[..] {
        [only] => Ok(only.to_owned()),
        [] => Err(Failure::usage("there is no schema yet: name the namespace with --namespace")
            .with_help("it is {org}-{app}-{domain} of the schemas that the roles are for")),
        _ => Err(Failure::usage("there are schemas in several namespaces; name one with --namespace")
            .with_details(namespaces.iter().map(|&namespace| namespace.to_owned()))),
    }
}

/// What an actor holds by bindings, as a table.
pub(super) fn held(bindings: &[Binding], now: Timestamp) -> Table {
    let mut table = Table::new(["ROLE", "WHERE", "ATTRIBUTES", "UNTIL", "BINDING"]);
    for binding in bindings {
        let until = until(binding, now);
        let attributes = attribute_words(&binding.spec.attributes);
        let roles = binding.spec.roles.iter().map(String::as_str);
        let none = binding.spec.roles.is_empty().then_some("");
        for role in roles.chain(none) {
            table.row([role, &binding.place(), &attributes, &until, &binding.name]);
        }
    }
    table
}

/// Until when it holds, for people.
pub(super) fn until(binding: &Binding, now: Timestamp) -> String {
    let end = binding.spec.expires_at.as_deref().unwrap_or("no end");
    match &binding.refused {
        Some(why) => format!("refused: {why}"),
        None if binding.is_over(now) => format!("over since {end}"),
        None => end.to_owned(),
    }
}

/// The same for programs.
pub(super) fn to_json(binding: &Binding, now: Timestamp) -> Value {
    let mut spec: Map<String, Value> = serde_json::to_value(&binding.spec)
        .ok()
        .and_then(|spec| if let Value::Object(spec) = spec { Some(spec) } else { None })
        .unwrap_or_default();
    spec.insert("binding".to_owned(), Value::from(binding.name.as_str()));
    spec.insert("namespace".to_owned(), Value::from(binding.namespace.as_str()));
    spec.insert("inForce".to_owned(), Value::from(binding.is_in_force(now)));
    spec.insert("madeByGrant".to_owned(), Value::from(binding.by_grant));
    Value::Object(spec)
}
