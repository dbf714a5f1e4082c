//! Connection URLs that both libpq and tokio-postgres understand.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::PORT;

/// `postgres:///DATABASE?host=/SOCKET&port=5432&user=USER`, everything percent-encoded.
///
/// The user is a parameter: before an empty host (`postgres://user@/db`) the two parsers differ.
pub(crate) fn socket_url(socket_dir: &Path, user: &str, database: &str) -> String {
    format!(
        "postgres:///{}?host={}&port={PORT}&user={}",
        percent_encode(database.as_bytes()),
        percent_encode(socket_dir.as_os_str().as_bytes()),
        percent_encode(user.as_bytes()),
    )
}

fn percent_encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => {
                let _infallible = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_the_parts_survives_the_url() {
        let url = socket_url(Path::new("/tmp/a b&c='%/\u{e9}"), "o'neil@x", "my db?");
        assert_eq!(
            url,
            "postgres:///my%20db%3F?host=%2Ftmp%2Fa%20b%26c%3D%27%25%2F%C3%A9&port=5432&user=o%27neil%40x"
        );
        let config: tokio_postgres::Config = url.parse().unwrap();
        assert_eq!(config.get_dbname(), Some("my db?"));
        assert_eq!(config.get_user(), Some("o'neil@x"));
        assert_eq!(config.get_hosts(), [tokio_postgres::config::Host::Unix("/tmp/a b&c='%/\u{e9}".into())]);
    }
}
