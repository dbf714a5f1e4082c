//! The token out of the `Authorization` header, without copying it.

use crate::error::{AuthError, TokenRefusal};

/// Longest token in bytes. Larger ones do not get through usual proxies either.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The token of the one `Authorization: Bearer` header. The values are those of all Authorization headers of the
/// request, so that a second one cannot be overlooked.
pub(crate) fn token<'h>(values: impl IntoIterator<Item = &'h [u8]>) -> Result<&'h [u8], AuthError> {
    let mut values = values.into_iter();
    let header = values.next().ok_or(AuthError::Required)?;
    if values.next().is_some() {
        return Err(TokenRefusal::Ambiguous.into());
    }
    let header = header.trim_ascii();
    if header.is_empty() {
        return Err(AuthError::Required);
    }
    let scheme_end = header.iter().position(|b| *b == b' ').unwrap_or(header.len());
    let (scheme, rest) = header.split_at(scheme_end);
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(TokenRefusal::NotBearer.into());
    }
    let token = rest.trim_ascii_start();
    if token.is_empty() {
        return Err(AuthError::Required);
    }
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenRefusal::TooLong.into());
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(header: &str) -> Result<&[u8], AuthError> {
        token([header.as_bytes()])
    }

    #[test]
    fn the_scheme_is_taken_in_any_case() {
        for header in ["Bearer abc", "bearer abc", "BEARER  abc ", " Bearer abc"] {
            assert_eq!(one(header), Ok(b"abc".as_slice()), "{header}");
        }
    }

    #[test]
    fn no_credential_is_told_from_a_wrong_one() {
        assert_eq!(token([]), Err(AuthError::Required));
        for header in ["", "   ", "Bearer", "Bearer   "] {
            assert_eq!(one(header), Err(AuthError::Required), "{header}");
        }
        for header in ["Basic dXNlcjpwYXNz", "abc", "Bearerabc", "Bearer\tabc"] {
            assert_eq!(one(header), Err(TokenRefusal::NotBearer.into()), "{header}");
        }
    }

    #[test]
    fn two_headers_are_refused_even_when_they_are_equal() {
        let twice: [&[u8]; 2] = [b"Bearer abc", b"Bearer abc"];
        assert_eq!(token(twice), Err(TokenRefusal::Ambiguous.into()));
    }

    #[test]
    fn sixteen_kib_is_the_longest_token() {
        let at_limit = format!("Bearer {}", "a".repeat(16 * 1024));
        assert!(one(&at_limit).is_ok());
        assert_eq!(one(&format!("{at_limit}a")), Err(TokenRefusal::TooLong.into()));
    }
}
