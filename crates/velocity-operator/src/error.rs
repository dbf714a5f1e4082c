//! What keeps a reconcile from an outcome.

use std::time::Duration;

use velocity_store::ddl::{ApplyError, CatalogError, ProbeError};
use velocity_store::owner::OwnerError;

use crate::conditions::reason;

/// How long the database may take to answer what takes milliseconds. DDL may take longer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// What kept a reconcile from an outcome; it is tried again with growing pauses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the database is not available: {0}")]
    Owner(#[from] OwnerError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("the data could not be looked at: {0}")]
    Probe(#[from] ProbeError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("the platform's tables could not be read or written: {0}")]
    Platform(#[from] tokio_postgres::Error),
    #[error("the database has not answered in {} seconds", ANSWER_MAX.as_secs())]
    Silent,
    #[error("the plan did not come to its end in {0} rounds")]
    Rounds(usize),
    #[error("`{0}` did not get its lock; it is tried again")]
    Locked(String),
    #[error("another operator is working on this schema")]
    Busy,
    #[error("the object has changed meanwhile")]
    Outdated,
    #[error("the Kubernetes API refused: {0}")]
    Kubernetes(#[from] kube::Error),
}

impl Error {
    /// The reason for the status; `None` where the status is not ours to write, or cannot be written.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        match self {
            _ if self.is_lock() => Some(reason::WAITING_FOR_LOCK),
            Self::Owner(_)
            | Self::Catalog(_)
            | Self::Probe(_)
            | Self::Apply(_)
            | Self::Platform(_)
            | Self::Silent
            | Self::Locked(_)
            | Self::Rounds(_) => Some(reason::DATABASE_UNAVAILABLE),
            Self::Busy | Self::Outdated | Self::Kubernetes(_) => None,
        }
    }

    /// Whether traffic held a lock for longer than is waited for one.
    pub(crate) fn is_lock(&self) -> bool {
        match self {
            Self::Locked(_) | Self::Apply(ApplyError::LockNotAvailable { .. }) => true,
            Self::Owner(_)
            | Self::Silent
            | Self::Rounds(_)
            | Self::Busy
            | Self::Outdated
            | Self::Kubernetes(_) => false,
            Self::Catalog(_) | Self::Probe(_) | Self::Apply(_) | Self::Platform(_) => {
                self.code() == Some(tokio_postgres::error::SqlState::LOCK_NOT_AVAILABLE)
            }
        }
    }

    /// Postgres' code, wherever in the chain of causes it is.
    fn code(&self) -> Option<tokio_postgres::error::SqlState> {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if let Some(postgres) = error.downcast_ref::<tokio_postgres::Error>() {
                return postgres.code().cloned();
            }
            cause = error.source();
        }
        None
    }

    /// Whether it only says that the object has changed, or gone, in the meantime.
    pub(crate) fn is_overtaken(&self) -> bool {
        match self {
            Self::Busy | Self::Outdated => true,
            Self::Kubernetes(kube::Error::Api(status)) => matches!(status.code, 404 | 409 | 422),
            _ => false,
        }
    }
}

/// Waits for what takes the database milliseconds.
pub(crate) async fn answer<T, E: Into<Error>>(work: impl Future<Output = Result<T, E>>) -> Result<T, Error> {
    tokio::time::timeout(ANSWER_MAX, work).await.map_err(|_| Error::Silent)?.map_err(Into::into)
}
