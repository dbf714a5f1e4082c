//! Keys as people read them.

use velocity_contract::administration::{ApiKey, ApiKeyCreated, ApiKeyStatus};
use velocity_contract::page::Data;

use super::scope;
use crate::commands::options::attribute_words;
use crate::failure::{Failure, Outcome};
use crate::output::format::Format;
use crate::output::style::Color;
use crate::output::table::Table;
use crate::server::Reply;
use crate::session::Session;

/// A key that was just made, with the key itself.
pub(super) fn made(session: &Session, reply: &Reply) -> Outcome {
    let body: Data<ApiKeyCreated> = serde_json::from_slice(&reply.body)
        .map_err(|error| Failure::failed(format!("the server's answer cannot be read: {error}")))?;
    let made = body.data;
    match &session.out.format {
        Some(format) if format.is_structured() => session.out.value(&reply.data()?)?,
        Some(Format::Name) => session.out.line(&made.key)?,
        _ => session.out.table(&pairs(&made))?,
    }
    session.out.note("keep the key now: it is not shown again");
    Ok(())
}

fn pairs(made: &ApiKeyCreated) -> Table {
    let key = &made.listed;
    let mut table = Table::pairs();
    table.row(["id", key.id.as_str()]);
    table.row(["key", made.key.as_str()]);
    if let Some(name) = &key.name {
        table.row(["name", name.as_str()]);
    }
    table.row(["actor", key.actor.as_str()]);
    table.row(["roles", &roles(key)]);
    if !key.attributes.is_empty() {
        table.row(["attributes", &attribute_words(&key.attributes)]);
    }
    table.row(["scopes", &scopes(key)]);
    table.row(["expires", key.expires_at.as_deref().unwrap_or("never")]);
    table
}

/// Keys, one a row.
pub(super) fn table(session: &Session, keys: &[ApiKey]) -> Table {
    let wide = session.out.is_wide();
    let mut header = vec!["ID", "NAME", "ACTOR", "ROLES", "SCOPES", "STATUS", "EXPIRES", "LAST USED"];
    if wide {
        header.extend(["FROM", "ATTRIBUTES", "CREATED", "BY"]);
    }
    let mut table = Table::new(header);
    for key in keys {
        let mut cells = vec![
            key.id.clone(),
            key.name.clone().unwrap_or_default(),
            key.actor.clone(),
            roles(key),
            scopes(key),
            status(session.out.color, key),
            key.expires_at.clone().unwrap_or_else(|| "never".to_owned()),
            key.last_used_at.clone().unwrap_or_else(|| "never".to_owned()),
        ];
        if wide {
            cells.extend([
                key.last_used_ip.clone().unwrap_or_default(),
                attribute_words(&key.attributes),
                key.created_at.clone(),
                key.created_by.clone(),
            ]);
        }
        table.row(cells);
    }
    table
}

fn status(color: Color, key: &ApiKey) -> String {
    match key.status {
        ApiKeyStatus::Active => color.green("active"),
        ApiKeyStatus::Rotated => {
            let end = key.ends_at.as_deref().map_or_else(String::new, |end| format!(", ends {end}"));
            color.yellow(&format!("rotated{end}"))
        }
        ApiKeyStatus::Expired => color.dim("expired"),
        ApiKeyStatus::Revoked => color.red("revoked"),
    }
}

fn roles(key: &ApiKey) -> String {
    key.roles.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn scopes(key: &ApiKey) -> String {
    if key.scopes.is_empty() {
        "everything".to_owned()
    } else {
        key.scopes.iter().map(scope::words).collect::<Vec<_>>().join(" ")
    }
}
