//! `velocity auth logout`: ends the session where it is kept, and forgets it here.

use std::path::Path;

use http::Method;
use velocity_contract::auth::{Logout, SESSION_TOKEN_PREFIX};
use velocity_contract::page::Data;

use crate::config::{Credential, Oidc, private_file};
use crate::failure::{Exit, Failure, Outcome};
use crate::server::Request;
use crate::session::Session;
use crate::sign_in::{Provider, Tokens};

pub(super) async fn run(session: &Session) -> Outcome {
    let context = session.context()?;
    let file = session.config()?.sign_in_file(context);
    if !file.exists() {
        return session.out.said("you are not signed in");
    }
    match context.credential(&file)? {
        Credential::Oidc { provider, file } => at_provider(session, &provider, &file).await,
        Credential::Bearer(token)
            if token.starts_with(SESSION_TOKEN_PREFIX) && context.token_file.is_some() =>
        {
            at_server(session, &file).await
        }
        _ => {
            let message = format!(
                "context `{}` has a credential that no sign-in gave: there is no session to end",
                context.name
            );
            Err(Failure::usage(message)
                .with_help("`velocity auth revoke token ID` ends a token for everybody, `velocity context remove` forgets it here"))
        }
    }
}

async fn at_server(session: &Session, file: &Path) -> Outcome {
    let reply = session.server()?.send(&Request::new(Method::POST, "/auth/logout")).await;
    match reply {
        Ok(reply) => {
            forget(file)?;
            session.out.said("signed out")?;
            let body = serde_json::from_slice::<Data<Logout>>(&reply.body).ok();
            if let Some(place) = body.and_then(|body| body.data.provider_logout_url) {
                let place: String = place.chars().filter(|c| !c.is_control()).collect();
                session.out.note(&format!("to sign out at the provider too, open {place}"));
            }
            Ok(())
        }
        // It has ended already, by itself or by somebody's word.
        Err(failure) if failure.exit() == Some(Exit::Denied) => {
            forget(file)?;
            session.out.said("signed out: the session had ended already")
        }
        Err(failure) => Err(still_there(failure, file)),
    }
}

/// A session that could not be ended is not forgotten: it would go on without anybody who knows of it.
fn still_there(failure: Failure, file: &Path) -> Failure {
    if failure.exit() == Some(Exit::Unavailable) {
        failure.with_help(format!(
            "try again later; removing {} forgets the sign-in on this machine only",
            file.display()
        ))
    } else {
        failure
    }
}

async fn at_provider(session: &Session, provider: &Oidc, file: &Path) -> Outcome {
    let refresh = Tokens::read(file)?.and_then(|tokens| tokens.refresh_token);
    let has_ended = match refresh {
        Some(refresh) => ended(provider, &refresh).await.map_err(|failure| still_there(failure, file))?,
        None => false,
    };
    forget(file)?;
    let rest = if has_ended { "" } else { "; the token that you had works until it expires" };
    session.out.said(&format!("signed out{rest}"))
}

async fn ended(provider: &Oidc, refresh_token: &str) -> Outcome<bool> {
    Provider::find(provider).await?.revoke(refresh_token).await
}

fn forget(file: &Path) -> Outcome {
    private_file::remove(file)
        .map(|_| ())
        .map_err(|error| Failure::failed(format!("{} cannot be removed: {error}", file.display())))
}
