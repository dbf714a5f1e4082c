//! A provider's tokens, as they are kept on this machine.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::private_file;
use crate::failure::{Failure, Outcome};

/// A token is renewed so long before its end: a request takes its time, and clocks differ.
const EARLY: SignedDuration = SignedDuration::from_secs(30);

/// What a provider gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tokens {
    /// What the server takes us by.
    pub(crate) id_token: String,
    /// What gets another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_token: Option<String>,
}

impl Tokens {
    /// The tokens in a file, where there is one.
    pub(crate) fn read(file: &Path) -> Outcome<Option<Self>> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::failed(format!("{} cannot be read: {error}", file.display()))),
        };
        // The parser's words could show a piece of a token.
        serde_json::from_str(&text).map(Some).map_err(|_| {
            Failure::failed(format!("{} holds no sign-in", file.display()))
                .with_help("`velocity auth login` writes it anew")
        })
    }

    pub(crate) fn write(&self, file: &Path) -> Outcome {
        let text = serde_json::to_string(self)
            .map_err(|error| Failure::failed(format!("the sign-in cannot be written: {error}")))?;
        private_file::write(file, &text)
            .map_err(|error| Failure::failed(format!("{} cannot be written: {error}", file.display())))
    }

    /// What is kept after a renewal: a provider that gives no new refresh token means the old one.
    pub(super) fn after(mut self, old: &Self) -> Self {
        self.refresh_token = self.refresh_token.or_else(|| old.refresh_token.clone());
        self
    }

    /// Whether the ID token's time is over, or as good as; one that does not say has none to keep to.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.end().is_some_and(|end| now.checked_add(EARLY).is_ok_and(|soon| soon >= end))
    }

    /// When the ID token expires.
    pub(crate) fn end(&self) -> Option<Timestamp> {
        let second = self.claims()?["exp"].as_i64()?;
        Timestamp::from_second(second).ok()
    }

    /// Who the ID token is about.
    pub(crate) fn subject(&self) -> Option<String> {
        self.claims()?["sub"].as_str().map(str::to_owned)
    }

    /// What it says; nobody checks its signature here, for nothing is decided by it but when to renew.
    fn claims(&self) -> Option<Value> {
        let payload = self.id_token.split('.').nth(1)?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(claims: &str, refresh: Option<&str>) -> Tokens {
        Tokens {
            id_token: format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims)),
            refresh_token: refresh.map(str::to_owned),
        }
    }

    #[test]
    fn a_token_is_renewed_a_moment_before_its_end() {
        let tokens = tokens(r#"{"exp":1000,"sub":"ravi"}"#, None);
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(!tokens.is_over(at(969)) && tokens.is_over(at(970)) && tokens.is_over(at(2000)));
        assert_eq!(tokens.subject().as_deref(), Some("ravi"));
        let mut opaque = tokens;
        for text in ["opaque", "a.b.c", "a.!.c", ""] {
            opaque.id_token = text.into();
            assert!(!opaque.is_over(at(2000)), "{text}");
        }
    }

    #[test]
    fn the_old_refresh_token_stays_until_there_is_another() {
        let old = tokens("{}", Some("old"));
        assert_eq!(tokens("{}", None).after(&old).refresh_token.as_deref(), Some("old"));
        assert_eq!(tokens("{}", Some("new")).after(&old).refresh_token.as_deref(), Some("new"));
    }

    #[test]
    fn what_is_no_sign_in_is_said_without_showing_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t");
        assert_eq!(Tokens::read(&file).unwrap(), None);
        std::fs::write(&file, "s3cret").unwrap();
        assert!(!Tokens::read(&file).unwrap_err().all().contains("s3cret"));
        let kept = tokens("{}", Some("r"));
        kept.write(&file).unwrap();
        assert_eq!(Tokens::read(&file).unwrap(), Some(kept));
    }
}
