//! Resource files: one or many documents, YAML or JSON, each value with its line.

mod files;
mod node;
mod order;

use std::collections::HashMap;

use serde_json::Value;

pub(crate) use files::read_all;
pub(crate) use order::in_order;

use crate::failure::{Failure, Outcome};

/// A document of a file.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// The file's path as it was given, `-` for standard input.
    pub(crate) file: String,
    /// The resource.
    pub(crate) value: Value,
    lines: HashMap<String, u64>,
}

impl Document {
    /// `apiVersion`, empty where there is none.
    pub(crate) fn api_version(&self) -> &str {
        self.text(&["apiVersion"])
    }

    /// `kind`, empty where there is none.
    pub(crate) fn kind(&self) -> &str {
        self.text(&["kind"])
    }

    /// `metadata.name`, empty where there is none.
    pub(crate) fn name(&self) -> &str {
        self.text(&["metadata", "name"])
    }

    /// `metadata.namespace`.
    pub(crate) fn namespace(&self) -> Option<&str> {
        Some(self.text(&["metadata", "namespace"])).filter(|namespace| !namespace.is_empty())
    }

    /// The text at a path, empty where there is none.
    pub(crate) fn text(&self, path: &[&str]) -> &str {
        path.iter()
            .try_fold(&self.value, |value, key| value.get(key))
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The line of the value at a path such as `spec.fields[3].scale`, or of the nearest value around it.
    pub(crate) fn line(&self, path: &str) -> u64 {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return *line;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return self.lines.get("").copied().unwrap_or(1),
            }
        }
    }

    /// `SchemaDefinition/purchase-order`, for people.
    pub(crate) fn display(&self) -> String {
        format!("{}/{}", self.kind(), self.name())
    }

    /// Whether it is one of our resources.
    pub(crate) fn is_ours(&self, kind: &str) -> bool {
        self.api_version() == velocity_contract::API_VERSION && self.kind() == kind
    }

    /// A failure about the value at a path.
    pub(crate) fn failure(&self, path: &str, message: &str) -> Failure {
        Failure::usage(format!("{}:{}: {message}", self.file, self.line(path)))
    }

    /// An error unless it has what every resource has.
    pub(crate) fn expect_resource(&self) -> Outcome {
        for (missing, path) in [
            (self.api_version().is_empty(), "apiVersion"),
            (self.kind().is_empty(), "kind"),
            (self.name().is_empty(), "metadata.name"),
        ] {
            if missing {
                return Err(self.failure(path, &format!("a resource needs {path}")));
            }
        }
        Ok(())
    }
}
