//! Finding an installed Postgres.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::OLDEST_MAJOR;
use crate::account::Account;
use crate::error::Error;
use crate::options::Options;

/// The version of a Postgres installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// 15 of `15.18`: clusters are good for one major version.
    pub major: u32,
    /// As the program prints it, for instance `15.18`.
    pub text: String,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A folder with programs that run.
#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    pub(crate) dir: PathBuf,
    pub(crate) version: Version,
}

impl Binaries {
    pub(crate) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    pub(crate) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }
}

/// What a search came to.
pub(crate) enum Search {
    Found(Binaries),
    /// One line for each place that had something unusable.
    Missing(String),
}

/// The first usable installation in the documented order, of the cluster's major version when there is one.
pub(crate) fn find(options: &Options, account: &Account, major: Option<u32>) -> Result<Search, Error> {
    if let Some(dir) = &options.bin_dir {
        return match inspect(dir, account, None) {
            Ok(binaries) if major.is_none_or(|major| major == binaries.version.major) => {
                Ok(Search::Found(binaries))
            }
            Ok(binaries) => Ok(Search::Missing(line(dir, &format!("is Postgres {}", binaries.version)))),
            Err(reason) => Err(Error::BadBinDir { dir: dir.clone(), reason }),
        };
    }
    let mut rejected = Vec::new();
    let system = options.search_system.then_some(Path::new("/"));
    for dir in candidates(system, options.search_path.as_deref()) {
        match inspect(&dir, account, major) {
            Ok(binaries) => return Ok(Search::Found(binaries)),
            Err(reason) => rejected.push(line(&dir, &reason)),
        }
    }
    if rejected.is_empty() {
        rejected.push("  Looked for it in PATH and where the common packages put it.".to_owned());
    }
    Ok(Search::Missing(rejected.join("\n")))
}

fn line(dir: &Path, reason: &str) -> String {
    format!("  {}: {reason}", dir.display())
}

/// Whether `dir` holds programs that the account can run, of a version that will do.
pub(crate) fn inspect(dir: &Path, account: &Account, major: Option<u32>) -> Result<Binaries, String> {
    let postgres = dir.join("postgres");
    for program in [&postgres, &dir.join("initdb")] {
        if !program.is_file() {
            return Err(format!("has no file {}", program.display()));
        }
    }
    // A link on PATH stands for the folder that it points into: the programs find their files from there.
    let postgres = postgres.canonicalize().map_err(|error| error.to_string())?;
    let dir = postgres.parent().unwrap_or(dir).to_owned();
    if let Some(blocked_by) = account.barred_from(&dir) {
        return Err(format!("the user `{}` cannot enter {}", account.name, blocked_by.display()));
    }
    let output = account
        .command(&postgres)
        .arg("--version")
        .output()
        .map_err(|error| format!("`postgres --version` does not run: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let Some(version) = parse_version(&said).filter(|_| output.status.success()) else {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`postgres --version` does not run: {} {}", said.trim(), complaint.trim()));
    };
    if version.major < OLDEST_MAJOR {
        return Err(format!("is Postgres {version}; {OLDEST_MAJOR} or later is needed"));
    }
    match major {
        Some(major) if major != version.major => Err(format!("is Postgres {version}")),
        _ => Ok(Binaries { dir, version }),
    }
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` is 15.18, `… 18beta1` is 18beta1.
fn parse_version(output: &str) -> Option<Version> {
    let text = output.split_once("(PostgreSQL) ")?.1.split_whitespace().next()?;
    let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
    Some(Version { major: digits.parse().ok()?, text: text.to_owned() })
}

/// The folders that hold a `postgres`, best first: PATH, the packages of Debian and Red Hat, Homebrew (ARM,
/// Intel, Linux), Postgres.app. Within a kind, the highest version first.
fn candidates(system: Option<&Path>, search_path: Option<&OsStr>) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = search_path
        .map(|path| std::env::split_paths(path).filter(|dir| dir.is_absolute()).collect())
        .unwrap_or_default();
    found.extend(system.map(packaged).unwrap_or_default());
    let mut unique: Vec<PathBuf> = Vec::new();
    for dir in found {
        if dir.join("postgres").is_file() && !unique.contains(&dir) {
            unique.push(dir);
        }
    }
    unique
}

/// Where packages put the programs.
fn packaged(system: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let versioned = [
        ("usr/lib/postgresql", ""),
        ("usr", "pgsql-"),
        ("opt/homebrew/opt", "postgresql@"),
        ("usr/local/opt", "postgresql@"),
        ("home/linuxbrew/.linuxbrew/opt", "postgresql@"),
        ("Applications/Postgres.app/Contents/Versions", ""),
    ];
    for (parent, prefix) in versioned {
        found.extend(versions_in(&system.join(parent), prefix).into_iter().map(|dir| dir.join("bin")));
    }
    for dir in ["opt/homebrew/bin", "usr/local/bin", "home/linuxbrew/.linuxbrew/bin"] {
        found.push(system.join(dir));
    }
    found
}

/// The folders `PREFIX<number>` in `parent`, the highest number first.
fn versions_in(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut numbered: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((number, entry.path()))
        })
        .collect();
    numbered.sort_by(|a, b| b.cmp(a));
    numbered.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_the_packages_print() {
        let major = |text: &str| parse_version(text).map(|v| (v.major, v.text));
        assert_eq!(
            major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some((15, "15.18".to_owned()))
        );
        assert_eq!(major("postgres (PostgreSQL) 18beta1"), Some((18, "18beta1".to_owned())));
        assert_eq!(major("pg_wrapper 5"), None);
        assert_eq!(major(""), None);
    }

    #[test]
    fn the_path_comes_first_and_a_higher_version_before_a_lower_one() {
        let system = tempfile::tempdir().unwrap();
        let root = system.path();
        let dirs = [
            "usr/lib/postgresql/9/bin",
            "usr/lib/postgresql/15/bin",
            "usr/lib/postgresql/17/bin",
            "usr/pgsql-16/bin",
            "opt/homebrew/opt/postgresql@18/bin",
            "opt/homebrew/bin",
            "Applications/Postgres.app/Contents/Versions/17/bin",
            "somewhere",
        ];
        for dir in dirs {
            fs::create_dir_all(root.join(dir)).unwrap();
            fs::write(root.join(dir).join("postgres"), "").unwrap();
        }
        fs::create_dir_all(root.join("usr/lib/postgresql/18/bin")).unwrap();
        let path = std::env::join_paths([root.join("empty"), root.join("somewhere")]).unwrap();

        let found: Vec<String> = candidates(Some(root), Some(&path))
            .iter()
            .map(|dir| dir.strip_prefix(root).unwrap().display().to_string())
            .collect();

        assert_eq!(
            found,
            [
                "somewhere",
                "usr/lib/postgresql/17/bin",
                "usr/lib/postgresql/15/bin",
                "usr/lib/postgresql/9/bin",
                "usr/pgsql-16/bin",
                "opt/homebrew/opt/postgresql@18/bin",
                "Applications/Postgres.app/Contents/Versions/17/bin",
                "opt/homebrew/bin",
            ]
        );
    }
}
