//! `velocity approve`: agreeing to exactly the plan that is shown.

use serde_json::{Value, json};
use velocity_contract::annotation::APPROVE_BREAKING;
use velocity_contract::status::{OperationClass, Phase, SchemaDefinitionStatus, condition, find_condition};

use super::target::{self, Target};
use crate::cluster::Cluster;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::operations::Detail;
use crate::output::{ask, operations};
use crate::session::Session;

/// How often the annotation is tried again when only the status moved on meanwhile.
const ATTEMPTS: usize = 5;

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "velocity approve [OPTIONS] KIND/NAME\n       velocity approve [OPTIONS] KIND NAME",
    after_help = "Shows the plan that is pending and asks. Without a terminal the plan has to be named with --plan.\n\
                  What is approved is this plan and no other: when it has changed meanwhile, nothing is done (exit 5)."
)]
pub(crate) struct Args {
    /// Kind and name of the resource: schemadefinition/purchase-order
    #[arg(value_name = "KIND/NAME")]
    target: String,
    /// Its name, when the kind stands alone
    #[arg(hide = true)]
    name: Option<String>,
    /// Hash of the plan that is agreed to, as `velocity describe` shows it; nothing is asked then
    #[arg(long, value_name = "HASH")]
    plan: Option<String>,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let (kind, name) = target::words(&args.target, args.name.as_deref())?;
    let cluster = session.cluster().await?;
    let target = Target::find(session, &cluster, kind, name).await?;
    if target.kind.kind != "SchemaDefinition" {
        return Err(Failure::usage(format!("there is nothing to approve about a {}", target.kind.kind))
            .with_help("plans belong to SchemaDefinitions: `velocity approve schemadefinition/NAME`"));
    }
    let object = target.read(&cluster).await?;
    let pending = pending(&target, &object)?;
    if let Some(named) = args.plan.as_deref().filter(|named| *named != pending.hash) {
        return Err(other_plan(&target, named, &pending.hash));
    }
    if object["metadata"]["annotations"][APPROVE_BREAKING] == *pending.hash {
        return session.out.said(&format!("{} is approved already: {}", target.display(), pending.hash));
    }
    if args.plan.is_none() && !ask::is_possible() {
        show(session, &target, &pending)?;
        return Err(Failure::usage("there is no terminal to ask on: name the plan that you agree to")
            .with_help(format!(
                "`{}`",
                target::approve_command(&target.name, target.namespace.as_deref(), &pending.hash)
            )));
    }
    show(session, &target, &pending)?;
    if args.plan.is_none() && !ask::yes("Do you agree to exactly this plan?")? {
        return Err(Failure::failed("nothing was approved"));
    }
    set(&cluster, &target, &pending.hash, object).await?;
    session.out.said(&format!("{} approved: {}", target.display(), pending.hash))?;
    if pending.needs_data {
        session.out.note(
            "some of it also waits for data that fits: it goes on by itself then, see `velocity describe`",
        );
    }
    Ok(())
}

/// What waits for somebody's word.
struct Pending {
    status: SchemaDefinitionStatus,
    hash: String,
    /// Whether data is missing too.
    needs_data: bool,
}

/// The plan that an approval would help, or why there is none.
fn pending(target: &Target, object: &Value) -> Outcome<Pending> {
    let display = target.display();
    if !target::is_observed(object) {
        return Err(target::unobserved(&display));
    }
    let status = target::status(object)?;
    let reason = find_condition(&status.conditions, condition::MIGRATION_BLOCKED)
        .map_or("", |blocked| &blocked.reason);
    let phase = status.phase.map_or("not seen by an operator", Phase::as_str);
    let Some(hash) = status.plan_hash.clone().filter(|_| !status.pending_operations.is_empty()) else {
        return Err(Failure::failed(format!("{display}: nothing is pending (it is {phase})"))
            .with_help("`velocity diff -f FILE` shows what a manifest would change"));
    };
    let details = || {
        let told = status.pending_operations.iter().filter(|step| step.class != OperationClass::Safe);
        told.map(|step| format!("{}: {}", step.summary, step.reason)).collect::<Vec<_>>()
    };
    let has_breaking = status.pending_operations.iter().any(|step| step.class == OperationClass::Breaking);
    if reason == "NotPossible" {
        return Err(Failure::failed(format!("{display}: it cannot be done in place, approved or not"))
            .with_details(details())
            .with_help("apply a spec without this change, or declare a new version of the schema and move the records"));
    }
    if !has_breaking {
        return Err(Failure::failed(format!("{display}: it waits for data that fits, not for an approval"))
            .with_details(details())
            .with_help("change the records that are named; it goes on by itself"));
    }
    let needs_data = reason == "DataDoesNotFit";
    Ok(Pending { status, hash, needs_data })
}

fn show(session: &Session, target: &Target, pending: &Pending) -> Outcome {
    if session.out.is_structured() {
        return session.out.serialized(&json!({
            "name": target.name, "namespace": target.namespace, "planHash": pending.hash,
            "operations": pending.status.pending_operations,
        }));
    }
    let color = session.out.color;
    let steps = operations::of_status(&pending.status.pending_operations);
    let detail = if session.out.is_wide() { Detail::Full } else { Detail::Folded("-o wide shows all") };
    let heading = format!("{}  plan {}\n", color.bold(&target.display()), pending.hash);
    session.out.text(&format!("{heading}{}", operations::listed(color, &steps, "  ", detail)))
}

/// Sets the annotation, as long as the plan is the one that was shown.
async fn set(cluster: &Cluster, target: &Target, hash: &str, mut object: Value) -> Outcome {
    for _ in 0..ATTEMPTS {
        let version = object["metadata"]["resourceVersion"].as_str();
        match target.annotate(cluster, &json!({ APPROVE_BREAKING: hash }), version).await {
            Ok(_) => return Ok(()),
            Err(failure) if failure.exit() == Some(Exit::Conflict) => {}
            Err(failure) => return Err(failure),
        }
        // Somebody wrote meanwhile: that matters only when it made another plan.
        object = target.read(cluster).await?;
        let now = pending(target, &object)?;
        if now.hash != hash {
            return Err(other_plan(target, hash, &now.hash));
        }
    }
    Err(Failure::new(Exit::Conflict, format!("{} changes all the time", target.display()))
        .with_help("try again"))
}

fn other_plan(target: &Target, named: &str, now: &str) -> Failure {
    Failure::new(
        Exit::Conflict,
        format!("{}: the plan is not {named} (any more), nothing was approved", target.display()),
    )
    .with_details([format!("the plan is {now} now")])
    .with_help("look at it with `velocity describe`, and approve that one if you agree")
}
