//! Finding programs, or saying what to install.

use std::fs;
use std::path::Path;

use velocity_localpg::{Error, LocalPostgres, Options};

use crate::folder::Folder;
use crate::process::install;

/// Options that find nothing that is really installed.
fn isolated(folder: &Folder) -> Options {
    Options { bin_dir: None, search_path: None, search_system: false, ..folder.options() }
}

/// Programs that only know their version.
fn fake_installation(dir: &Path, version: &str) {
    fs::create_dir_all(dir).unwrap();
    for name in ["postgres", "initdb"] {
        script(&dir.join(name), &format!("echo 'postgres (PostgreSQL) {version}'"));
    }
}

fn script(program: &Path, commands: &str) {
    let source = program.with_extension("source");
    fs::write(&source, format!("#!/bin/sh\n{commands}\n")).unwrap();
    install(&source, program);
}

#[tokio::test]
async fn offline_without_a_postgres_says_what_to_install() {
    let folder = Folder::new();
    let error = LocalPostgres::start(isolated(&folder)).await.err().unwrap();
    assert!(matches!(error, Error::NotInstalled { .. }), "{error}");
    assert!(error.to_string().contains("Install it: `"), "{error}");
}

#[tokio::test]
async fn a_postgres_that_is_too_old_is_named_with_its_version() {
    let folder = Folder::new();
    let old = folder.path().join("old");
    fake_installation(&old, "14.9");
    let options = Options { search_path: Some(old.clone().into()), ..isolated(&folder) };
    let error = LocalPostgres::start(options).await.err().unwrap().to_string();
    assert!(error.contains(old.to_str().unwrap()), "{error}");
    assert!(error.contains("is Postgres 14.9; 15 or later is needed"), "{error}");
}

#[tokio::test]
async fn a_named_folder_that_is_no_installation_is_an_error_and_not_passed_over() {
    let folder = Folder::new();
    for (dir, reason) in [("empty", "has no file"), ("broken", "does not run")] {
        let dir = folder.path().join(dir);
        fs::create_dir(&dir).unwrap();
        if dir.ends_with("broken") {
            fake_installation(&dir, "15.1");
            script(&dir.join("postgres"), "echo no >&2; exit 1");
        }
        let options = Options { bin_dir: Some(dir), search_system: true, ..isolated(&folder) };
        let error = LocalPostgres::start(options).await.err().unwrap();
        assert!(matches!(error, Error::BadBinDir { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn what_initdb_complains_about_is_quoted() {
    let folder = Folder::new();
    let bin = folder.path().join("bin");
    fake_installation(&bin, "15.1");
    script(&bin.join("initdb"), "echo 'initdb: error: no space left' >&2; exit 3");
    let options = Options { bin_dir: Some(bin), ..isolated(&folder) };
    let error = LocalPostgres::start(options).await.err().unwrap();
    assert!(matches!(error, Error::Initdb { .. }), "{error}");
    assert!(error.to_string().contains("no space left"), "{error}");
    assert!(!folder.data_dir().join("data.unfinished").exists());
}
