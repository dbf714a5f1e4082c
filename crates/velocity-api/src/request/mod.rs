//! What a request says, read strictly: an unknown parameter or a misspelt header is an error that names the nearest
//! known one.

pub(crate) mod accept;
pub(crate) mod body;
pub(crate) mod conditional;
pub(crate) mod headers;
pub(crate) mod path;
pub(crate) mod query;
pub(crate) mod reason;
pub(crate) mod request_id;
pub(crate) mod trace;

/// A request that does not say what it wants in the contract's words: `MALFORMED_REQUEST`. The text is for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) String);

impl Malformed {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}
