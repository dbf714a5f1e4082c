//! `velocity auth revoke`, `revocations` and `restore`: shutting credentials out before their time, for everybody.

use http::Method;
use jiff::Timestamp;
use velocity_contract::administration::{Revocation, RevocationKind, RevocationRequest};
use velocity_contract::page::Data;

use crate::commands::options::End;
use crate::failure::{Failure, Outcome};
use crate::output::format::Format;
use crate::output::table::Table;
use crate::server::{Reply, Request, segment};
use crate::session::Session;

/// The route of all revocations.
const REVOCATIONS: &str = "/platform/revocations";

/// What is shut out.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// Everything that an actor comes with
    Actor,
    /// One token, by its id (jti)
    Token,
    /// One session, by its id
    Session,
    /// One API key, by its id
    Key,
}

impl From<Kind> for RevocationKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Actor => Self::Actor,
            Kind::Token => Self::Token,
            Kind::Session => Self::Session,
            Kind::Key => Self::Key,
        }
    }
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "In force everywhere within two seconds, until it expires or is lifted with `velocity auth restore ID`.\n\
                  `velocity auth whoami` shows the id of the credential in use; `velocity revoke` takes roles back instead.\n\n\
                  Examples:\n  \
                  velocity auth revoke actor ravi --reason 'laptop stolen'\n  \
                  velocity auth revoke token 0197… --reason 'in a log' --expires 24h"
)]
pub(crate) struct Revoke {
    /// What: an actor, a token, a session or a key
    kind: Kind,
    /// The actor's name, or the id
    value: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// When it ends by itself: a while, such as 24h, or a time [default: never]
    #[arg(long, value_name = "WHEN")]
    expires: Option<End>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    /// Id of the revocation, as `velocity auth revocations` shows it
    id: String,
}

pub(super) async fn revoke(session: &Session, args: &Revoke) -> Outcome {
    let kind = RevocationKind::from(args.kind);
    let body = RevocationRequest {
        kind: kind.as_str().to_owned(),
        value: args.value.clone(),
        reason: args.reason.clone(),
        expires_at: args.expires.map(|end| end.time(Timestamp::now())).transpose()?,
    };
    let body = serde_json::to_string(&body)
        .map_err(|error| Failure::failed(format!("the request cannot be written: {error}")))?;
    let reply = session.server()?.send(&Request::new(Method::POST, REVOCATIONS).json(body)).await?;
    if session.out.is_structured() {
        return session.out.value(&reply.data()?);
    }
    let made: Revocation = read(&reply)?;
    if session.out.format == Some(Format::Name) {
        return session.out.line(&made.id);
    }
    let end = made.expires_at.map_or_else(String::new, |end| format!(" until {end}"));
    session.out.said(&format!("{} {} revoked{end}", kind.as_str(), made.value))?;
    session.out.note(&format!("`velocity auth restore {}` lifts it", made.id));
    Ok(())
}

pub(super) async fn list(session: &Session) -> Outcome {
    let reply = session.server()?.send(&Request::get(REVOCATIONS)).await?;
    if session.out.is_structured() {
        return session.out.value(&reply.data()?);
    }
    let all: Vec<Revocation> = read(&reply)?;
    if session.out.format == Some(Format::Name) {
        return all.iter().try_for_each(|one| session.out.line(&one.id));
    }
    if all.is_empty() {
        session.out.note("nothing is revoked");
        return Ok(());
    }
    let mut table = Table::new(["ID", "KIND", "VALUE", "REASON", "SINCE", "BY", "UNTIL"]);
    for one in &all {
        let until = one.expires_at.as_deref().unwrap_or("no end");
        table.row([
            &*one.id,
            one.kind.as_str(),
            &one.value,
            &one.reason,
            &one.created_at,
            &one.created_by,
            until,
        ]);
    }
    session.out.table(&table)
}

pub(super) async fn restore(session: &Session, args: &Restore) -> Outcome {
    let route = format!("{REVOCATIONS}/{}", segment(&args.id));
    session.server()?.send(&Request::new(Method::DELETE, route)).await?;
    session.out.said(&format!("revocation {} lifted", args.id))
}

fn read<T: serde::de::DeserializeOwned>(reply: &Reply) -> Outcome<T> {
    serde_json::from_slice::<Data<T>>(&reply.body)
        .map(|body| body.data)
        .map_err(|error| Failure::failed(format!("the server's answer cannot be read: {error}")))
}
