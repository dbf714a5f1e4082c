//! Random secrets: of sessions, against forged requests, of one sign-in.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use velocity_contract::auth::SESSION_TOKEN_PREFIX;

use super::error::SignInError;
use crate::api_key::base62;

/// Letters and digits of 256 bits in base 62.
const DIGITS: usize = 43;

/// Who has the secret of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// A browser, in a cookie.
    Browser,
    /// A program, as a bearer token.
    Program,
}

/// A new secret of a session. Those of browsers and of programs look different, so that neither works in the other's place.
pub(super) fn session_secret(holder: Holder) -> Result<String, SignInError> {
    let digits = base62(random_bytes()?);
    Ok(match holder {
        Holder::Browser => digits,
        Holder::Program => format!("{SESSION_TOKEN_PREFIX}{digits}"),
    })
}

/// Whether a cookie's value can be a session's secret.
pub(super) fn is_browser_secret(text: &[u8]) -> bool {
    text.len() == DIGITS && text.iter().all(u8::is_ascii_alphanumeric)
}

/// Whether a bearer token can be a session's secret; `None`: it is another kind of token.
pub(super) fn is_program_secret(text: &[u8]) -> Option<bool> {
    text.strip_prefix(SESSION_TOKEN_PREFIX.as_bytes()).map(is_browser_secret)
}

/// 256 random bits as text: a state, a nonce, a PKCE verifier (43 characters, RFC 7636 asks for at least 43).
pub(super) fn random_text() -> Result<String, SignInError> {
    random_bytes().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

/// Whether two secrets are equal, in a time that does not depend on where they differ.
pub(super) fn are_equal(a: &[u8], b: &[u8]) -> bool {
    verify_slices_are_equal(a, b).is_ok()
}

fn random_bytes() -> Result<[u8; 32], SignInError> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| {
        tracing::error!("the operating system gave no random bytes");
        SignInError::Fault
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browsers_secret_is_no_programs_secret() {
        let (browser, program) =
            (session_secret(Holder::Browser).unwrap(), session_secret(Holder::Program).unwrap());
        assert!(is_browser_secret(browser.as_bytes()) && !is_browser_secret(program.as_bytes()));
        assert_eq!(is_program_secret(program.as_bytes()), Some(true));
        assert_eq!(is_program_secret(browser.as_bytes()), None);
        assert_eq!(is_program_secret(b"vels_short"), Some(false));
        assert_eq!(is_program_secret(b"vel_live_x"), None);
    }

    #[test]
    fn texts_are_43_characters_and_never_the_same() {
        let (a, b) = (random_text().unwrap(), random_text().unwrap());
        assert_eq!((a.len(), b.len()), (43, 43));
        assert_ne!(a, b);
        assert!(are_equal(a.as_bytes(), a.as_bytes()) && !are_equal(a.as_bytes(), b.as_bytes()));
        assert!(!are_equal(a.as_bytes(), &a.as_bytes()[..42]));
    }
}
