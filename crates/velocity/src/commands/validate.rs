//! `velocity validate`: resource files against the rules, without any server.

mod check;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::manifest::read_all;
use crate::session::Session;
use check::Finding;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 when everything is valid, 1 when not. With GITHUB_ACTIONS=true each violation is an annotation."
)]
pub(crate) struct Args {
    /// Files or folders with resources, - for standard input
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    filenames: Vec<PathBuf>,
    /// Look into folders within folders
    #[arg(short = 'R', long)]
    recursive: bool,
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome<ExitCode> {
    // A file that cannot be read as YAML is one more invalid file: it must not hide the others.
    let mut documents = Vec::new();
    let mut findings = Vec::new();
    for file in &args.filenames {
        match read_all(std::slice::from_ref(file), args.recursive) {
            Ok(read) => documents.extend(read),
            Err(failure) => findings.push(Finding::unreadable(&failure, &file.display().to_string())),
        }
    }
    findings.extend(check::all(&documents));
    if session.out.is_structured() {
        session.out.serialized(&json!({
            "valid": findings.is_empty(), "resources": documents.len(),
            "violations": findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
        }))?;
    } else {
        let annotate = std::env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true");
        for finding in &findings {
            session.out.line(&if annotate { finding.annotation() } else { finding.line() })?;
        }
    }
    if findings.is_empty() {
        if !session.out.is_structured() {
            let plural = if documents.len() == 1 { "resource is" } else { "resources are" };
            session.out.said(&format!("{} {plural} valid", documents.len()))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if session.out.is_structured() {
        return Err(Failure::told());
    }
    let plural = if findings.len() == 1 { "violation" } else { "violations" };
    Err(Failure::failed(format!("{} {plural}", findings.len())))
}
