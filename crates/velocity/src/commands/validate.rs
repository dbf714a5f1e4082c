//! `velocity validate`: resource files against the rules, without any server.

mod check;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::manifest::{Document, read_all};
use crate::session::Session;
pub(super) use check::{Finding, data, property};

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
    let (documents, findings) = read(&args.filenames, args.recursive);
    if session.out.is_structured() {
        session.out.serialized(&json!({
            "valid": findings.is_empty(), "resources": documents.len(),
            "violations": findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
        }))?;
    } else {
        tell(session, &findings)?;
    }
    if findings.is_empty() {
        if !session.out.is_structured() {
            let plural = if documents.len() == 1 { "resource is" } else { "resources are" };
            session.out.said(&format!("{} {plural} valid", documents.len()))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    Err(count(session, &findings))
}

/// All documents, and everything that is wrong with them. A file that cannot be read as YAML is one more invalid file: it
/// must not hide the others.
pub(super) fn read(filenames: &[PathBuf], recursive: bool) -> (Vec<Document>, Vec<Finding>) {
    let mut documents = Vec::new();
    let mut findings = Vec::new();
    for file in filenames {
        match read_all(std::slice::from_ref(file), recursive) {
            Ok(read) => documents.extend(read),
            Err(failure) => findings.push(Finding::unreadable(&failure, &file.display().to_string())),
        }
    }
    findings.extend(check::all(&documents));
    (documents, findings)
}

/// Whether lines are for GitHub.
pub(super) fn annotates() -> bool {
    std::env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true")
}

/// A line for each violation.
pub(super) fn tell(session: &Session, findings: &[Finding]) -> Outcome {
    let annotate = annotates();
    for finding in findings {
        session.out.line(&if annotate { finding.annotation() } else { finding.line() })?;
    }
    Ok(())
}

/// How it ends when there are some.
pub(super) fn count(session: &Session, findings: &[Finding]) -> Failure {
    if session.out.is_structured() {
        return Failure::told();
    }
    let plural = if findings.len() == 1 { "violation" } else { "violations" };
    Failure::failed(format!("{} {plural}", findings.len()))
}
