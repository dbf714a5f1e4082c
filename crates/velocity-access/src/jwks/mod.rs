//! The keys of issuers: parsing one key, finding the right one, fetching published sets.

mod key;
mod remote;

use serde_json::Value;
use velocity_contract::auth_strategy::JwtAlgorithm;

pub(crate) use key::Key;
pub(crate) use remote::RemoteKeys;
pub use remote::{KeySourceStatus, RemoteKeySettings};

/// Most keys of one set. Issuers publish two or three; during a migration a few more.
pub(crate) const MAX_KEYS: usize = 64;

/// The usable keys of one issuer.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    pub(crate) fn new(keys: Vec<Key>) -> Self {
        Self { keys }
    }

    /// The usable keys of a published set, and how many others it has. A bad key hurts only itself; secrets (`oct`) are
    /// never taken from a published set, or anyone who can read it could sign.
    pub(crate) fn from_published(document: &[Value]) -> (Self, usize) {
        let mut keys: Vec<Key> = Vec::new();
        let parsed = document.iter().take(MAX_KEYS).filter_map(Value::as_object).map(Key::parse);
        for key in parsed.filter_map(Result::ok).filter(|key| !key.is_secret()) {
            if key.kid().is_none() || keys.iter().all(|earlier| earlier.kid() != key.kid()) {
                keys.push(key);
            }
        }
        let skipped = document.len() - keys.len();
        (Self { keys }, skipped)
    }

    /// The key that a token's header names. Without a `kid` there must be exactly one key that fits.
    pub(crate) fn find(&self, kid: Option<&str>, algorithm: JwtAlgorithm) -> Option<&Key> {
        let mut fitting = self.keys.iter().filter(|key| key.fits(algorithm));
        match kid {
            Some(kid) => fitting.find(|key| key.kid() == Some(kid)).or_else(|| self.only_nameless(algorithm)),
            None => fitting.next().filter(|_| fitting.next().is_none()),
        }
    }

    /// A set of a single key without a `kid` serves tokens whatever they call it.
    fn only_nameless(&self, algorithm: JwtAlgorithm) -> Option<&Key> {
        match self.keys.as_slice() {
            [key] if key.kid().is_none() && key.fits(algorithm) => Some(key),
            _ => None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}
