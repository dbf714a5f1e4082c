//! `velocity grant`: roles and attributes for an actor, as a RoleBinding.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};
use velocity_contract::API_VERSION;
use velocity_contract::role_binding::{BindingScopeSpec, RoleBindingSpec};

use super::apply::FIELD_MANAGER;
use super::bindings::{self, Binding};
use super::options::{self, End};
use super::role::known_roles;
use super::target;
use crate::cluster::{Cluster, Kind};
use crate::failure::{Exit, Failure, Outcome};
use crate::output::format::Format;
use crate::session::Session;

/// How often it is tried again when somebody else changed the binding meanwhile.
const ATTEMPTS: usize = 5;
/// Between two looks of `--wait`.
const PAUSE: Duration = Duration::from_millis(50);
/// The one role that only the installation's own strategy gives.
const ADMIN: &str = "platform-admin";

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Makes a RoleBinding, or adds to the one that an earlier grant made for the same actor and scopes. With --expires the \
                  roles stand in a binding of their own, which the same grant again renews. Bindings only ever add to what tokens \
                  give: `velocity revoke` takes roles back, `velocity auth revoke actor NAME` shuts somebody out at once.\n\
                  Without --namespace it is the only one that has a schema.\n\n\
                  Examples:\n  \
                  velocity grant ravi procurement-writer\n  \
                  velocity grant ravi region-manager --attribute region=west --scope purchase-order/v1:read,update\n  \
                  velocity grant oncall procurement-admin --expires 12h"
)]
pub(crate) struct Args {
    /// Whom: the actor exactly as their tokens name them
    actor: String,
    /// Roles, separated by commas
    #[arg(required = true, value_name = "ROLE", value_delimiter = ',')]
    roles: Vec<String>,
    /// Attributes that expressions see as actor.attributes, where the token has none of that name
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = options::attribute)]
    attributes: Vec<(String, Value)>,
    /// Where it holds: OBJECT, OBJECT/VERSION or OBJECT/VERSION:read,update [default: everything in the namespace]
    #[arg(long = "scope", value_name = "SCOPE", value_parser = bindings::parse_scope)]
    scopes: Vec<BindingScopeSpec>,
    /// Until when: a while, such as 12h or 30d, or a time, such as 2027-01-01T00:00:00Z
    #[arg(long, value_name = "WHEN")]
    expires: Option<End>,
    /// Return only when it is in force
    #[arg(long)]
    wait: bool,
    /// How long to wait at most
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = options::duration, requires = "wait")]
    timeout: Duration,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let now = Timestamp::now();
    let wanted = wanted(args, now)?;
    let cluster = session.cluster().await?;
    let namespace = bindings::home(session, &cluster).await?;
    let kind = bindings::kind(&cluster).await?;
    warn_of_unknown(session, &cluster, &namespace, &wanted.roles).await;
    let ending = args.expires.is_some().then_some(wanted.roles.as_slice());
    let name = bindings::name(&wanted.actor, wanted.scopes.as_deref().unwrap_or_default(), ending);
    let (binding, word) = put(&cluster, &kind, &namespace, &name, &wanted).await?;
    if args.wait {
        in_force(&cluster, &kind, &binding, args.timeout).await?;
    }
    show(session, &cluster, &kind, &binding, word).await
}

/// What the options ask for.
fn wanted(args: &Args, now: Timestamp) -> Outcome<RoleBindingSpec> {
    if args.actor.is_empty() || args.actor == "*" {
        return Err(Failure::usage("a grant is for one actor: name them as their tokens do")
            .with_help("what everyone may do is said in a schema's access.roles"));
    }
    let mut roles: Vec<String> = args.roles.iter().map(|role| role.trim().to_owned()).collect();
    roles.sort();
    roles.dedup();
    if roles.iter().any(String::is_empty) {
        return Err(Failure::usage("a role is missing between the commas"));
    }
    if roles.iter().any(|role| role == ADMIN) {
        return Err(Failure::usage(format!("{ADMIN} is never granted by a RoleBinding"))
            .with_help("it comes from the tokens of the installation's own AuthStrategy"));
    }
    let mut scopes = args.scopes.clone();
    scopes.sort_by_key(bindings::scope_words);
    scopes.dedup();
    Ok(RoleBindingSpec {
        actor: args.actor.clone(),
        roles,
        attributes: options::attributes(&args.attributes)?,
        scopes: Some(scopes).filter(|scopes| !scopes.is_empty()),
        expires_at: args.expires.map(|end| end.time(now)).transpose()?,
    })
}

