//! The one resource that a command is about.

use serde_json::{Value, json};
use velocity_contract::annotation::APPROVE_BREAKING;
use velocity_contract::status::condition::MIGRATION_BLOCKED;
use velocity_contract::status::{Phase, SchemaDefinitionStatus, find_condition};

use super::apply::FIELD_MANAGER;
use super::get::Place;
use crate::cluster::{Cluster, Kind, Kinds};
use crate::failure::{Exit, Failure, Outcome};
use crate::output::json::Json;
use crate::session::Session;

/// Why a binding is not in force whose namespace has no schema yet: the operator looks again.
pub(super) const NO_DOMAIN: &str = "NoDomain";

/// A resource that is there.
pub(super) struct Target {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
}

/// `KIND/NAME`, or the two apart.
pub(super) fn words<'a>(first: &'a str, second: Option<&'a str>) -> Outcome<(&'a str, &'a str)> {
    match (first.split_once('/'), second) {
        (Some((kind, name)), None) if !kind.is_empty() && !name.is_empty() => Ok((kind, name)),
        (None, Some(name)) => Ok((first, name)),
        _ => Err(Failure::usage("say which resource: KIND/NAME, such as schemadefinition/purchase-order")),
    }
}

/// The namespace of the only resource of a name; none where its kind has no namespaces.
pub(super) fn only_namespace(objects: &[Json], name: &str) -> Outcome<Option<String>> {
    let namespaces: Vec<&str> =
        objects.iter().map(|object| object.text_at(&["metadata", "namespace"]).unwrap_or_default()).collect();
    let [namespace] = namespaces[..] else {
        return Err(Failure::usage(format!("`{name}` is in several namespaces; name one with --namespace"))
            .with_details(namespaces.iter().map(|&namespace| namespace.to_owned())));
    };
    Ok(Some(namespace.to_owned()).filter(|namespace| !namespace.is_empty()))
}

impl Target {
    /// The resource of that name, in the namespace of `-n` or in the only one that has it.
    pub(super) async fn find(session: &Session, cluster: &Cluster, kind: &str, name: &str) -> Outcome<Self> {
        let kind = Kinds::of(cluster).called(kind).await?;
        let objects = Place::of(session, &kind, Some(name), None).objects(cluster).await?;
        let namespace = only_namespace(&objects, name)?;
        Ok(Self { kind, name: name.to_owned(), namespace })
    }

    /// Its path.
    pub(super) fn path(&self) -> String {
        self.kind.object(self.namespace.as_deref(), &self.name)
    }

    /// As it is now.
    pub(super) async fn read(&self, cluster: &Cluster) -> Outcome<Value> {
        cluster.get(&self.path()).await?.value()
    }

    /// For sentences.
    pub(super) fn display(&self) -> String {
        self.kind.display(&self.name)
    }

    /// Sets annotations; with `version` only while the object is still exactly that one.
    pub(super) async fn annotate(
        &self,
        cluster: &Cluster,
        annotations: &Value,
        version: Option<&str>,
    ) -> Outcome<Value> {
        let mut patch = json!({ "metadata": { "annotations": annotations } });
        if let Some(version) = version {
            patch["metadata"]["resourceVersion"] = json!(version);
        }
        cluster.merge(&format!("{}?fieldManager={FIELD_MANAGER}", self.path()), &patch).await?.value()
    }
}

/// The status of a SchemaDefinition.
pub(super) fn status(object: &Value) -> Outcome<SchemaDefinitionStatus> {
    let status: Option<SchemaDefinitionStatus> = serde_json::from_value(object["status"].clone())
        .map_err(|error| Failure::failed(format!("its status cannot be read: {error}")))?;
    Ok(status.unwrap_or_default())
}

/// Whether the status is about the object as it is.
pub(super) fn is_observed(object: &Value) -> bool {
    object["status"]["observedGeneration"].as_i64() >= object["metadata"]["generation"].as_i64()
}

/// The object's Ready condition.
pub(super) fn ready(object: &Value) -> Option<&Value> {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().find(|condition| condition["type"] == "Ready")
}

/// What the object's Ready condition says, for people.
pub(super) fn readiness(object: &Value) -> String {
    let ready = ready(object);
    let text = |key: &str| ready.and_then(|ready| ready[key].as_str()).unwrap_or_default().to_owned();
    Some(text("message")).filter(|message| !message.is_empty()).unwrap_or_else(|| text("reason"))
}

/// Whether the change that is blocked has been agreed to by now: the operator has yet to look, so that being blocked is not the
/// end of it. Where the operator says that an approval does not help, it is.
pub(super) fn is_approved(object: &Value, status: &SchemaDefinitionStatus) -> bool {
    let approval = object["metadata"]["annotations"][APPROVE_BREAKING].as_str().map(str::trim);
    let lacks = find_condition(&status.conditions, MIGRATION_BLOCKED).map(|blocked| blocked.reason.as_str());
    status.phase == Some(Phase::Blocked)
        && approval.is_some()
        && approval == status.plan_hash.as_deref()
        && !matches!(lacks, Some("DataDoesNotFit" | "NotPossible"))
}

/// The command that approves what is pending.
pub(super) fn approve_command(name: &str, namespace: Option<&str>, hash: &str) -> String {
    let namespace = namespace.map_or_else(String::new, |namespace| format!(" -n {namespace}"));
    format!("velocity approve schemadefinition/{name}{namespace} --plan {hash}")
}

/// A failure for an operator that does not look.
pub(super) fn unobserved(display: &str) -> Failure {
    Failure::new(Exit::Unavailable, format!("{display}: the operator has not looked at its latest spec yet"))
        .with_help("try again in a moment; if it stays so, is the operator running?")
}
