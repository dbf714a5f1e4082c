//! `velocity revoke`: takes back what `velocity grant` gave.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::apply::FIELD_MANAGER;
use super::bindings::{self, Binding};
use crate::cluster::{Cluster, Kind};
use crate::failure::{Exit, Failure, Outcome};
use crate::output::format::Format;
use crate::session::Session;

/// How often it is tried again when somebody else changed a binding meanwhile.
const ATTEMPTS: usize = 5;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Changes the bindings that `velocity grant` made, and deletes those that give no role any more. A binding from elsewhere, \
                  such as a manifest, would come back with its next apply: it is left alone and named (exit 1) unless \
                  --all-bindings is given.\n\
                  Roles that tokens carry stay: `velocity auth revoke actor NAME` shuts somebody out at once.\n\
                  Without --namespace it is the only one that has a binding of the actor."
)]
pub(crate) struct Args {
    /// Whose: the actor exactly as the bindings name them
    actor: String,
    /// Roles to take back, separated by commas [default: all]
    #[arg(value_name = "ROLE", value_delimiter = ',')]
    roles: Vec<String>,
    /// Also change bindings that `velocity grant` did not make
    #[arg(long)]
    all_bindings: bool,
}

/// What was done to a binding.
struct Done {
    name: String,
    word: &'static str,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let cluster = session.cluster().await?;
    let kind = bindings::kind(&cluster).await?;
    let mut all = bindings::list(session, &cluster, &kind, session.namespace()).await?;
    all.retain(|binding| binding.spec.actor == args.actor);
    let namespace = only_namespace(args, &all)?;
    let (ours, foreign): (Vec<Binding>, Vec<Binding>) = all
        .into_iter()
        .filter(|binding| gives(args, binding))
        .partition(|binding| binding.by_grant || args.all_bindings);
    if ours.is_empty() && foreign.is_empty() {
        return Err(nothing(args, &namespace));
    }
    let mut done = Vec::new();
    for binding in ours {
        done.extend(take(&cluster, &kind, args, binding).await?);
    }
    show(session, &cluster, &kind, args, &namespace, &done).await?;
    if foreign.is_empty() { Ok(()) } else { Err(still_given(args, &kind, &foreign)) }
}

/// Whether the binding gives what is taken back.
fn gives(args: &Args, binding: &Binding) -> bool {
    args.roles.is_empty() || binding.spec.roles.iter().any(|role| args.roles.contains(role))
}

fn only_namespace(args: &Args, bindings: &[Binding]) -> Outcome<String> {
    let mut namespaces: Vec<&str> = bindings.iter().map(|binding| binding.namespace.as_str()).collect();
    namespaces.dedup();
    match namespaces[..] {
        [only] => Ok(only.to_owned()),
        [] => Err(nothing(args, "any namespace that was looked at")),
        _ => {
            let message =
                format!("{} has bindings in several namespaces; name one with --namespace", args.actor);
            Err(Failure::usage(message)
                .with_details(namespaces.iter().map(|&namespace| namespace.to_owned())))
        }
    }
}

fn nothing(args: &Args, place: &str) -> Failure {
    let what = if args.roles.is_empty() { "anything".to_owned() } else { args.roles.join(", ") };
    Failure::not_found(format!("no binding gives {} {what} in {place}", args.actor))
        .with_help("`velocity role list --actor NAME` shows what bindings give; what a token carries ends with `velocity auth revoke`")
}

/// Takes the roles out of a binding; deletes it when it gives none any more.
async fn take(cluster: &Cluster, kind: &Kind, args: &Args, mut binding: Binding) -> Outcome<Option<Done>> {
    let path = kind.object(Some(&binding.namespace), &binding.name);
    for _ in 0..ATTEMPTS {
        let left: Vec<&String> =
            binding.spec.roles.iter().filter(|role| !args.roles.contains(role)).collect();
        let (outcome, word) = if args.roles.is_empty() || left.is_empty() {
            // Only while it is what was looked at: a role that somebody adds meanwhile is not ours to take.
            (cluster.delete_version(&path, &binding.version).await, "deleted")
        } else {
            let patch =
                json!({ "metadata": { "resourceVersion": binding.version }, "spec": { "roles": left } });
            (cluster.merge(&format!("{path}?fieldManager={FIELD_MANAGER}"), &patch).await, "configured")
        };
        match outcome {
            Ok(_) => return Ok(Some(Done { name: binding.name, word })),
            Err(failure) if failure.exit() == Some(Exit::NotFound) => return Ok(None),
            Err(failure) if failure.exit() == Some(Exit::Conflict) => {}
            Err(failure) => return Err(failure),
        }
        let Some(answer) = cluster.find(&path).await? else { return Ok(None) };
        binding = Binding::of(&answer.value()?).map_err(|error| {
            Failure::failed(format!("{} cannot be read: {error}", kind.display(&binding.name)))
        })?;
        if binding.spec.actor != args.actor || !gives(args, &binding) {
            return Ok(None);
        }
    }
    Err(Failure::new(Exit::Conflict, format!("{} changes all the time", kind.display(&binding.name)))
        .with_help("try again"))
}

/// What was done, and what the actor still holds.
async fn show(
    session: &Session,
    cluster: &Cluster,
    kind: &Kind,
    args: &Args,
    namespace: &str,
    done: &[Done],
) -> Outcome {
    if session.out.format == Some(Format::Name) {
        return done.iter().try_for_each(|done| session.out.line(&kind.display(&done.name)));
    }
    let now = Timestamp::now();
    let mut left = bindings::list(session, cluster, kind, Some(namespace)).await?;
    left.retain(|binding| binding.spec.actor == args.actor);
    if session.out.is_structured() {
        let changed: Vec<Value> =
            done.iter().map(|done| json!({ "binding": done.name, "result": done.word })).collect();
        let held: Vec<Value> = left.iter().map(|binding| bindings::to_json(binding, now)).collect();
        return session.out.serialized(
            &json!({ "actor": args.actor, "namespace": namespace, "changed": changed, "held": held }),
        );
    }
    for done in done {
        session.out.said(&format!("{} {}", kind.display(&done.name), done.word))?;
    }
    if left.is_empty() {
        return session.out.said(&format!("nothing is held in {namespace} by bindings any more"));
    }
    session.out.said(&format!("\nstill held in {namespace} by bindings:"))?;
    session.out.table(&bindings::held(&left, now))
}

fn still_given(args: &Args, kind: &Kind, foreign: &[Binding]) -> Failure {
    let details = foreign.iter().map(|binding| {
        let roles: Vec<&str> = binding
            .spec
            .roles
            .iter()
            .filter(|role| args.roles.is_empty() || args.roles.contains(role))
            .map(String::as_str)
            .collect();
        format!("{} gives {} ({})", kind.display(&binding.name), roles.join(", "), binding.place())
    });
    Failure::failed(format!(
        "{} still holds roles by bindings that `velocity grant` did not make",
        args.actor
    ))
    .with_details(details)
    .with_help("take them out of the manifests that they come from; --all-bindings changes them here and now")
}
