//! Which config file is in effect.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome};

/// The file's place inside a folder.
const IN_FOLDER: &str = ".velocity/config.yaml";

/// The file to read, and to write to: the one that was named, else the first that exists, else the one at home.
pub(super) fn config_path(named: Option<&Path>) -> Outcome<PathBuf> {
    let environment = variable("VELOCITY_CONFIG").map(PathBuf::from);
    if let Some(path) = named.map(Path::to_owned).or(environment) {
        return Ok(path);
    }
    let here = PathBuf::from(".").join(IN_FOLDER);
    if here.exists() {
        return Ok(here);
    }
    home().map(|home| home.join(IN_FOLDER)).ok_or_else(|| {
        Failure::usage("there is no home directory to keep a config in")
            .with_help("name a file with --config")
    })
}

fn home() -> Option<PathBuf> {
    variable("HOME").or_else(|| variable("USERPROFILE")).map(PathBuf::from)
}

/// A variable that is set to something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
