//! Where the provisioned specs are.

use std::error::Error;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value as Json;
use velocity_schema::Schema;
use velocity_schema::spec::SchemaDefinitionSpec;

/// A spec as it was applied.
#[derive(Debug, Clone)]
pub struct Provisioned {
    /// The spec.
    pub spec: Json,
    /// Its hash, as `status.specHash` has it.
    pub spec_hash: String,
}

/// Reads provisioned specs: the store's table `platform.schemas`.
pub trait ProvisionedSpecs: Send + Sync + 'static {
    /// What is provisioned at `org/app/domain/object/version`.
    fn provisioned<'a>(
        &'a self,
        path: &'a str,
    ) -> BoxFuture<'a, Result<Option<Provisioned>, Box<dyn Error + Send + Sync>>>;
}

/// Why a provisioned spec cannot be served. Asking again later may help.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store cannot be asked.
    #[error("the provisioned spec could not be read")]
    Store(#[source] Box<dyn Error + Send + Sync>),
    /// The store has none, perhaps not yet.
    #[error("no spec is provisioned at {path}")]
    Missing {
        /// Where it was looked for.
        path: String,
    },
    /// It is none that this version of the API can serve.
    #[error("the provisioned spec is not valid: {0}")]
    Invalid(velocity_schema::Violations),
}

/// The schema that is provisioned at `path`.
pub(crate) async fn load(specs: &dyn ProvisionedSpecs, path: &str) -> Result<Arc<Schema>, LoadError> {
    let found = specs.provisioned(path).await.map_err(LoadError::Store)?;
    let missing = || LoadError::Missing { path: path.to_owned() };
    let Provisioned { spec, .. } = found.ok_or_else(missing)?;
    let spec = SchemaDefinitionSpec::from_json(&spec).map_err(LoadError::Invalid)?;
    let schema = Schema::parse(&spec).map_err(LoadError::Invalid)?;
    if schema.path().to_string() == path { Ok(Arc::new(schema)) } else { Err(missing()) }
}
