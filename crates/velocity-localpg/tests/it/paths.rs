//! Data directories with names that something on the way could trip over.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::process::Command;

use velocity_localpg::{Error, LocalPostgres};

use crate::folder::{Folder, options, owner_url, text};

/// Two starts in that folder, each reached with tokio-postgres and, where there is one, with psql.
async fn works_in(data_dir: PathBuf) {
    for _ in 0..2 {
        let postgres = LocalPostgres::start(options(data_dir.clone())).await.unwrap();
        let url = owner_url(&postgres);
        assert_eq!(text(&url, "select 'reached'").await, "reached", "{}", data_dir.display());
        let psql = postgres.bin_dir().join("psql");
        if psql.exists() {
            let output = Command::new(psql).args(["-XAtc", "select 'reached'", &url]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "reached", "{output:?}");
        }
        postgres.stop().await.unwrap();
    }
}

#[tokio::test]
async fn spaces_quotes_and_signs_in_the_path_do_not_matter() {
    let folder = Folder::new();
    for name in ["with space", "it's", "say \"x\"", "$HOME `id` %41 & # ? = +", "naïve ünïcode", "-dash"] {
        works_in(folder.path().join(name)).await;
    }
}

#[tokio::test]
async fn paths_that_no_socket_can_have_get_one_elsewhere() {
    let folder = Folder::new();
    works_in(folder.path().join("a,b")).await;
    works_in(folder.path().join("x".repeat(120))).await;
    works_in(folder.path().join("y".repeat(200)).join("z".repeat(200))).await;
    works_in(folder.path().join(OsStr::from_bytes(b"\xff\xfe"))).await;
}

#[tokio::test]
async fn the_borrowed_socket_folder_is_private_and_goes_when_the_server_stops() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = Folder::new();
    let data_dir = folder.path().join("x".repeat(120));
    let postgres = LocalPostgres::start(options(data_dir)).await.unwrap();
    let socket_dir = postgres.socket_dir().to_owned();
    assert!(!socket_dir.starts_with(folder.path()));
    assert_eq!(socket_dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    postgres.stop().await.unwrap();
    assert!(!socket_dir.exists());
}

#[tokio::test]
async fn a_relative_data_directory_is_taken_from_the_current_folder() {
    let folder = Folder::new();
    let here = std::env::current_dir().unwrap();
    let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
    let relative = up.join(folder.path().strip_prefix("/").unwrap()).join("pg");
    works_in(relative).await;
    assert!(folder.data_dir().join("data").exists());
}

#[tokio::test]
async fn a_line_break_in_the_path_which_initdb_refuses_is_refused_first() {
    let folder = Folder::new();
    let data_dir = folder.path().join("new\nline");
    let error = LocalPostgres::start(options(data_dir.clone())).await.err().unwrap();
    assert!(matches!(error, Error::BadDataDir { .. }), "{error}");
    assert!(!data_dir.exists());
}
