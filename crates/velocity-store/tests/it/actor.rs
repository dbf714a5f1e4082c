//! SQL as the API runs it: its login, a domain's role, an identity.

use tokio_postgres::{Client, Error, Row};

/// Runs one statement in a transaction of `role` with an actor who holds `roles` (comma separated).
pub(crate) async fn run(
    client: &Client,
    role: &str,
    roles: &str,
    attributes: &str,
    sql: &str,
) -> Result<Vec<Row>, Error> {
    client.batch_execute("begin").await?;
    let settings = "select set_config('role', $1, true), set_config('velocity.actor', 'ravi', true),
        set_config('velocity.actor_type', 'user', true), set_config('velocity.roles', $2, true),
        set_config('velocity.attributes', $3, true), set_config('velocity.request_id', 'r-1', true)";
    client.execute(settings, &[&role, &roles, &attributes]).await?;
    let result = client.query(sql, &[]).await;
    client.batch_execute(if result.is_ok() { "commit" } else { "rollback" }).await?;
    result
}

/// The SQLSTATE of a failure.
pub(crate) fn code(result: Result<Vec<Row>, Error>) -> String {
    result
        .err()
        .and_then(|error| error.code().map(|code| code.code().to_owned()))
        .unwrap_or_else(|| "no error".into())
}
