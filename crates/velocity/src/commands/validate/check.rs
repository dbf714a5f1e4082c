//! Every rule that can be checked without a server, over all documents at once.

use std::collections::HashMap;

use serde_json::{Value, json};
use velocity_access::{AuthStrategy, Binding};
use velocity_contract::API_VERSION;
use velocity_contract::auth_strategy::AuthStrategySpec;
use velocity_contract::role_binding::RoleBindingSpec;
use velocity_schema::Schema;
use velocity_schema::spec::SchemaDefinitionSpec;
use velocity_schema::violation::{Violation, Violations, did_you_mean};

use crate::failure::Failure;
use crate::manifest::Document;

/// A violation with its place.
pub(in crate::commands) struct Finding {
    file: String,
    line: u64,
    resource: String,
    violation: Violation,
}

impl Finding {
    fn at(document: &Document, violation: Violation) -> Self {
        Self {
            file: document.file.clone(),
            line: document.line(&violation.path),
            resource: document.display(),
            violation,
        }
    }

    /// A file that is no YAML: its failure begins with `file:line: `.
    pub(super) fn unreadable(failure: &Failure, file: &str) -> Self {
        let message = failure.message();
        let (line, text) = message
            .strip_prefix(file)
            .and_then(|rest| rest.strip_prefix(':'))
            .and_then(|rest| rest.split_once(": "))
            .and_then(|(line, text)| Some((line.parse().ok()?, text)))
            .unwrap_or((1, message));
        Self {
            file: file.to_owned(),
            line,
            resource: String::new(),
            violation: Violation::new("", "syntax", text),
        }
    }

    /// `file:line: path: message`.
    pub(super) fn line(&self) -> String {
        format!("{}:{}: {}", self.file, self.line, self.violation)
    }

    /// A GitHub workflow command.
    pub(super) fn annotation(&self) -> String {
        format!(
            "::error file={},line={},title={}::{}",
            property(&self.file),
            self.line,
            property(&format!("{} {}", self.resource, self.violation.rule)),
            data(&self.violation.to_string())
        )
    }

    pub(in crate::commands) fn to_json(&self) -> Value {
        json!({
            "file": self.file, "line": self.line, "resource": self.resource, "path": self.violation.path,
            "rule": self.violation.rule, "message": self.violation.message,
        })
    }
}

/// A text as the data of a workflow command.
pub(in crate::commands) fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A text as a property of a workflow command.
pub(in crate::commands) fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Every violation of every document, in the order of the files.
pub(super) fn all(documents: &[Document]) -> Vec<Finding> {
    let mut findings: Vec<(usize, Finding)> = Vec::new();
    let mut schemas = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        let mut violations = head(document);
        match document.kind() {
            "SchemaDefinition" if document.api_version() == API_VERSION => {
                match schema_definition(document) {
                    Ok(schema) => schemas.push((index, schema)),
                    Err(more) => violations.0.extend(more.0),
                }
            }
            "AuthStrategy" if document.api_version() == API_VERSION => {
                violations.0.extend(auth_strategy(document).err().unwrap_or_default().0);
            }
            "RoleBinding" if document.api_version() == API_VERSION => {
                violations.0.extend(role_binding(document).err().unwrap_or_default().0);
            }
            kind if document.api_version() == API_VERSION && !kind.is_empty() => {
                let near = did_you_mean(kind, ["SchemaDefinition", "AuthStrategy", "RoleBinding"]);
                violations.push("kind", "kind", format!("this version knows no kind `{kind}`{near}"));
            }
            // What is not ours is somebody else's to judge.
            _ => {}
        }
        findings.extend(violations.0.into_iter().map(|violation| (index, Finding::at(document, violation))));
    }
    findings.extend(twice(documents));
    findings.extend(across(documents, &schemas));
    findings.sort_by_key(|(index, finding)| (*index, finding.line));
    findings.into_iter().map(|(_, finding)| finding).collect()
}

