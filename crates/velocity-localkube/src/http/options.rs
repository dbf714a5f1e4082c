//! Query parameters.

use axum::extract::Query;
use http::Uri;
use serde_json::{Value, json};

use crate::field_error::FieldError;
use crate::status::ApiError;
use crate::table::RowObject;

/// `fieldValidation`: what happens to fields that the schema does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// `resourceVersionMatch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    Exact,
    NotOlderThan,
}

/// Everything that any verb reads from the query.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub(crate) watch: bool,
    pub(crate) label_selector: String,
    pub(crate) field_selector: String,
    pub(crate) resource_version: Option<u64>,
    pub(crate) resource_version_match: Option<Match>,
    pub(crate) limit: usize,
    pub(crate) continue_token: String,
    pub(crate) timeout_seconds: Option<u64>,
    pub(crate) bookmarks: bool,
    pub(crate) send_initial_events: Option<bool>,
    pub(crate) dry_run: bool,
    pub(crate) field_manager: Option<String>,
    pub(crate) field_validation: FieldValidation,
    pub(crate) force: Option<bool>,
    pub(crate) propagation: Option<String>,
    pub(crate) include_object: Option<RowObject>,
    /// What stands where a version should be.
    unread_version: Option<String>,
}

impl Options {
    /// Reads the query; `kind` is what a violation is a violation of (`CreateOptions`).
    pub(crate) fn parse(uri: &Uri, kind: &str) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        let mut options = Self::default();
        let mut errors = Vec::new();
        for (name, value) in pairs {
            options.set(&name, value, &mut errors)?;
        }
        if let Some(text) = &options.unread_version {
            return Err(unread_version(text, kind == "ListOptions" && !options.watch));
        }
        if kind == "ListOptions" {
            options.check_list(&mut errors);
        }
        if errors.is_empty() { Ok(options) } else { Err(ApiError::invalid("meta.k8s.io", kind, "", &errors)) }
    }

    fn set(&mut self, name: &str, value: String, errors: &mut Vec<FieldError>) -> Result<(), ApiError> {
        match name {
            "watch" => self.watch = truth(&value),
            "labelSelector" => self.label_selector = value,
            "fieldSelector" => self.field_selector = value,
            "resourceVersion" => match value.parse() {
                Ok(revision) => self.resource_version = Some(revision),
                Err(_) => self.unread_version = Some(value).filter(|text| !text.is_empty()),
            },
            "resourceVersionMatch" => self.resource_version_match = parse_match(&value, errors),
            "limit" => self.limit = usize::try_from(integer(&value)?.unwrap_or(0)).unwrap_or(0),
            "continue" => self.continue_token = value,
            "timeoutSeconds" => {
                self.timeout_seconds = integer(&value)?.and_then(|seconds| u64::try_from(seconds).ok());
            }
            "allowWatchBookmarks" => self.bookmarks = truth(&value),
            "sendInitialEvents" => self.send_initial_events = Some(truth(&value)),
            "dryRun" => self.dry_run = dry_run(&value, errors),
            "fieldManager" => self.field_manager = Some(field_manager(value, errors)),
            "fieldValidation" => self.field_validation = field_validation(&value, errors),
            "force" => self.force = Some(truth(&value)),
            "propagationPolicy" => self.propagation = Some(value),
            "includeObject" => self.include_object = Some(include_object(&value)?),
            // The real server ignores what it does not know, and clients rely on it.
            _ => {}
        }
        Ok(())
    }

    /// The rules for a list's or watch's version, its match and initial events.
    fn check_list(&self, errors: &mut Vec<FieldError>) {
        const MATCH: &str = "resourceVersionMatch";
        let mut forbid = |field: &str, why: &str| errors.push(FieldError::forbidden(field, why));
        if self.watch {
            match (self.send_initial_events, self.resource_version_match) {
                (None, Some(_)) => {
                    forbid(
                        MATCH,
                        "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                    );
                }
                (Some(_), found) if found != Some(Match::NotOlderThan) => {
                    forbid(MATCH, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
                }
                _ => {}
            }
            return;
        }
        if self.send_initial_events.is_some() {
            forbid("sendInitialEvents", "sendInitialEvents is forbidden for list");
        }
        if self.resource_version_match.is_some() && self.resource_version.is_none() {
            forbid(MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if self.resource_version_match == Some(Match::Exact) && self.resource_version == Some(0) {
            forbid(MATCH, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
        }
    }
}

/// Go's conversion of a query value to bool: anything but `false` and `0` is true, also nothing.
fn truth(value: &str) -> bool {
    !matches!(value.to_lowercase().as_str(), "false" | "0")
}

/// The real server has no error code for it but where it lists.
fn unread_version(value: &str, is_list: bool) -> ApiError {
    let why = format!(
        "resourceVersion: Invalid value: \"{value}\": strconv.ParseUint: parsing \"{value}\": invalid syntax"
    );
    if is_list {
        ApiError::bad_request(format!("invalid resource version: {why}"))
    } else {
        ApiError::unexplained(why)
    }
}

fn integer(value: &str) -> Result<Option<i64>, ApiError> {
    if value.is_empty() {
        return Ok(None);
    }
    value
        .parse()
        .map(Some)
        .map_err(|_| ApiError::bad_request(format!("strconv.ParseInt: parsing \"{value}\": invalid syntax")))
}

fn unsupported(field: &str, value: Value, supported: &[&str]) -> FieldError {
    let supported: Vec<String> = supported.iter().map(|&one| one.to_owned()).collect();
    FieldError::not_supported(field, value, &supported)
}

fn parse_match(value: &str, errors: &mut Vec<FieldError>) -> Option<Match> {
    match value {
        "" => None,
        "Exact" => Some(Match::Exact),
        "NotOlderThan" => Some(Match::NotOlderThan),
        other => {
            errors.push(unsupported("resourceVersionMatch", json!(other), &["Exact", "NotOlderThan", ""]));
            None
        }
    }
}

fn dry_run(value: &str, errors: &mut Vec<FieldError>) -> bool {
    match value {
        "" => false,
        "All" => true,
        other => {
            errors.push(unsupported("dryRun", json!([other]), &["All"]));
            true
        }
    }
}

/// The longest name of a field manager, in bytes.
const LONGEST_MANAGER: usize = 128;

fn field_manager(value: String, errors: &mut Vec<FieldError>) -> String {
    if value.len() > LONGEST_MANAGER {
        errors.push(FieldError::too_long("fieldManager", LONGEST_MANAGER as u64));
    }
    if let Some((at, odd)) = value.char_indices().find(|(_, character)| character.is_control()) {
        let detail = format!("invalid character U+{:04X} (at position {at})", u32::from(odd));
        errors.push(FieldError::invalid("fieldManager", json!(value), detail));
    }
    value
}

fn field_validation(value: &str, errors: &mut Vec<FieldError>) -> FieldValidation {
    match value {
        "" | "Warn" => FieldValidation::Warn,
        "Ignore" => FieldValidation::Ignore,
        "Strict" => FieldValidation::Strict,
        other => {
            errors.push(unsupported("fieldValidation", json!(other), &["", "Ignore", "Strict", "Warn"]));
            FieldValidation::Strict
        }
    }
}

fn include_object(value: &str) -> Result<RowObject, ApiError> {
    match value {
        "" | "Metadata" => Ok(RowObject::Metadata),
        "None" => Ok(RowObject::None),
        "Object" => Ok(RowObject::Object),
        other => Err(ApiError::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: \"{other}\": must be 'Metadata', \
             'Object', 'None', or empty"
        ))),
    }
}