/// A role that no schema knows gives nothing, which is mostly a slip of the pen; it may also come before its schema.
async fn warn_of_unknown(session: &Session, cluster: &Cluster, namespace: &str, roles: &[String]) {
    // Who may not read schemas may still grant.
    let Ok(known) = known_roles(cluster, Some(namespace)).await else { return };
    for role in roles.iter().filter(|role| !known.contains(role.as_str())) {
        let near =
            velocity_schema::violation::did_you_mean(role, known.iter().map(std::string::String::as_str));
        session.out.note(&format!("no schema in {namespace} names the role `{role}` yet{near}"));
    }
}

/// Makes the binding, or adds to the one that is there. The binding, and what became of it.
async fn put(
    cluster: &Cluster,
    kind: &Kind,
    namespace: &str,
    name: &str,
    wanted: &RoleBindingSpec,
) -> Outcome<(Binding, &'static str)> {
    let path = kind.object(Some(namespace), name);
    let query = format!("?fieldManager={FIELD_MANAGER}&fieldValidation=Strict");
    for _ in 0..ATTEMPTS {
        let (outcome, word) = if let Some(answer) = cluster.find(&path).await? {
            let mut object = answer.value()?;
            let before = read(&kind.display(name), &object)?;
            let after = joined(&kind.display(name), &before.spec, wanted)?;
            if after == before.spec && before.by_grant {
                return Ok((before, "unchanged"));
            }
            // The whole object: a patch would join attributes that are objects, and take null for "remove".
            object["spec"] = json!(after);
            object["metadata"]["labels"][bindings::MADE_BY] = json!(bindings::GRANT);
            match cluster.replace(&format!("{path}{query}"), &object).await {
                // It went meanwhile.
                Err(failure) if failure.exit() == Some(Exit::NotFound) => continue,
                outcome => (outcome, "configured"),
            }
        } else {
            let object = json!({
                "apiVersion": API_VERSION, "kind": kind.kind,
                "metadata": {
                    "name": name, "namespace": namespace, "labels": { bindings::MADE_BY: bindings::GRANT },
                },
                "spec": wanted,
            });
            let path = format!("{}{query}", kind.collection(Some(namespace)));
            (cluster.create(&path, &object).await, "created")
        };
        match outcome {
            Ok(answer) => return Ok((read(&kind.display(name), &answer.value()?)?, word)),
            // Somebody was faster: what they wrote is added to.
            Err(failure) if failure.exit() == Some(Exit::Conflict) => {}
            Err(failure) if failure.exit() == Some(Exit::NotFound) => {
                return Err(failure.while_doing(&format!("granting in {namespace}")).with_help(
                    "the namespace is {org}-{app}-{domain} of the schemas that the roles are for",
                ));
            }
            Err(failure) => return Err(failure),
        }
    }
    Err(Failure::new(Exit::Conflict, format!("{} changes all the time", kind.display(name)))
        .with_help("try again"))
}

fn read(display: &str, object: &Value) -> Outcome<Binding> {
    Binding::of(object).map_err(|error| {
        Failure::new(Exit::Conflict, format!("{display} is there already and cannot be read: {error}"))
            .with_help(
                "look at it with `velocity get rolebindings -o yaml`, and delete it if it is of no use",
            )
    })
}

/// The binding with what is granted on top.
fn joined(display: &str, before: &RoleBindingSpec, wanted: &RoleBindingSpec) -> Outcome<RoleBindingSpec> {
    // The name says which actor, scopes and end: whoever changed those by hand meant something else.
    let set = |scopes: &Option<Vec<BindingScopeSpec>>| {
        let mut words: Vec<String> = scopes.iter().flatten().map(bindings::scope_words).collect();
        words.sort();
        words
    };
    let same = before.actor == wanted.actor
        && set(&before.scopes) == set(&wanted.scopes)
        && before.expires_at.is_some() == wanted.expires_at.is_some();
    if !same {
        return Err(Failure::new(
            Exit::Conflict,
            format!("{display} has been changed by hand and is about something else now"),
        )
        .with_help("look at it with `velocity get rolebindings -o yaml`, and delete it if it is of no use"));
    }
    let mut roles = before.roles.clone();
    roles.extend(wanted.roles.iter().filter(|role| !before.roles.contains(role)).cloned());
    let mut attributes: Map<String, Value> = before.attributes.clone();
    attributes.extend(wanted.attributes.clone());
    Ok(RoleBindingSpec {
        actor: wanted.actor.clone(),
        roles,
        attributes,
        scopes: before.scopes.clone(),
        expires_at: wanted.expires_at.clone(),
    })
}

