//! The installation's keys.

use tokio_postgres::{Client, Error};

/// The key that signs cursors, the same for every replica; `None` while the operator has not set the database up.
/// The API's login may read it.
pub async fn cursor_key(client: &Client) -> Result<Option<[u8; 32]>, Error> {
    key(client, "cursor").await
}

/// The key under which values are masked, likewise.
pub async fn mask_key(client: &Client) -> Result<Option<[u8; 32]>, Error> {
    key(client, "mask").await
}

/// The key that sessions' secrets are sealed with, likewise.
pub async fn session_key(client: &Client) -> Result<Option<[u8; 32]>, Error> {
    key(client, "session").await
}

async fn key(client: &Client, name: &str) -> Result<Option<[u8; 32]>, Error> {
    let exists: bool = client.query_one("select to_regclass('platform.keys') is not null", &[]).await?.get(0);
    if !exists {
        return Ok(None);
    }
    let row = client.query_opt("select key from platform.keys where name = $1", &[&name]).await?;
    Ok(row.and_then(|row| <[u8; 32]>::try_from(row.get::<_, &[u8]>(0)).ok()))
}
