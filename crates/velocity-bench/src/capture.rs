//! What the API really sends to Postgres for a request, read from the log of Postgres itself.
//!
//! Nothing is written by hand, so pgbench runs the very statements that are compared, with the settings before them.

use std::time::Duration;

use anyhow::{Context, ensure};
use tokio_postgres::{Client, NoTls};

use crate::args::Operation;
use crate::http::Connection;
use crate::orders::{Orders, Varying};
use crate::server::Server;

/// Values that occur nowhere else in the request, so that they can be told among the parameters.
const SENTINEL: Varying = Varying { id: 1618, customer: 618, quantity: 2718 };
/// A create needs an id that is free.
const NEW_ID: u64 = 1_999_999_999;
/// How long sessions may take to notice that they should log.
const NOTICE: Duration = Duration::from_millis(500);

/// A statement with its parameters, as Postgres shows them; `None` is null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) parameters: Vec<Option<String>>,
}

/// The statements of one request, in order: the settings, then what is done.
#[derive(Debug, Clone)]
pub(crate) struct Transaction {
    pub(crate) statements: Vec<Statement>,
    /// The varying values in it.
    pub(crate) varying: Varying,
}

/// A connection as the owner.
pub(crate) async fn owner(server: &Server) -> anyhow::Result<Client> {
    let (client, connection) =
        server.postgres()?.connect(NoTls).await.context("no connection as the owner")?;
    tokio::spawn(connection);
    Ok(client)
}

/// Sends one request of each kind and reads what it became.
pub(crate) async fn transactions(
    server: &Server,
    orders: &Orders,
    operations: &[Operation],
) -> anyhow::Result<Vec<Transaction>> {
    let client = owner(server).await?;
    set_logging(&client, "alter system set log_min_duration_statement = 0").await?;
    let mut all = Vec::new();
    for operation in operations {
        all.push(transaction(server, orders, *operation).await?);
    }
    set_logging(&client, "alter system reset log_min_duration_statement").await?;
    Ok(all)
}

async fn set_logging(client: &Client, sql: &str) -> anyhow::Result<()> {
    client.batch_execute(sql).await?;
    client.batch_execute("select pg_reload_conf()").await?;
    tokio::time::sleep(NOTICE).await;
    Ok(())
}

async fn transaction(server: &Server, orders: &Orders, operation: Operation) -> anyhow::Result<Transaction> {
    let log = server.postgres_log();
    let mut connection = Connection::open(server.api()?).await?;
    let mut varying = SENTINEL;
    if operation == Operation::Create {
        varying.id = NEW_ID;
    }
    let (request, status) = orders.request(operation, varying);
    let before = std::fs::metadata(&log)?.len();
    connection.expect(&request, status).await?;
    tokio::time::sleep(NOTICE).await;
    let text = std::fs::read(&log)?;
    let text = String::from_utf8_lossy(text.get(usize::try_from(before)?..).unwrap_or_default()).into_owned();
    let statements = executed(&text);
    ensure!(statements.len() >= 2, "the log shows no statements of a {operation:?} request:\n{text}");
    Ok(Transaction { statements, varying })
}

/// What the API asks for by itself beside requests, such as what has been revoked, names tables of the platform; no request
/// that is measured does.
const HOUSEKEEPING: &str = " platform.";

/// The statements that the API's login executed for requests.
fn executed(log: &str) -> Vec<Statement> {
    let mut statements: Vec<Statement> = Vec::new();
    let mut open = false;
    for entry in entries(log).iter().filter(|entry| entry.contains(" velocity_api@")) {
        if let Some((_, parameters)) = entry.split_once("DETAIL:  parameters: ") {
            if let (true, Some(last)) = (open, statements.last_mut()) {
                last.parameters = parse_parameters(parameters);
            }
            open = false;
            continue;
        }
        let executed = entry.split_once(" ms  execute ").and_then(|(_, rest)| rest.split_once(": "));
        let executed = executed.filter(|(_, sql)| !sql.contains(HOUSEKEEPING));
        open = executed.is_some();
        if let Some((_, sql)) = executed {
            statements.push(Statement { sql: sql.to_owned(), parameters: Vec::new() });
        }
    }
    statements
}

/// The log's entries; lines that go on begin with a tab.
fn entries(log: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    for line in log.lines() {
        match (line.strip_prefix('\t'), entries.last_mut()) {
            (Some(rest), Some(last)) => {
                last.push('\n');
                last.push_str(rest);
            }
            _ => entries.push(line.to_owned()),
        }
    }
    entries
}

/// Reads `$1 = 'it''s', $2 = NULL`.
fn parse_parameters(text: &str) -> Vec<Option<String>> {
    let mut parameters = Vec::new();
    let mut rest = text;
    while let Some((_, value)) = rest.split_once(" = ") {
        let Some(quoted) = value.strip_prefix('\'') else {
            parameters.push(None);
            rest = value.split_once(", ").map_or("", |(_, rest)| rest);
            continue;
        };
        let mut parsed = String::new();
        let mut characters = quoted.char_indices().peekable();
        let mut end = quoted.len();
        while let Some((at, character)) = characters.next() {
            if character != '\'' {
                parsed.push(character);
            } else if characters.next_if(|(_, next)| *next == '\'').is_some() {
                parsed.push('\'');
            } else {
                end = at + 1;
                break;
            }
        }
        parameters.push(Some(parsed));
        rest = quoted[end..].trim_start_matches(", ");
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_and_parameters_are_read_from_the_log() {
        let log = "2026-11-24 07:00:00.000 UTC [7] velocity_api@velocity LOG:  duration: 0.031 ms  parse s1: select $1\n\
                   2026-11-24 07:00:00.000 UTC [7] velocity_api@velocity LOG:  duration: 0.010 ms  bind s1: select $1\n\
                   2026-11-24 07:00:00.000 UTC [7] velocity_api@velocity DETAIL:  parameters: $1 = 'x'\n\
                   2026-11-24 07:00:00.000 UTC [7] velocity_api@velocity LOG:  duration: 0.010 ms  execute s1: select $1,\n\
                   \t$2, $3\n\
                   2026-11-24 07:00:00.000 UTC [7] velocity_api@velocity DETAIL:  parameters: $1 = 'it''s, $2 = ', $2 = NULL, $3 = '\n\
                   \t'\n\
                   2026-11-24 07:00:00.000 UTC [8] velocity_owner@velocity LOG:  duration: 0.010 ms  execute s1: select 2\n";
        let parameters = vec![Some("it's, $2 = ".to_owned()), None, Some("\n".to_owned())];
        assert_eq!(executed(log), [Statement { sql: "select $1,\n$2, $3".to_owned(), parameters }]);
    }
}
