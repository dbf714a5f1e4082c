//! `velocity context current`.

use serde_json::json;

use crate::failure::Outcome;
use crate::output::table::Table;
use crate::session::Session;

pub(super) fn run(session: &Session) -> Outcome {
    let path = session.config()?.path.display().to_string();
    let context = session.context()?;
    let kubeconfig = context.kubeconfig.as_ref().map(|path| path.display().to_string());
    if session.out.is_structured() {
        return session.out.serialized(&json!({
            "name": context.name, "server": context.server, "kubeconfig": kubeconfig, "config": path,
        }));
    }
    if session.out.format == Some(crate::output::format::Format::Name) {
        return session.out.line(&context.name);
    }
    let mut table = Table::pairs();
    table.row(["name", &*context.name]);
    table.row(["server", &*context.server]);
    table.row(["kubeconfig", kubeconfig.as_deref().unwrap_or("kubectl's")]);
    table.row(["config", &*path]);
    session.out.table(&table)
}
