//! From `-f` arguments to documents.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_saphyr::Spanned;

use super::Document;
use super::node::Node;
use crate::failure::{Failure, Outcome};

/// Larger than any sensible resource file; what is not one should not fill the memory.
const FILE_MAX: u64 = 16 << 20;

/// Every document of every file: files as they are named, folders with their `.yaml`, `.yml` and `.json` files by name,
/// `-` for standard input.
pub(crate) fn read_all(names: &[PathBuf], recursive: bool) -> Outcome<Vec<Document>> {
    let mut documents = Vec::new();
    for name in names {
        if name.as_os_str() == "-" {
            documents.extend(parse("-", &read(std::io::stdin().lock(), "standard input")?)?);
        } else if name.is_dir() {
            let before = documents.len();
            for file in files_of(name, recursive)? {
                documents.extend(read_file(&file)?);
            }
            if documents.len() == before {
                return Err(Failure::usage(format!("{} has no .yaml, .yml or .json file", name.display())));
            }
        } else {
            documents.extend(read_file(name)?);
        }
    }
    if documents.is_empty() {
        return Err(Failure::usage("there is no resource in what was given"));
    }
    Ok(documents)
}

fn files_of(folder: &Path, recursive: bool) -> Outcome<Vec<PathBuf>> {
    let failed =
        |error: std::io::Error| Failure::failed(format!("{} cannot be listed: {error}", folder.display()));
    let mut entries = std::fs::read_dir(folder)
        .and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()
        })
        .map_err(failed)?;
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        if entry.is_dir() {
            if recursive {
                files.extend(files_of(&entry, recursive)?);
            }
        } else if matches!(entry.extension().and_then(|e| e.to_str()), Some("yaml" | "yml" | "json")) {
            files.push(entry);
        }
    }
    Ok(files)
}

fn read_file(path: &Path) -> Outcome<Vec<Document>> {
    let name = path.display().to_string();
    let file = std::fs::File::open(path).map_err(|error| cannot_read(&name, &error))?;
    parse(&name, &read(file, &name)?)
}

fn read(source: impl Read, name: &str) -> Outcome<String> {
    let mut text = String::new();
    source.take(FILE_MAX + 1).read_to_string(&mut text).map_err(|error| cannot_read(name, &error))?;
    if text.len() as u64 > FILE_MAX {
        return Err(Failure::usage(format!("{name} is larger than 16 MiB, which no resource file is")));
    }
    Ok(text)
}

fn cannot_read(name: &str, error: &std::io::Error) -> Failure {
    let exit =
        if error.kind() == std::io::ErrorKind::NotFound { Failure::not_found } else { Failure::failed };
    exit(format!("{name} cannot be read: {error}"))
}

/// The documents of a text. JSON is YAML, so one parser does.
fn parse(name: &str, text: &str) -> Outcome<Vec<Document>> {
    let parsed: Vec<Spanned<Node>> = serde_saphyr::from_multiple(text).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        Failure::usage(format!("{name}:{line}: {}", first_line(&error.without_snippet().to_string())))
    })?;
    let documents = parsed.into_iter().map(|node| {
        let (value, lines) = node.value.split(node.referenced.line().max(1));
        Document { file: name.to_owned(), value, lines }
    });
    Ok(documents.filter(|document| !document.value.is_null()).flat_map(items_of_list).collect())
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// A `List` is the documents that it lists.
fn items_of_list(document: Document) -> Vec<Document> {
    let is_list = document.kind() == "List" && document.api_version() == "v1";
    let Some(items) = document.value.get("items").and_then(|items| items.as_array()).filter(|_| is_list)
    else {
        return vec![document];
    };
    let inside = |position: usize| {
        let prefix = format!("items[{position}]");
        let own = document.lines.iter().filter_map(|(path, line)| {
            let rest = path.strip_prefix(&prefix)?;
            let rest = if rest.is_empty() { rest } else { rest.strip_prefix('.')? };
            Some((rest.to_owned(), *line))
        });
        own.collect()
    };
    items
        .iter()
        .enumerate()
        .map(|(position, value)| Document {
            file: document.file.clone(),
            value: value.clone(),
            lines: inside(position),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_line() {
        let text = "# c\napiVersion: v1\nkind: A\nmetadata: {name: x}\nspec:\n  fields:\n    - name: a\n      scale: 3\n    - name: b\n---\nkind: B\n";
        let documents = parse("f.yaml", text).unwrap();
        assert_eq!(documents.len(), 2);
        let first = &documents[0];
        assert_eq!(first.line("spec.fields[0].scale"), 8);
        assert_eq!(first.line("spec.fields[1]"), 9);
        assert_eq!(first.line("spec.fields[1].missing.deeper"), 9);
        assert_eq!(documents[1].line("kind"), 11);
        assert_eq!(first.value["spec"]["fields"][0]["scale"], 3);
    }

    #[test]
    fn json_and_lists_are_documents_too() {
        let text = "{\n\t\"apiVersion\": \"v1\", \"kind\": \"List\",\n\t\"items\": [\n\t{\"kind\": \"A\"},\n\t{\"kind\": \"B\",\n\t\"spec\": 1.5}]}\n";
        let documents = parse("f.json", text).unwrap();
        assert_eq!(documents.iter().map(Document::kind).collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!(documents[1].line("spec"), 6);
    }

    #[test]
    fn what_is_no_yaml_is_an_error_with_its_line() {
        for (text, line) in [("a: 1\na: 2\n", 2), ("a: [1\nb: 2\n", 2), ("a: .inf\n", 1)] {
            let failure = parse("f.yaml", text).unwrap_err();
            assert!(failure.message().starts_with(&format!("f.yaml:{line}: ")), "{}", failure.message());
        }
    }
}
