//! `velocity auth whoami`.

use velocity_contract::auth::CredentialKind;
use velocity_contract::listing::WhoAmI;
use velocity_contract::page::Data;

use crate::failure::{Failure, Outcome};
use crate::output::format::Format;
use crate::output::table::Table;
use crate::server::Request;
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Under this AuthStrategy: NAMESPACE/NAME [default: the installation's]
    #[arg(long, value_name = "STRATEGY")]
    strategy: Option<String>,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let mut request = Request::get("/auth/whoami");
    if let Some(strategy) = &args.strategy {
        request = request.query("strategy", strategy.as_str());
    }
    let reply = session.server()?.send(&request).await?;
    if session.out.is_structured() {
        return session.out.value(&reply.data()?);
    }
    let who = serde_json::from_slice::<Data<WhoAmI>>(&reply.body)
        .map_err(|error| Failure::failed(format!("the server's answer cannot be read: {error}")))?
        .data;
    if session.out.format == Some(Format::Name) {
        return session.out.line(&who.actor);
    }
    let mut table = Table::pairs();
    table.row(["actor", &format!("{} ({})", who.actor, who.actor_type)]);
    table.row(["roles", &who.roles.join(", ")]);
    for (name, value) in &who.attributes {
        table.row([
            format!("attribute {name}"),
            value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        ]);
    }
    if let Some(kind) = who.credential {
        let kind = match kind {
            CredentialKind::Token => "token",
            CredentialKind::Session => "session",
            CredentialKind::Key => "API key",
        };
        let id = who.credential_id.as_ref().map_or_else(String::new, |id| format!(" {id}"));
        table.row(["credential", &format!("{kind}{id}")]);
    }
    table.row(["strategy", &who.strategy]);
    table.row(["expires", who.expires_at.as_deref().unwrap_or("never")]);
    session.out.table(&table)
}
