//! Repairs: asked for by annotation, made by the operator.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use velocity_contract::annotation::{FIX_DRIFT, RECONCILE_AT};
use velocity_contract::drift::SchemaDrift;
use velocity_contract::status::{OperationClass, Phase};
use velocity_schema::SchemaPath;

use super::super::target::{self, Target};
use super::{Args, look};
use crate::cluster::{Cluster, Kinds};
use crate::failure::{Exit, Failure, Outcome};
use crate::output::ask;
use crate::output::progress::Progress;
use crate::session::Session;

const PAUSE: Duration = Duration::from_millis(200);
/// A status that names another plan than the one that was asked for is taken for the operator's answer only after that long.
const ANSWER: Duration = Duration::from_secs(5);

/// Has every drifted schema repaired.
pub(super) async fn all(session: &Session, args: &Args, drifted: &[SchemaDrift]) -> Outcome<ExitCode> {
    if !args.yes {
        if !ask::is_possible() {
            return Err(
                Failure::usage("there is no terminal to ask on").with_help("--yes repairs without asking")
            );
        }
        if !ask::yes("Have all of this done?")? {
            return Err(Failure::failed("nothing was done"));
        }
    }
    let cluster = session.cluster().await?;
    let mut waits = false;
    let mut ends = Vec::new();
    for drift in drifted {
        let target = owner(&cluster, drift).await?;
        let end = repair(session, args, &cluster, &target, drift).await?;
        waits |= matches!(end, End::Blocked(_));
        tell(session, &target, drift, &end)?;
        ends.push(match end {
            End::Repaired => json!({ "path": drift.path, "repaired": true }),
            End::Blocked(hash) => json!({ "path": drift.path, "repaired": false, "planHash": hash }),
        });
    }
    if session.out.is_structured() {
        session.out.serialized(&ends)?;
    }
    Ok(if waits { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

enum End {
    Repaired,
    /// The plan that waits for an approval or for data.
    Blocked(String),
}

/// The SchemaDefinition behind a table.
async fn owner(cluster: &Cluster, drift: &SchemaDrift) -> Outcome<Target> {
    let path: SchemaPath = drift.path.parse().map_err(|error| {
        Failure::failed(format!("the server names an impossible schema `{}`: {error}", drift.path))
    })?;
    let kind = Kinds::of(cluster).called("schemadefinitions").await?;
    let namespace = path.namespace();
    let list = cluster.get(&kind.collection(Some(&namespace))).await?.value()?;
    let parts = drift.path.split('/');
    let is_meant = |item: &&Value| {
        let keys = ["org", "app", "domain", "object", "version"].into_iter();
        keys.zip(parts.clone()).all(|(key, part)| item["spec"][key] == part)
    };
    let found = list["items"].as_array().into_iter().flatten().find(is_meant);
    let name = found.and_then(|item| item["metadata"]["name"].as_str()).ok_or_else(|| {
        Failure::not_found(format!("no SchemaDefinition in {namespace} declares {}", drift.path))
    })?;
    Ok(Target { kind, name: name.to_owned(), namespace: Some(namespace) })
}

async fn repair(
    session: &Session,
    args: &Args,
    cluster: &Cluster,
    target: &Target,
    drift: &SchemaDrift,
) -> Outcome<End> {
    // What is ours the operator repairs at any look; only what is foreign has to be named.
    let mut annotations = json!({ RECONCILE_AT: jiff::Timestamp::now().to_string() });
    if !drift.foreign.is_empty() {
        annotations[FIX_DRIFT] = json!(drift.plan_hash);
    }
    target.annotate(cluster, &annotations, None).await?;
    let began = Instant::now();
    let mut progress = Progress::waiting(format!("waiting for {}", target.display()), session.out.quiet);
    let end = loop {
        let left = look(session.server()?, Some(&drift.path)).await?;
        let Some(left) = left.into_iter().next().filter(|left| !left.is_none()) else { break End::Repaired };
        let object = target.read(cluster).await?;
        let status = target::status(&object)?;
        if !target::is_approved(&object, &status)
            && let (Some(Phase::Blocked), Some(hash)) = (status.phase, status.plan_hash)
            && (hash == drift.plan_hash || began.elapsed() > ANSWER)
        {
            break End::Blocked(hash);
        }
        if began.elapsed() > args.timeout {
            progress.finish();
            return Err(late(target, drift, &left));
        }
        progress.tick();
        sleep(PAUSE).await;
    };
    progress.finish();
    Ok(end)
}

fn late(target: &Target, drift: &SchemaDrift, left: &SchemaDrift) -> Failure {
    let left_over = left.all().map(|operation| operation.summary.clone());
    let failure = if left.plan_hash == drift.plan_hash {
        Failure::new(Exit::Unavailable, format!("{}: not repaired in time", target.display()))
            .with_help("is the operator running? `velocity describe` shows how far it is")
    } else {
        Failure::new(Exit::Conflict, format!("{}: what is drifted has changed meanwhile", target.display()))
            .with_help("look at it with `velocity drift`, and have that repaired")
    };
    failure.with_details(left_over)
}

fn tell(session: &Session, target: &Target, drift: &SchemaDrift, end: &End) -> Outcome {
    if session.out.is_structured() {
        return Ok(());
    }
    match end {
        End::Repaired => session.out.said(&format!("{} repaired", target.display())),
        End::Blocked(hash) => {
            let is_breaking = drift.all().any(|operation| operation.class == OperationClass::Breaking);
            let what = if is_breaking { "waits for an approval" } else { "is blocked" };
            let command = target::approve_command(&target.name, target.namespace.as_deref(), hash);
            session.out.line(&format!("{} {what}; to have it done: {command}", target.display()))
        }
    }
}
