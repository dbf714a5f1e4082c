//! `apply --wait`: until the operator is done and the API serves the very spec.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use velocity_contract::API_VERSION;
use velocity_contract::status::{OperationClass, Phase, find_condition};

use super::super::target;
use super::Applied;
use crate::cluster::Cluster;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::operations;
use crate::output::progress::Progress;
use crate::output::style;
use crate::server::{Request, Server};
use crate::session::Session;

/// The first pause between two looks: a new schema is usually there in a fraction of a second.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// How long a refusal of our token may last: a strategy that was applied a moment ago is not in force everywhere yet.
const DENIAL_PATIENCE: Duration = Duration::from_secs(5);

/// What a look showed.
enum Look<T> {
    Done(T),
    /// Not yet; what is missing.
    Not(String),
}

pub(super) async fn until_served(
    session: &Session,
    cluster: &Cluster,
    applied: &[Applied],
    timeout: Duration,
) -> Outcome {
    let deadline = Instant::now() + timeout;
    for resource in applied.iter().filter(|resource| resource.kind.api_version == API_VERSION) {
        let display = resource.kind.display(&resource.name);
        let mut progress = Progress::waiting(format!("waiting for {display}"), session.out.quiet);
        let outcome = match resource.kind.kind.as_str() {
            "SchemaDefinition" => schema(session, cluster, resource, deadline, &mut progress).await,
            "AuthStrategy" | "RoleBinding" => by_condition(cluster, resource, deadline, &mut progress).await,
            _ => continue,
        };
        progress.finish();
        outcome.map_err(|failure| failure.while_doing(&display))?;
        if !session.out.is_structured() && session.out.format.is_none() {
            session.out.said(&format!("{display} ready"))?;
        }
    }
    Ok(())
}

async fn schema(
    session: &Session,
    cluster: &Cluster,
    resource: &Applied,
    deadline: Instant,
    progress: &mut Progress,
) -> Outcome {
    let (endpoint, hash) = poll(deadline, progress, async || provisioned(cluster, resource).await).await?;
    let server = session.server()?;
    let request = Request::get(format!("{endpoint}/schema.json"));
    let wanted = format!("\"{hash}\"");
    let started = Instant::now();
    poll(deadline, progress, async || served(server, &request, &wanted, started).await).await
}

/// Looks again and again, less and less often.
async fn poll<T>(
    deadline: Instant,
    progress: &mut Progress,
    look: impl AsyncFn() -> Outcome<Look<T>>,
) -> Outcome<T> {
    let mut pause = PAUSE_MIN;
    loop {
        let missing = match look().await? {
            Look::Done(value) => return Ok(value),
            Look::Not(missing) => missing,
        };
        if Instant::now() + pause > deadline {
            return Err(Failure::new(Exit::Unavailable, format!("not ready in time: {missing}"))
                .with_help("`velocity describe` shows how far it is; a longer --timeout waits longer"));
        }
        progress.tick();
        sleep(pause).await;
        pause = (pause * 3 / 2).min(PAUSE_MAX);
    }
}

/// The endpoint and the hash of the spec that was applied, once it is provisioned.
async fn provisioned(cluster: &Cluster, resource: &Applied) -> Outcome<Look<(String, String)>> {
    let object = current(cluster, resource).await?;
    let status = target::status(&object)?;
    if !is_current(status.observed_generation, resource) {
        return Ok(Look::Not("the operator has not looked at it yet; is it running?".to_owned()));
    }
    let reason = find_condition(&status.conditions, "Ready").map_or_else(
        || "no reason is given".to_owned(),
        |ready| if ready.message.is_empty() { ready.reason.clone() } else { ready.message.clone() },
    );
    if target::is_approved(&object, &status) {
        return Ok(Look::Not("it is approved, and the operator has not begun yet".to_owned()));
    }
    match (status.phase, status.endpoint, status.spec_hash) {
        (Some(Phase::Ready), Some(endpoint), Some(hash)) => Ok(Look::Done((endpoint, hash))),
        (Some(phase @ (Phase::Blocked | Phase::Failed | Phase::Terminating)), ..) => {
            let steps = operations::of_status(&status.pending_operations);
            let page = operations::listed(
                style::for_stderr(),
                &steps,
                "",
                operations::Detail::Folded("`velocity describe` shows all"),
            );
            let failure =
                Failure::failed(format!("{phase}: {reason}")).with_details(page.lines().map(str::to_owned));
            let is_breaking = steps.iter().any(|step| step.class == OperationClass::Breaking);
            Err(match status.plan_hash.filter(|_| is_breaking) {
                Some(hash) => {
                    let command =
                        target::approve_command(&resource.name, resource.namespace.as_deref(), &hash);
                    failure.with_help(format!("if you agree to exactly this plan: {command}"))
                }
                None => failure,
            })
        }
        (phase, ..) => {
            let phase = phase.map_or("not seen", Phase::as_str);
            Ok(Look::Not(format!("{phase}: {reason}")))
        }
    }
}

/// Whether the API serves the spec of that tag.
async fn served(server: &Server, request: &Request, wanted: &str, started: Instant) -> Outcome<Look<()>> {
    let reply = match server.send_once(request).await {
        Ok(reply) => reply,
        Err(failure) if failure.exit() == Some(Exit::Unavailable) => {
            return Ok(Look::Not(failure.message().to_owned()));
        }
        Err(failure) => return Err(failure),
    };
    let status = reply.status.as_u16();
    if status == 200 && reply.header("etag") == Some(wanted) {
        return Ok(Look::Done(()));
    }
    if matches!(status, 401 | 403) && started.elapsed() > DENIAL_PATIENCE {
        let failure =
            Failure::new(Exit::Denied, "it is provisioned, but the API does not let you look at it");
        return Err(failure.with_help("`velocity auth whoami` shows who the server takes you for"));
    }
    Ok(Look::Not(match status {
        200 => "the API still serves the spec before".to_owned(),
        _ => format!("it is provisioned, but the API answers {}", reply.status),
    }))
}

/// An AuthStrategy or a RoleBinding is in use when its Ready condition says so; an operator that does not watch them says nothing.
async fn by_condition(
    cluster: &Cluster,
    resource: &Applied,
    deadline: Instant,
    progress: &mut Progress,
) -> Outcome {
    poll(deadline, progress, async || {
        let object = current(cluster, resource).await?;
        let status = &object["status"];
        if !is_current(status["observedGeneration"].as_i64(), resource) {
            return Ok(Look::Not("the operator has not looked at it yet; is it running?".to_owned()));
        }
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let ready = conditions.clone().find(|condition| condition["type"] == "Ready");
        let Some(ready) = ready else { return Ok(Look::Not("it has no Ready condition yet".to_owned())) };
        let message = ready["message"].as_str().unwrap_or_default().to_owned();
        match ready["status"].as_str() {
            Some("True") => Ok(Look::Done(())),
            // A binding that is applied with the first schema of its domain may be looked at before it.
            Some("False") if ready["reason"] == target::NO_DOMAIN => Ok(Look::Not(message)),
            Some("False") => Err(Failure::failed(format!("not ready: {message}"))),
            _ => Ok(Look::Not(message)),
        }
    })
    .await
}

async fn current(cluster: &Cluster, resource: &Applied) -> Outcome<Value> {
    cluster.get(&resource.kind.object(resource.namespace.as_deref(), &resource.name)).await?.value()
}

fn is_current(observed: Option<i64>, resource: &Applied) -> bool {
    observed >= resource.object["metadata"]["generation"].as_i64()
}