/// What every resource has.
fn head(document: &Document) -> Violations {
    let mut violations = Violations::default();
    for (text, path) in [
        (document.api_version(), "apiVersion"),
        (document.kind(), "kind"),
        (document.name(), "metadata.name"),
    ] {
        if text.is_empty() {
            violations.push(path, "required", "is required");
        }
    }
    let name = document.name();
    let label = |part: &str| {
        let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        edge(part.as_bytes().first())
            && edge(part.as_bytes().last())
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if !name.is_empty() && (name.len() > 253 || !name.split('.').all(label)) {
        violations.push(
            "metadata.name",
            "name",
            format!("`{name}` is no name of a resource: use lower-case letters, digits, `-` and `.`"),
        );
    }
    violations
}

fn spec(document: &Document) -> Result<&Value, Violations> {
    document
        .value
        .get("spec")
        .ok_or_else(|| Violations(vec![Violation::new("spec", "required", "is required")]))
}

fn schema_definition(document: &Document) -> Result<Schema, Violations> {
    let mut violations = Violations::default();
    let json = spec(document)?;
    let schema = match SchemaDefinitionSpec::from_json(json) {
        Ok(spec) => Schema::parse(&spec).map_err(|more| violations.0.extend(more.0)).ok(),
        Err(more) => {
            violations.0.extend(more.0);
            None
        }
    };
    let part = |key: &str| document.text(&["spec", key]);
    let wanted = format!("{}-{}-{}", part("org"), part("app"), part("domain"));
    if let Some(namespace) = document.namespace().filter(|namespace| *namespace != wanted) {
        let message = format!("is `{namespace}`, but org, app and domain make it `{wanted}`");
        violations.push("metadata.namespace", "namespace", message);
    }
    match schema {
        Some(schema) => violations.into_result(schema),
        None => Err(violations),
    }
}

fn auth_strategy(document: &Document) -> Result<(), Violations> {
    let mut violations = Violations::default();
    if document.namespace().is_none() {
        violations.push(
            "metadata.namespace",
            "required",
            "is required: schemas name a strategy with its namespace",
        );
    }
    let spec = typed::<AuthStrategySpec>(document).map_err(|more| violations.0.extend(more.0));
    if let Ok(spec) = spec {
        violations.0.extend(AuthStrategy::parse(&spec).err().unwrap_or_default().0);
    }
    violations.into_result(())
}

fn role_binding(document: &Document) -> Result<(), Violations> {
    let mut violations = Violations::default();
    if document.namespace().is_none() {
        let message = "is required: a binding holds in the domain of its namespace, {org}-{app}-{domain}";
        violations.push("metadata.namespace", "required", message);
    }
    let spec = typed::<RoleBindingSpec>(document).map_err(|more| violations.0.extend(more.0));
    if let Ok(Err(error)) = spec.map(|spec| Binding::parse(document.name(), &spec)) {
        for problem in error.problems() {
            // `roles: what is wrong` begins with its field.
            let (field, message) = problem.split_once(": ").unwrap_or(("", problem));
            let path = if field.is_empty() { "spec".to_owned() } else { format!("spec.{field}") };
            violations.push(path, "binding", message);
        }
    }
    violations.into_result(())
}

/// The spec in its type; unknown fields are errors.
fn typed<T: serde::de::DeserializeOwned>(document: &Document) -> Result<T, Violations> {
    serde_path_to_error::deserialize(spec(document)?).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { "spec".to_owned() } else { format!("spec.{path}") };
        Violations(vec![Violation::new(path, "type", error.inner().to_string())])
    })
}

/// The same resource in two places: which of them is meant?
fn twice(documents: &[Document]) -> Vec<(usize, Finding)> {
    let mut seen: HashMap<(String, String, String), usize> = HashMap::new();
    let mut findings = Vec::new();
    for (index, document) in documents.iter().enumerate().filter(|(_, document)| !document.name().is_empty())
    {
        let namespace = document.namespace().unwrap_or_default().to_owned();
        let key = (document.kind().to_owned(), namespace, document.name().to_owned());
        if let Some(first) = seen.get(&key) {
            let first = &documents[*first];
            let message = format!("{} is in {}:{} already", document.display(), first.file, first.line(""));
            findings.push((index, Finding::at(document, Violation::new("metadata.name", "unique", message))));
        } else {
            seen.insert(key, index);
        }
    }
    findings
}

/// What one schema says of another, as far as both are here.
fn across(documents: &[Document], schemas: &[(usize, Schema)]) -> Vec<(usize, Finding)> {
    let mut findings = Vec::new();
    let mut find = |index: usize, path: String, rule, message| {
        findings.push((index, Finding::at(&documents[index], Violation::new(path, rule, message))));
    };
    let mut by_path: HashMap<String, (usize, &Schema)> = HashMap::new();
    for (index, schema) in schemas {
        let path = schema.path().to_string();
        if let Some((first, _)) = by_path.get(&path) {
            let message = format!("{path} is claimed by {} already", documents[*first].display());
            find(*index, "spec".to_owned(), "unique", message);
        } else {
            by_path.insert(path, (*index, schema));
        }
    }
    for (index, schema) in schemas {
        for field in schema.fields() {
            let Some(reference) = &field.reference else { continue };
            let Some((_, target)) = by_path.get(&reference.target.to_string()) else { continue };
            let at = position_of(&documents[*index], field.name.as_str());
            match target.field(reference.field.as_str()) {
                None => {
                    let near = did_you_mean(
                        reference.field.as_str(),
                        target.fields().iter().map(|f| f.name.as_str()),
                    );
                    let message = format!("{} has no field `{}`{near}", target.path(), reference.field);
                    find(*index, format!("{at}.ref.field"), "ref", message);
                }
                Some(found) if !(found.unique || found.name == target.id().name) => {
                    let message = format!(
                        "`{}` of {} is not unique, so it does not say which record is meant",
                        found.name,
                        target.path()
                    );
                    find(*index, format!("{at}.ref.field"), "ref", message);
                }
                Some(found) if found.kind.name() != field.kind.name() => {
                    let message = format!(
                        "is a {}, but `{}` of {} is a {}",
                        field.kind.name(),
                        found.name,
                        target.path(),
                        found.kind.name()
                    );
                    find(*index, format!("{at}.type"), "ref", message);
                }
                Some(_) => {}
            }
        }
    }
    findings
}

/// The path of a field's entry in the document.
fn position_of(document: &Document, name: &str) -> String {
    let fields = document.value["spec"]["fields"].as_array();
    let position = fields.and_then(|fields| fields.iter().position(|field| field["name"] == name));
    position.map_or_else(|| "spec.fields".to_owned(), |position| format!("spec.fields[{position}]"))
}
