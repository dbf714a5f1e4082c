//! `velocity explain`: what kinds of resources and their fields mean, from the definitions in this binary.

mod definitions;
mod page;

use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::session::Session;
use definitions::Definition;
use velocity_schema::violation::did_you_mean;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Kind, or a field of it: sd, schemadefinition.spec.fields.precision; without it the kinds are listed
    #[arg(value_name = "KIND[.FIELD...]")]
    what: Option<String>,
    /// Show the fields of fields too
    #[arg(short = 'R', long)]
    recursive: bool,
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    let definitions = definitions::all()?;
    let Some(what) = &args.what else {
        if session.out.is_structured() {
            let kinds: Vec<_> =
                definitions.iter().map(|one| json!({ "kind": one.kind(), "names": one.names() })).collect();
            return session.out.serialized(&kinds);
        }
        return session.out.table(&page::kinds(&definitions));
    };
    let mut words = what.split('.');
    let kind = words.next().unwrap_or_default();
    let definition =
        definitions.iter().find(|one| one.is_called(kind)).ok_or_else(|| unknown_kind(&definitions, kind))?;
    let fields: Vec<&str> = words.collect();
    let found = definition.find(&fields).map_err(|lost| {
        let place = if lost.within.is_empty() { definition.kind().to_owned() } else { lost.within.clone() };
        let near = did_you_mean(&lost.name, lost.there.iter().map(String::as_str));
        let failure = Failure::usage(format!("{place} has no field `{}`{near}", lost.name));
        if lost.there.is_empty() {
            failure
        } else {
            failure.with_help(format!("there are {}", lost.there.join(", ")))
        }
    })?;
    if session.out.is_structured() {
        return session.out.serialized(found.schema);
    }
    session.out.text(&page::of(session.out.color, definition, &found, args.recursive))
}

fn unknown_kind(definitions: &[Definition], kind: &str) -> Failure {
    let names: Vec<String> = definitions.iter().flat_map(Definition::names).collect();
    let near = did_you_mean(&kind.to_ascii_lowercase(), names.iter().map(String::as_str));
    let kinds: Vec<&str> = definitions.iter().map(Definition::kind).collect();
    Failure::usage(format!("there is no kind `{kind}`{near}"))
        .with_help(format!("there are {}", kinds.join(", ")))
}
