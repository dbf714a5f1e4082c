//! `velocity diff`: what manifests would change, against a server or against other manifests.

mod annotate;
mod manifests;
mod offline;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Map, Value, json};
use velocity_contract::page::Data;
use velocity_contract::plan::SchemaPlan;
use velocity_contract::status::OperationClass;

use super::options;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::operations::Detail;
use crate::server::{Request, Server};
use crate::session::Session;
use manifests::Manifest;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 nothing to do, 10 safe changes only, 11 some need data, 12 some are breaking, 1 it could not tell.\n\
                  With GITHUB_ACTIONS=true every change that needs data or an approval is an annotation.\n\
                  Who gains or loses what is told with the records that a role sees before and after; where that depends on the \
                  caller's attributes, with --attribute.\n\
                  Nothing is changed anywhere. Against a server the role platform-admin is needed."
)]
pub(crate) struct Args {
    /// Files or folders with resources, - for standard input
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    filenames: Vec<PathBuf>,
    /// Look into folders within folders
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Compare with these manifests, such as those of another branch, and with no server
    #[arg(long, value_name = "FILE")]
    against: Vec<PathBuf>,
    /// Compare with no server; without --against everything is new
    #[arg(long)]
    offline: bool,
    /// An attribute of the callers whose records are counted, where row filters ask for it
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = options::attribute, conflicts_with_all = ["offline", "against"])]
    attributes: Vec<(String, Value)>,
}

/// A schema that was compared.
#[derive(Serialize)]
struct Compared {
    name: String,
    namespace: String,
    file: String,
    line: u64,
    /// The most careful class; null where there is nothing to do.
    class: Option<OperationClass>,
    #[serde(flatten)]
    plan: SchemaPlan,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome<ExitCode> {
    // The exit codes are for CI, which has to tell "no" from "don't know".
    compare(session, args).await.map_err(|failure| failure.with_exit(Exit::Failed))
}

async fn compare(session: &Session, args: &Args) -> Outcome<ExitCode> {
    let (documents, findings) = super::validate::read(&args.filenames, args.recursive);
    if !findings.is_empty() {
        if session.out.is_structured() {
            let violations: Vec<_> = findings.iter().map(super::validate::Finding::to_json).collect();
            session.out.serialized(&json!({ "schemas": [], "violations": violations }))?;
        } else {
            super::validate::tell(session, &findings)?;
        }
        return Err(super::validate::count(session, &findings));
    }
    let wanted = manifests::schemas(session, &documents)?;
    let old =
        if args.against.is_empty() { Vec::new() } else { manifests::earlier(&args.against, args.recursive)? };
    let attributes = options::attributes(&args.attributes)?;
    let mut compared = Vec::with_capacity(wanted.len());
    for manifest in &wanted {
        let plan = if args.offline || !args.against.is_empty() {
            offline::plan(&old, &manifest.schema)
        } else {
            ask(session.server()?, manifest, &attributes).await?
        };
        let document = manifest.document;
        compared.push(Compared {
            name: document.name().to_owned(),
            namespace: manifest.schema.path().namespace(),
            file: document.file.clone(),
            line: document.line(""),
            class: class(&plan),
            plan,
        });
    }
    let removed = manifests::removed(&old, &wanted);
    if session.out.is_structured() {
        session.out.serialized(&json!({ "schemas": compared, "removed": removed }))?;
    } else {
        let detail = if session.out.is_wide() { Detail::Full } else { Detail::Folded("-o wide shows all") };
        session.out.text(&text::page(session.out.color, detail, &compared, &removed))?;
        if super::validate::annotates() {
            for (manifest, one) in wanted.iter().zip(&compared) {
                session.out.text(&annotate::lines(manifest.document, &manifest.schema, &one.plan))?;
            }
        }
    }
    Ok(code(compared.iter().filter_map(|one| one.class).max()))
}

/// What only the API decides, such as who may do what, takes no statement, and yet is something to do.
fn class(plan: &SchemaPlan) -> Option<OperationClass> {
    let has_news = !plan.changes.is_empty() || !plan.access.is_empty();
    plan.class().or(has_news.then_some(OperationClass::Safe))
}

fn code(class: Option<OperationClass>) -> ExitCode {
    ExitCode::from(match class {
        None => 0,
        Some(OperationClass::Safe) => 10,
        Some(OperationClass::NeedsData) => 11,
        Some(OperationClass::Breaking) => 12,
    })
}

/// What the server says the spec would change.
async fn ask(
    server: &Server,
    manifest: &Manifest<'_>,
    attributes: &Map<String, Value>,
) -> Outcome<SchemaPlan> {
    let spec = manifest.document.value["spec"].to_string();
    let mut request = Request::new(http::Method::POST, "/platform/plan").json(spec);
    if !attributes.is_empty() {
        request = request.query("attributes", Value::Object(attributes.clone()).to_string());
    }
    let document = manifest.document;
    let reply = server.send(&request).await.map_err(|failure| {
        let place = format!("{}:{}: {}", document.file, document.line(""), document.display());
        let failure = failure.while_doing(&place);
        if failure.has_help() { failure } else { failure.with_help("`--offline` compares without a server") }
    })?;
    let body: Data<SchemaPlan> = serde_json::from_slice(&reply.body)
        .map_err(|error| Failure::failed(format!("the server's plan cannot be read: {error}")))?;
    Ok(body.data)
}
