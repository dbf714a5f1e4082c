//! Changes of revocations in Postgres, asked for on a connection of its own: however busy the requests are, this gets through.

use std::time::Duration;

use futures::FutureExt;
use velocity_access::{RevocationChange, RevocationKind, RevocationSource, StoreFuture, StoreUnavailable};
use velocity_store::owner::OwnerPool;
use velocity_store::platform::{ChangedRevocation, revocations_since};

use crate::credential_store::unavailable;
use crate::database::OpenError;

/// How long a connection or an answer may take. Whoever asks waits a little longer, so that a connection which does not
/// answer is closed here and not asked again.
const PATIENCE: Duration = Duration::from_secs(2);

/// The source.
pub(crate) struct DatabaseRevocations(OwnerPool);

impl std::fmt::Debug for DatabaseRevocations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseRevocations")
    }
}

impl DatabaseRevocations {
    /// Revocations at `url`, under the API's login.
    pub(crate) fn new(url: &str) -> Result<Self, OpenError> {
        Ok(Self(OwnerPool::new(url, 1)?))
    }

    async fn ask(&self, change: i64) -> Result<Vec<RevocationChange>, StoreUnavailable> {
        let connection = tokio::time::timeout(PATIENCE, self.0.connection()).await;
        let mut connection = connection
            .map_err(|_| StoreUnavailable::new("no connection in time"))?
            .map_err(|error| unavailable(&error))?;
        match tokio::time::timeout(PATIENCE, revocations_since(connection.client(), change)).await {
            Ok(Ok(rows)) => rows.into_iter().map(changed).collect(),
            Ok(Err(error)) => Err(unavailable(&error)),
            Err(_) => {
                connection.abandon();
                Err(StoreUnavailable::new("no answer in time"))
            }
        }
    }
}

impl RevocationSource for DatabaseRevocations {
    fn since(&self, change: i64) -> StoreFuture<'_, Vec<RevocationChange>> {
        self.ask(change).boxed()
    }
}

/// A kind that this version does not know is no answer: something would go on that was revoked.
fn changed(row: ChangedRevocation) -> Result<RevocationChange, StoreUnavailable> {
    let kind: RevocationKind = row.kind.parse().map_err(|error| {
        StoreUnavailable::new(format_args!("the kind of revocation {}: {error}", row.change))
    })?;
    Ok(RevocationChange {
        change: row.change,
        kind,
        value: row.value,
        lifted: row.lifted,
        expires_at: row.expires_at,
    })
}
