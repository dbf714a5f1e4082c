//! `velocity apply`.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use velocity_access::parse_duration;
use velocity_contract::API_VERSION;

use crate::cluster::{Answer, Cluster, Kind, Kinds};
use crate::failure::{Exit, Outcome};
use crate::manifest::{Document, in_order, read_all};
use crate::output::format::Format;
use crate::output::json::Json;
use crate::session::Session;

mod wait;

/// Who owns the fields that we apply.
pub(super) const FIELD_MANAGER: &str = "velocity-cli";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files or folders with resources, - for standard input
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    filenames: Vec<PathBuf>,
    /// Look into folders within folders
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Wait until the API serves what was applied
    #[arg(long)]
    wait: bool,
    /// How long to wait at most: 30s, 5m
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = timeout, requires = "wait")]
    timeout: Duration,
    /// Create the namespace of a SchemaDefinition when it is missing
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    create_namespace: bool,
    /// Take over fields that another manager owns
    #[arg(long)]
    force_conflicts: bool,
    /// Let the server check everything and change nothing
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
}

fn timeout(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// A resource that was applied.
struct Applied {
    kind: Kind,
    namespace: Option<String>,
    name: String,
    object: Value,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let documents = in_order(read_all(&args.filenames, args.recursive)?);
    for document in &documents {
        document.expect_resource()?;
    }
    let cluster = session.cluster().await?;
    let kinds = Kinds::of(&cluster);
    let mut applied = Vec::new();
    let mut shown = Vec::new();
    for document in &documents {
        let kind = kinds.of_manifest(document.api_version(), document.kind()).await?;
        let namespace = home(session, document, &kind)?;
        if let Some(namespace) = namespace.as_deref().filter(|_| args.create_namespace && !args.dry_run)
            && document.is_ours("SchemaDefinition")
        {
            ensure_namespace(session, &cluster, namespace).await?;
        }
        let (done, answer) =
            apply_one(&cluster, args, document, kind, namespace).await.map_err(|failure| {
                failure.while_doing(&format!(
                    "{}:{}: {}",
                    document.file,
                    document.line(""),
                    document.display()
                ))
            })?;
        let dry = if args.dry_run { " (dry run)" } else { "" };
        match &session.out.format {
            Some(Format::Name) => session.out.line(&done.kind.display(&done.name))?,
            Some(format) if format.is_structured() => shown.push(answer.0.json()?),
            _ => session.out.said(&format!("{} {}{dry}", done.kind.display(&done.name), answer.1))?,
        }
        applied.push(done);
    }
    show(session, shown)?;
    if args.wait { wait::until_served(session, &cluster, &applied, args.timeout).await } else { Ok(()) }
}

/// Whole objects: one as itself, several as a list.
fn show(session: &Session, mut objects: Vec<Json>) -> Outcome {
    if !session.out.is_structured() {
        return Ok(());
    }
    match objects.len() {
        1 => session.out.value(&objects.remove(0)),
        _ => session.out.value(&super::get::list_of(objects)),
    }
}

/// The namespace that the resource belongs into: its own, `-n`, or for a schema the one that its path names.
pub(super) fn home(session: &Session, document: &Document, kind: &Kind) -> Outcome<Option<String>> {
    if !kind.namespaced {
        return Ok(None);
    }
    match (document.namespace(), session.namespace()) {
        (Some(own), Some(wanted)) if own != wanted => Err(document.failure(
            "metadata.namespace",
            &format!("the namespace is `{own}`, but --namespace says `{wanted}`: change one of them"),
        )),
        (Some(own), _) => Ok(Some(own.to_owned())),
        (None, Some(wanted)) => Ok(Some(wanted.to_owned())),
        (None, None) if document.is_ours("SchemaDefinition") => {
            let part = |key: &str| document.text(&["spec", key]).to_owned();
            Ok(Some(format!("{}-{}-{}", part("org"), part("app"), part("domain"))))
        }
        (None, None) => Err(document
            .failure("metadata", &format!("{} needs metadata.namespace", document.display()))
            .with_help("set it in the file, or give --namespace")),
    }
}

async fn ensure_namespace(session: &Session, cluster: &Cluster, name: &str) -> Outcome {
    let path = format!("/api/v1/namespaces/{}", crate::server::segment(name));
    if cluster.find(&path).await?.is_some() {
        return Ok(());
    }
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    match cluster.create("/api/v1/namespaces", &namespace).await {
        Ok(_) if session.out.is_structured() || session.out.format == Some(Format::Name) => Ok(()),
        Ok(_) => session.out.said(&format!("namespace/{name} created")),
        // Somebody else was faster, which is just as well.
        Err(failure) if failure.exit() == Some(Exit::Conflict) => Ok(()),
        Err(failure) => Err(failure.while_doing(&format!("creating namespace {name}"))),
    }
}

async fn apply_one(
    cluster: &Cluster,
    args: &Args,
    document: &Document,
    kind: Kind,
    namespace: Option<String>,
) -> Outcome<(Applied, (Answer, &'static str))> {
    let name = document.name().to_owned();
    let mut object = document.value.clone();
    if let Some(namespace) = &namespace {
        object["metadata"]["namespace"] = json!(namespace);
    }
    // What a status says is the operator's to decide; exported files often carry one.
    if let (Some(members), true) = (object.as_object_mut(), document.api_version() == API_VERSION) {
        members.remove("status");
    }
    let path = kind.object(namespace.as_deref(), &name);
    let before = match cluster.find(&path).await? {
        Some(answer) => answer.value()?["metadata"]["resourceVersion"].clone(),
        None => Value::Null,
    };
    let query = format!(
        "?fieldManager={FIELD_MANAGER}&fieldValidation=Strict{}{}",
        if args.force_conflicts { "&force=true" } else { "" },
        if args.dry_run { "&dryRun=All" } else { "" }
    );
    let answer = cluster.apply(&format!("{path}{query}"), &object).await?;
    let object = answer.value()?;
    let word = if answer.status == 201 || before.is_null() {
        "created"
    } else if object["metadata"]["resourceVersion"] == before {
        "unchanged"
    } else {
        "configured"
    };
    Ok((Applied { kind, namespace, name, object }, (answer, word)))
}
