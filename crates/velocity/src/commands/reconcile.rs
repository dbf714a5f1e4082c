//! `velocity reconcile`: asks the operator to look again.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use velocity_access::parse_duration;
use velocity_contract::API_VERSION;
use velocity_contract::annotation::RECONCILE_AT;

use super::target::{self, Target};
use crate::cluster::Cluster;
use crate::failure::{Failure, Outcome};
use crate::output::progress::Progress;
use crate::session::Session;

/// An operator that has nothing to change leaves no trace: so long after the request what is there counts as its answer.
const SETTLED: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Kind of resource: schemadefinition (sd), authstrategy (authstrat); or KIND/NAME
    kind: String,
    /// Its name
    name: Option<String>,
    /// How long to wait at most for the operator
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = timeout)]
    timeout: Duration,
}

fn timeout(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let (kind, name) = target::words(&args.kind, args.name.as_deref())?;
    let cluster = session.cluster().await?;
    let target = Target::find(session, &cluster, kind, name).await?;
    if target.kind.api_version != API_VERSION {
        return Err(Failure::usage(format!("no operator of Velocity looks after a {}", target.kind.kind)));
    }
    let object = ask(&cluster, &target).await?;
    let mut progress = Progress::waiting(format!("waiting for {}", target.display()), session.out.quiet);
    let object = wait(&cluster, &target, object, args.timeout, &mut progress).await;
    progress.finish();
    tell(session, &target, &object?)
}

/// Makes the operator look. The object as it is then.
pub(super) async fn ask(cluster: &Cluster, target: &Target) -> Outcome<Value> {
    let now = jiff::Timestamp::now().to_string();
    target.annotate(cluster, &json!({ RECONCILE_AT: now }), None).await
}

async fn wait(
    cluster: &Cluster,
    target: &Target,
    mut object: Value,
    timeout: Duration,
    progress: &mut Progress,
) -> Outcome<Value> {
    let began = Instant::now();
    let asked = object["metadata"]["resourceVersion"].clone();
    loop {
        let moved = object["metadata"]["resourceVersion"] != asked;
        // Of another kind's status there is nothing to know, nor is any of it blocked.
        let is_approved = target::status(&object).is_ok_and(|status| target::is_approved(&object, &status));
        let is_busy = object["status"]["phase"] == "Provisioning" || is_approved;
        let looked = moved || began.elapsed() > SETTLED;
        if looked && target::is_observed(&object) && !is_busy {
            return Ok(object);
        }
        if began.elapsed() > timeout {
            return if target::is_observed(&object) {
                Ok(object)
            } else {
                Err(target::unobserved(&target.display()))
            };
        }
        progress.tick();
        sleep(PAUSE).await;
        object = target.read(cluster).await?;
    }
}

fn tell(session: &Session, target: &Target, object: &Value) -> Outcome {
    if session.out.is_structured() {
        return session.out.serialized(object);
    }
    let word = object["status"]["phase"].as_str().unwrap_or("asked");
    let readiness = target::readiness(object);
    let reason = if readiness.is_empty() { String::new() } else { format!(": {readiness}") };
    session.out.said(&format!("{} {}{reason}", target.display(), session.out.color.state(word)))
}
