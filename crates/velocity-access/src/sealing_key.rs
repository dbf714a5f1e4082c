//! The installation's key for what leaves the process and must come back unread and unchanged.

use std::fmt;

/// 32 random bytes of the installation. Every replica has the same ones.
#[derive(Clone)]
pub struct SealingKey([u8; 32]);

impl SealingKey {
    /// The key with these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A new key, for an installation of one process and for tests.
    ///
    /// Where the operating system gives no random bytes the process ends: nothing here would be safe.
    pub fn random() -> Self {
        let mut bytes = [0; 32];
        if aws_lc_rs::rand::fill(&mut bytes).is_err() {
            std::process::abort();
        }
        Self(bytes)
    }

    /// The bytes, to derive keys from.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(…)")
    }
}