/// Waits until the operator says that it is in force.
async fn in_force(cluster: &Cluster, kind: &Kind, binding: &Binding, timeout: Duration) -> Outcome {
    let deadline = Instant::now() + timeout;
    let display = kind.display(&binding.name);
    loop {
        let object = cluster.get(&kind.object(Some(&binding.namespace), &binding.name)).await?.value()?;
        let waits = target::ready(&object).is_some_and(|ready| ready["reason"] == target::NO_DOMAIN);
        if target::is_observed(&object) && !waits {
            match object["status"]["phase"].as_str() {
                Some("Ready") => return Ok(()),
                Some(phase) => {
                    let why = target::readiness(&object);
                    return Err(Failure::failed(format!("{display} is {phase}: {why}")));
                }
                None => {}
            }
        }
        if Instant::now() + PAUSE > deadline {
            return Err(if waits {
                let why = target::readiness(&object);
                Failure::new(Exit::Unavailable, format!("{display} is not in force yet: {why}"))
            } else {
                target::unobserved(&display)
            });
        }
        sleep(PAUSE).await;
    }
}

/// What the actor holds now.
async fn show(session: &Session, cluster: &Cluster, kind: &Kind, binding: &Binding, word: &str) -> Outcome {
    let display = kind.display(&binding.name);
    if session.out.format == Some(Format::Name) {
        return session.out.line(&display);
    }
    let now = Timestamp::now();
    let mut all = bindings::list(session, cluster, kind, Some(&binding.namespace)).await?;
    all.retain(|other| other.spec.actor == binding.spec.actor);
    if session.out.is_structured() {
        let held: Vec<Value> = all.iter().map(|binding| bindings::to_json(binding, now)).collect();
        return session.out.serialized(&json!({
            "actor": binding.spec.actor, "namespace": binding.namespace, "binding": binding.name, "result": word,
            "held": held,
        }));
    }
    session.out.said(&format!("{display} {word}"))?;
    session.out.said(&format!("\nheld in {} by bindings:", binding.namespace))?;
    session.out.table(&bindings::held(&all, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(value: Value) -> RoleBindingSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_grant_adds_roles_and_attributes_and_moves_the_end() {
        let before = spec(json!({ "actor": "a", "roles": ["x", "y"], "attributes": { "n": 1, "m": 1 },
            "expiresAt": "2027-01-01T00:00:00Z" }));
        let wanted = spec(json!({ "actor": "a", "roles": ["y", "z"], "attributes": { "n": 2 },
            "expiresAt": "2026-01-01T00:00:00Z" }));
        let after = spec(json!({ "actor": "a", "roles": ["x", "y", "z"], "attributes": { "n": 2, "m": 1 },
            "expiresAt": "2026-01-01T00:00:00Z" }));
        assert_eq!(joined("b", &before, &wanted).unwrap(), after);
    }

    #[test]
    fn a_binding_that_was_made_something_else_is_left_alone() {
        let wanted = spec(json!({ "actor": "a", "roles": ["x"], "scopes": [{ "object": "o" }] }));
        for other in [
            json!({ "actor": "b", "roles": ["x"], "scopes": [{ "object": "o" }] }),
            json!({ "actor": "a", "roles": ["x"] }),
            json!({ "actor": "a", "roles": ["x"], "scopes": [{ "object": "o", "version": "v1" }] }),
            json!({ "actor": "a", "roles": ["x"], "scopes": [{ "object": "o" }], "expiresAt": "2027-01-01T00:00:00Z" }),
        ] {
            let failure = joined("b", &spec(other), &wanted).unwrap_err();
            assert_eq!(failure.exit(), Some(Exit::Conflict));
        }
    }
}
