//! Query parameters.

use axum::extract::Query;
use http::Uri;

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
}

impl Options {
    pub(crate) fn parse(uri: &Uri) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        let mut options = Self::default();
        for (name, value) in pairs {
            options.set(&name, value)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), ApiError> {
        match name {
            "watch" => self.watch = truth(&value),
            "labelSelector" => self.label_selector = value,
            "fieldSelector" => self.field_selector = value,
            "resourceVersion" => self.resource_version = revision(&value)?,
            "resourceVersionMatch" => self.resource_version_match = parse_match(&value)?,
            "limit" => self.limit = count("limit", &value)?.unwrap_or(0),
            "continue" => self.continue_token = value,
            "timeoutSeconds" => self.timeout_seconds = count("timeoutSeconds", &value)?,
            "allowWatchBookmarks" => self.bookmarks = truth(&value),
            "sendInitialEvents" => self.send_initial_events = Some(truth(&value)),
            "dryRun" => self.dry_run = dry_run(&value)?,
            "fieldManager" => self.field_manager = Some(field_manager(value)?),
            "fieldValidation" => self.field_validation = field_validation(&value)?,
            "force" => self.force = Some(truth(&value)),
            "propagationPolicy" => self.propagation = Some(value),
            "includeObject" => self.include_object = Some(include_object(&value)?),
            // The real server ignores what it does not know, and clients rely on it.
            _ => {}
        }
        Ok(())
    }
}

/// Go's conversion of a query value to bool: anything but `false` and `0` is true, also nothing.
fn truth(value: &str) -> bool {
    !matches!(value.to_lowercase().as_str(), "false" | "0")
}

fn revision(value: &str) -> Result<Option<u64>, ApiError> {
    if value.is_empty() {
        return Ok(None);
    }
    value.parse().map(Some).map_err(|_| {
        ApiError::bad_request(format!(
            "resourceVersion: Invalid value: \"{value}\": strconv.ParseUint: parsing \"{value}\": invalid syntax"
        ))
    })
}

fn count<T: std::str::FromStr>(name: &str, value: &str) -> Result<Option<T>, ApiError> {
    if value.is_empty() {
        return Ok(None);
    }
    value
        .parse()
        .map(Some)
        .map_err(|_| ApiError::bad_request(format!("{name}: Invalid value: \"{value}\": it is not a count")))
}

fn parse_match(value: &str) -> Result<Option<Match>, ApiError> {
    match value {
        "" => Ok(None),
        "Exact" => Ok(Some(Match::Exact)),
        "NotOlderThan" => Ok(Some(Match::NotOlderThan)),
        other => Err(ApiError::bad_request(format!(
            "resourceVersionMatch: Unsupported value: \"{other}\": supported values: \"Exact\", \"NotOlderThan\""
        ))),
    }
}

fn dry_run(value: &str) -> Result<bool, ApiError> {
    match value {
        "" => Ok(false),
        "All" => Ok(true),
        other => Err(ApiError::bad_request(format!(
            "dryRun: Unsupported value: \"{other}\": supported values: \"All\""
        ))),
    }
}

fn field_manager(value: String) -> Result<String, ApiError> {
    if value.len() > 128 {
        return Err(ApiError::bad_request("fieldManager: Too long: may not be more than 128 bytes"));
    }
    if value.chars().any(char::is_control) {
        return Err(ApiError::bad_request(format!(
            "fieldManager: Invalid value: {value:?}: should only contain printable characters"
        )));
    }
    Ok(value)
}

fn field_validation(value: &str) -> Result<FieldValidation, ApiError> {
    match value {
        "" | "Warn" => Ok(FieldValidation::Warn),
        "Ignore" => Ok(FieldValidation::Ignore),
        "Strict" => Ok(FieldValidation::Strict),
        other => Err(ApiError::bad_request(format!(
            "fieldValidation: Unsupported value: \"{other}\": supported values: \"Ignore\", \"Strict\", \"Warn\""
        ))),
    }
}

fn include_object(value: &str) -> Result<RowObject, ApiError> {
    match value {
        "" | "Metadata" => Ok(RowObject::Metadata),
        "None" => Ok(RowObject::None),
        "Object" => Ok(RowObject::Object),
        other => Err(ApiError::bad_request(format!("unrecognized includeObject value: {other}"))),
    }
}
