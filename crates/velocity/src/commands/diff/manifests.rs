//! The schemas of manifests.

use std::path::PathBuf;

use serde_json::Value;
use velocity_schema::Schema;

use crate::failure::{Failure, Outcome};
use crate::manifest::{Document, read_all};
use crate::session::Session;

/// A schema with the document that it is from.
pub(super) struct Manifest<'a> {
    pub(super) document: &'a Document,
    pub(super) schema: Schema,
}

/// The schemas among valid documents.
pub(super) fn schemas<'a>(session: &Session, documents: &'a [Document]) -> Outcome<Vec<Manifest<'a>>> {
    let mut found = Vec::new();
    for document in documents {
        if document.is_ours("SchemaDefinition") {
            found.push(Manifest { document, schema: parse(document)? });
        } else {
            session.out.note(&format!("{} is no SchemaDefinition and is not compared", document.display()));
        }
    }
    Ok(found)
}

/// The schemas that were there before.
pub(super) fn earlier(files: &[PathBuf], recursive: bool) -> Outcome<Vec<Schema>> {
    let documents = read_all(files, recursive)?;
    documents.iter().filter(|document| document.is_ours("SchemaDefinition")).map(parse).collect()
}

fn parse(document: &Document) -> Outcome<Schema> {
    Schema::from_json(document.value.get("spec").unwrap_or(&Value::Null)).map(|(_, schema)| schema).map_err(
        |violations| {
            let place = format!("{}:{}", document.file, document.line("spec"));
            Failure::failed(format!(
                "{place}: {} is not valid, so there is nothing to compare with",
                document.display()
            ))
            .with_details(violations.iter().map(ToString::to_string))
        },
    )
}

/// The paths that were there before and are not any more.
pub(super) fn removed(old: &[Schema], new: &[Manifest<'_>]) -> Vec<String> {
    let gone = old.iter().filter(|old| new.iter().all(|new| new.schema.path() != old.path()));
    gone.map(|schema| schema.path().to_string()).collect()
}
