//! `velocity context list`.

use serde_json::json;

use crate::failure::Outcome;
use crate::output::format::Format;
use crate::output::table::Table;
use crate::session::Session;

pub(super) fn run(session: &Session) -> Outcome {
    let config = session.config()?;
    let current = config.current_context.as_deref();
    let contexts = &config.contexts;
    if session.out.is_structured() {
        // Tokens are secrets: they are never shown.
        let shown: Vec<_> = contexts
            .iter()
            .map(|c| json!({ "name": c.name, "server": c.server, "kubeconfig": c.kubeconfig, "current": current == Some(&*c.name) }))
            .collect();
        return session.out.serialized(&shown);
    }
    if session.out.format == Some(Format::Name) {
        return contexts.iter().try_for_each(|context| session.out.line(&context.name));
    }
    let mut table = Table::new(["CURRENT", "NAME", "SERVER", "KUBECONFIG"]);
    for context in contexts {
        let mark = if current == Some(&*context.name) { "*" } else { "" };
        let kubeconfig =
            context.kubeconfig.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        table.row([mark, &context.name, &context.server, &kubeconfig]);
    }
    session.out.table(&table)?;
    if contexts.is_empty() {
        session.out.note(&format!(
            "{} has no context yet: `velocity context add NAME --server URL`",
            config.path.display()
        ));
    }
    Ok(())
}
