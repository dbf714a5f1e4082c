//! From the registry to a file, whose checksum is right.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha512};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use super::cache_error;
use crate::error::DownloadError;
use crate::options::{Progress, ProgressReport};

const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// Between two pieces of the answer.
const NEXT_BYTES_WITHIN: Duration = Duration::from_secs(30);

pub(super) struct Artifact<'a> {
    pub(super) url: String,
    /// In base64.
    pub(super) sha512: &'a str,
    /// Bytes.
    pub(super) limit: u64,
}

/// Writes the artifact to `file`. What is there after an error is not to be used.
pub(super) async fn download(
    artifact: &Artifact<'_>,
    file: &Path,
    progress: &ProgressReport,
) -> Result<(), DownloadError> {
    let url = &artifact.url;
    let unreachable = |source| DownloadError::Unreachable { url: url.clone(), source: Box::new(source) };
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT_WITHIN)
        .read_timeout(NEXT_BYTES_WITHIN)
        .build()
        .map_err(unreachable)?;
    let response = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let mut response = response.map_err(unreachable)?;
    let total = response.content_length();
    let mut output = File::create(file).await.map_err(cache_error("create", file))?;
    let mut digest = Sha512::new();
    let mut received = 0;
    while let Some(bytes) = response.chunk().await.map_err(unreachable)? {
        received += bytes.len() as u64;
        if received > artifact.limit {
            return Err(DownloadError::TooLong { url: url.clone(), limit: artifact.limit });
        }
        digest.update(&bytes);
        output.write_all(&bytes).await.map_err(cache_error("write", file))?;
        progress.report(Progress::Downloading { received, total });
    }
    output.flush().await.map_err(cache_error("write", file))?;
    let actual = STANDARD.encode(digest.finalize());
    if actual == artifact.sha512 {
        Ok(())
    } else {
        Err(DownloadError::ChecksumMismatch {
            url: url.clone(),
            expected: artifact.sha512.to_owned(),
            actual,
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one request.
    async fn serve(response: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(response).await.unwrap();
        });
        format!("http://{address}/a.tgz")
    }

    const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
    /// `printf hello | openssl dgst -sha512 -binary | base64`
    const OF_HELLO: &str =
        "m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==";

    async fn get(response: &'static [u8], sha512: &str, limit: u64) -> Result<Vec<u8>, DownloadError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.tgz");
        let artifact = Artifact { url: serve(response).await, sha512, limit };
        download(&artifact, &file, &ProgressReport::silent()).await?;
        Ok(std::fs::read(file).unwrap())
    }

    #[tokio::test]
    async fn what_has_the_pinned_checksum_is_taken() {
        assert_eq!(get(HELLO, OF_HELLO, 5).await.unwrap(), b"hello");
    }

    #[tokio::test]
    async fn an_archive_that_was_tampered_with_is_refused_with_both_checksums() {
        let other = OF_HELLO.replace('m', "n");
        let error = get(HELLO, &other, 5).await.unwrap_err();
        assert!(matches!(&error, DownloadError::ChecksumMismatch { actual, .. } if actual == OF_HELLO));
        assert!(error.to_string().contains(&other));
    }

    #[tokio::test]
    async fn an_endless_answer_is_cut_off() {
        let error = get(HELLO, OF_HELLO, 4).await.unwrap_err();
        assert!(matches!(error, DownloadError::TooLong { limit: 4, .. }));
    }

    #[tokio::test]
    async fn a_missing_package_and_a_broken_connection_are_errors() {
        let missing = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        let broken = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nhello";
        for response in [missing.as_slice(), broken.as_slice()] {
            let error = get(response, OF_HELLO, 100).await.unwrap_err();
            assert!(matches!(error, DownloadError::Unreachable { .. }), "{error}");
        }
    }
}
