//! A connection for the work on one schema, with its lock.

use tokio_postgres::Client;
use velocity_store::owner::{OwnerConnection, OwnerError, OwnerPool};

/// A connection that is closed, not given back, unless the work on it came to its end: what is given up in the middle
/// (the lease is lost, a newer spec is there, the process stops) may be within a statement.
pub(crate) struct Session(Option<OwnerConnection>);

impl Session {
    pub(crate) async fn open(pool: &OwnerPool) -> Result<Self, OwnerError> {
        pool.connection().await.map(|connection| Self(Some(connection)))
    }

    pub(crate) fn client(&mut self) -> &mut Client {
        #[expect(clippy::expect_used, reason = "only `finish` takes it, and that takes `self`")]
        self.0.as_mut().expect("the connection is there until the session ends").client()
    }

    /// The work is done: the connection may serve another schema. Who takes it finds it as new.
    pub(crate) fn finish(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            connection.abandon();
        }
    }
}

/// Takes the schema's lock, which keeps a second operator out, and has whatever runs in this session wait for other locks
/// only so long. Held by the session: a killed operator lets go of it.
pub(crate) async fn lock(
    client: &Client,
    path: &str,
    lock_timeout: &str,
) -> Result<bool, tokio_postgres::Error> {
    let key = format!("velocity-schema:{path}");
    let row = client
        .query_one(
            "select pg_try_advisory_lock(hashtextextended($1, 0)), set_config('lock_timeout', $2, false)",
            &[&key, &lock_timeout],
        )
        .await?;
    Ok(row.get(0))
}

/// Lets go of it.
pub(crate) async fn unlock(client: &Client) -> Result<(), tokio_postgres::Error> {
    client.batch_execute("select pg_advisory_unlock_all()").await
}
