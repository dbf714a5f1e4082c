//! Signing in without a browser of our own (RFC 8628): a person opens an address elsewhere and types a code.

mod pace;
mod provider;
mod stored;

use std::path::Path;

use jiff::Timestamp;

use crate::config::{Oidc, private_file};
use crate::failure::{Exit, Failure, Outcome};

pub(crate) use pace::Pace;
pub(crate) use provider::Provider;
pub(crate) use stored::Tokens;

/// What a person needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// Where to go.
    pub(crate) uri: String,
    /// The same with the code in it.
    pub(crate) whole_uri: Option<String>,
    /// What to type there.
    pub(crate) code: String,
}

/// The provider's ID token, renewed when its time is over.
pub(crate) async fn current(oidc: &Oidc, file: &Path) -> Outcome<String> {
    let tokens = signed_in(file)?;
    if !tokens.is_over(Timestamp::now()) {
        return Ok(tokens.id_token);
    }
    // One process renews: a refresh token is often good for one use, and a second one looks like a theft.
    let _lock = private_file::lock(file)
        .map_err(|error| Failure::failed(format!("{} cannot be locked: {error}", file.display())))?;
    let tokens = signed_in(file)?;
    if !tokens.is_over(Timestamp::now()) {
        return Ok(tokens.id_token);
    }
    let Some(refresh) = &tokens.refresh_token else { return Err(over("your sign-in has expired")) };
    let renewed = Provider::find(oidc).await?.renew(refresh).await?.after(&tokens);
    renewed.write(file)?;
    Ok(renewed.id_token)
}

fn signed_in(file: &Path) -> Outcome<Tokens> {
    Tokens::read(file)?.ok_or_else(|| over("you are not signed in"))
}

/// A failure that a new sign-in mends.
fn over(what: &str) -> Failure {
    Failure::new(Exit::Denied, what).with_help("`velocity auth login` signs in")
}
