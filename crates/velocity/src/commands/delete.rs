//! `velocity delete`.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use velocity_access::parse_duration;

use super::get::Place;
use super::target::only_namespace;
use crate::cluster::{Cluster, Kind, Kinds};
use crate::failure::{Exit, Failure, Outcome};
use crate::manifest::{in_order, read_all};
use crate::output::progress::Progress;
use crate::session::Session;

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "velocity delete [OPTIONS] KIND NAME...\n       velocity delete [OPTIONS] -f FILE...",
    after_help = "Deleting a SchemaDefinition keeps its table and its history unless its deletion policy says otherwise."
)]
pub(crate) struct Args {
    /// Kind of resource
    #[arg(required_unless_present = "filenames")]
    kind: Option<String>,
    /// Names
    #[arg(required_unless_present = "filenames", conflicts_with = "filenames")]
    names: Vec<String>,
    /// Files or folders with the resources to delete, - for standard input
    #[arg(short, long = "filename", value_name = "FILE", conflicts_with = "kind")]
    filenames: Vec<PathBuf>,
    /// Look into folders within folders
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Return only when they are gone
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    wait: bool,
    /// How long to wait at most
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = timeout)]
    timeout: Duration,
    /// It is no error when they are not there
    #[arg(long)]
    ignore_not_found: bool,
}

fn timeout(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

struct Doomed {
    kind: Kind,
    name: String,
    path: String,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let cluster = session.cluster().await?;
    let doomed = if args.filenames.is_empty() {
        named(session, &cluster, args).await?
    } else {
        listed(session, &cluster, args).await?
    };
    let mut going = Vec::new();
    for one in doomed {
        match cluster.delete(&one.path).await {
            Ok(_) => {}
            Err(failure) if failure.exit() == Some(Exit::NotFound) && args.ignore_not_found => continue,
            Err(failure) => return Err(failure),
        }
        session.out.said(&format!("{} deleted", one.kind.display(&one.name)))?;
        going.push(one);
    }
    if args.wait { until_gone(session, &cluster, &going, args.timeout).await } else { Ok(()) }
}

async fn named(session: &Session, cluster: &Cluster, args: &Args) -> Outcome<Vec<Doomed>> {
    let kind = Kinds::of(cluster).called(args.kind.as_deref().unwrap_or_default()).await?;
    let mut doomed = Vec::new();
    for name in &args.names {
        let found = Place::of(session, &kind, Some(name), None).objects(cluster).await;
        let objects = match found {
            Err(failure) if failure.exit() == Some(Exit::NotFound) && args.ignore_not_found => continue,
            other => other?,
        };
        let namespace = only_namespace(&objects, name)?;
        doomed.push(Doomed {
            path: kind.object(namespace.as_deref(), name),
            kind: kind.clone(),
            name: name.clone(),
        });
    }
    Ok(doomed)
}

/// What the files name, the other way round than it is applied.
async fn listed(session: &Session, cluster: &Cluster, args: &Args) -> Outcome<Vec<Doomed>> {
    let kinds = Kinds::of(cluster);
    let mut doomed = Vec::new();
    for document in in_order(read_all(&args.filenames, args.recursive)?).iter().rev() {
        document.expect_resource()?;
        let kind = kinds.of_manifest(document.api_version(), document.kind()).await?;
        let namespace = super::apply::home(session, document, &kind)?;
        let name = document.name().to_owned();
        doomed.push(Doomed { path: kind.object(namespace.as_deref(), &name), kind, name });
    }
    Ok(doomed)
}

async fn until_gone(session: &Session, cluster: &Cluster, going: &[Doomed], timeout: Duration) -> Outcome {
    let deadline = Instant::now() + timeout;
    for one in going {
        let display = one.kind.display(&one.name);
        let mut progress = Progress::waiting(format!("waiting for {display} to go"), session.out.quiet);
        let mut pause = Duration::from_millis(20);
        while cluster.find(&one.path).await?.is_some() {
            if Instant::now() + pause > deadline {
                return Err(Failure::new(Exit::Unavailable, format!("{display} is still there")).with_help(
                    "its finalizers are not done: is the operator running? `velocity describe` shows more",
                ));
            }
            progress.tick();
            sleep(pause).await;
            pause = (pause * 3 / 2).min(Duration::from_millis(500));
        }
        progress.finish();
    }
    Ok(())
}
