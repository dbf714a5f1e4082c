//! The scope that every route here needs: a caller who may do everything.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use velocity_access::Identity;
use velocity_schema::schema::SYSTEM_ROLE_ADMIN;
use velocity_store::records::{Origin, Session};

use crate::envelope::RequestContext;
use crate::error::ApiError;
use crate::request::headers::refuse_unknown;
use crate::state::Api;

/// A platform administrator.
pub(crate) struct Admin {
    identity: Arc<Identity>,
    context: RequestContext,
}

impl FromRequestParts<Api> for Admin {
    type Rejection = ApiError;

    /// Who the caller is comes before anything is read of the request's body, or said of a schema.
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let identity = api.authenticate(api.default_strategy(), parts).await?;
        if !identity.is_platform_admin() {
            let reason = format!(
                "plans and drift are for administrators: this route needs the role `{SYSTEM_ROLE_ADMIN}`"
            );
            return Err(ApiError::RbacDenied { reason });
        }
        refuse_unknown(&parts.headers)?;
        let context = parts.extensions.get::<RequestContext>().cloned().ok_or(ApiError::Panicked)?;
        Ok(Self { identity, context })
    }
}

impl Admin {
    /// Who the database sees when rows are looked at: row-level security shows an administrator all of them.
    pub(super) fn session(&self, api: &Api) -> Session {
        let trace_id = &self.context.trace_id;
        Session {
            actor: self.identity.actor().to_owned(),
            actor_type: self.identity.actor_type().name().to_owned(),
            roles: vec![SYSTEM_ROLE_ADMIN.to_owned()],
            attributes: self.identity.attributes_json().to_owned(),
            strategy: self.identity.strategy().to_owned(),
            request_id: self.context.id.as_str().to_owned(),
            trace_id: (!trace_id.is_empty()).then(|| trace_id.to_string()),
            reason: None,
            origin: Origin::Write,
            statement_timeout: api.config().requests.statement_timeout,
        }
    }
}
