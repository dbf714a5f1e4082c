//! `endpoints.json`: where everything is, for scripts and tests; there only while everything serves.

use std::path::PathBuf;

use serde::Serialize;

use super::folder::Folder;

const FILE: &str = "endpoints.json";

/// Removes what a killed process left, so that nobody reads of servers that are gone.
pub(crate) fn forget(folder: &Folder) {
    let _ = std::fs::remove_file(folder.join(FILE));
}

/// Where everything is.
#[derive(Debug, Serialize)]
pub(crate) struct Endpoints {
    pub(crate) api: String,
    pub(crate) kubernetes: String,
    pub(crate) metrics: String,
    pub(crate) postgres: String,
    pub(crate) pid: u32,
}

/// Removes the file when dropped.
pub(crate) struct Written(PathBuf);

impl Endpoints {
    /// Writes the file; it can hold a password, so it is its owner's alone.
    pub(crate) fn write(&self, folder: &Folder) -> anyhow::Result<Written> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        Ok(Written(folder.write_secret(FILE, &text)?))
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
