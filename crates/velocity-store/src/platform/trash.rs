//! Really drops what was dropped long enough ago.

use tokio_postgres::{Client, Error};

/// Drops what has been in the trash for longer than its time, one thing after the other; returns how many. What cannot be
/// dropped now (it is locked, it is being worked on, something hangs on it) keeps nothing else, and stays for the next time.
pub async fn sweep_trash(client: &Client) -> Result<u64, Error> {
    let expired = client
        .query("select id, path, kind from platform.trash where expires_at <= now() order by id", &[])
        .await?;
    let mut swept = 0;
    for row in expired {
        let (id, path, kind): (i64, &str, &str) = (row.get(0), row.get(1), row.get(2));
        match client.query_one("select platform.empty_trash($1)", &[&id]).await {
            Ok(row) => swept += u64::from(row.get::<_, bool>(0)),
            Err(error) if error.is_closed() => return Err(error),
            Err(error) => {
                let reason =
                    error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned());
                tracing::warn!(
                    schema.path = path,
                    trash.id = id,
                    trash.kind = kind,
                    error = reason,
                    "could not be dropped from the trash; it is tried again"
                );
            }
        }
    }
    Ok(swept)
}

/// Forgets the plans that were over 90 days ago; returns how many.
pub async fn sweep_plans(client: &Client) -> Result<u64, Error> {
    let sql = "delete from platform.plans where state <> 'running' and coalesce(finished_at, updated_at) < now() - interval '90 days'";
    client.execute(sql, &[]).await
}
