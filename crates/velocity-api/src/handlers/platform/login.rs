//! Looks at the catalog with the API's own login, which may do nothing but that.

use std::fmt;
use std::time::Duration;

use velocity_schema::{Schema, SchemaPath};
use velocity_sql::ddl::Live;
use velocity_store::ddl::{CatalogError, Reader, read_as};
use velocity_store::owner::{OwnerConnection, OwnerError, OwnerPool};
use velocity_store::platform::{AccessError, ProvisionedSpec, provisioned_by_path};
use velocity_store::records::RecordError;
use velocity_store::wire::{Ran, Unavailable, UnavailableReason, WireError};

use crate::error::ApiError;

/// Administration is rare, and must never take connections from requests.
const CONNECTIONS: usize = 2;
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A few connections under the API's login. None is made before it is needed.
#[derive(Clone)]
pub(crate) struct Login(OwnerPool);

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

impl Login {
    /// The login of the URL.
    pub(crate) fn new(url: &str) -> Result<Self, OwnerError> {
        OwnerPool::new(url, CONNECTIONS).map(Self)
    }

    /// A view of the catalog.
    pub(super) async fn view(&self) -> Result<View, ApiError> {
        self.0.connection().await.map(View).map_err(|error| {
            tracing::warn!(error = %error, "no connection to look at the catalog with");
            unavailable(UnavailableReason::AcquireTimeout)
        })
    }
}

/// A connection for as long as somebody looks at the catalog.
pub(super) struct View(OwnerConnection);

impl View {
    /// The connection, for the platform's tables.
    pub(super) fn connection(&mut self) -> &mut OwnerConnection {
        &mut self.0
    }

    /// What the database has for the schema.
    pub(super) async fn live(&mut self, schema: &Schema) -> Result<Live, ApiError> {
        match read_as(self.0.client(), schema, Reader::ApiLogin).await {
            Ok(live) => Ok(live),
            Err(CatalogError::Postgres(error)) if error.as_db_error().is_none() => {
                Err(unavailable(UnavailableReason::ConnectionLost))
            }
            Err(error) => Err(fault(error)),
        }
    }

    /// The spec that is provisioned at the path.
    pub(super) async fn provisioned(
        &mut self,
        path: &SchemaPath,
    ) -> Result<Option<ProvisionedSpec>, ApiError> {
        provisioned_by_path(self.0.client(), &path.to_string()).await.map_err(|error| {
            if error.as_db_error().is_none() {
                unavailable(UnavailableReason::ConnectionLost)
            } else {
                fault(error)
            }
        })
    }
}

fn unavailable(reason: UnavailableReason) -> ApiError {
    let unavailable = Unavailable { reason, retry_after: RETRY_AFTER, ran: Ran::No, source: None };
    RecordError::Unavailable {
        retry_after: RETRY_AFTER,
        ran: Ran::No,
        source: Box::new(WireError::from(unavailable)),
    }
    .into()
}

/// Why keys and revocations could not be read or changed.
pub(super) fn refused(error: AccessError) -> ApiError {
    if error.is_unavailable() { unavailable(UnavailableReason::ConnectionLost) } else { fault(error) }
}

/// A fault of ours, with its cause for the log.
pub(super) fn fault(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ApiError {
    RecordError::Internal { source: source.into() }.into()
}
