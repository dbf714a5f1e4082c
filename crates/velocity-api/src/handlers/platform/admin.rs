//! The scope that every route here needs: a caller who may do everything.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use velocity_access::Identity;
use velocity_schema::schema::SYSTEM_ROLE_ADMIN;
use velocity_store::platform::Acting;
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

    /// Who the caller is comes before anything is read of the request's body, or said of a schema. The envelope writes down
    /// that the role was used.
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let identity = api.authenticate(api.default_strategy(), parts).await?;
        if !identity.is_platform_admin() || !api.admin_counts(&identity) {
            let reason = format!("this route is for administrators: it needs the role `{SYSTEM_ROLE_ADMIN}`");
            return Err(ApiError::RbacDenied { reason });
        }
        // What a credential is narrowed to are records; there is no narrow administration.
        if identity.scopes().is_some() {
            let reason =
                "this route is for administrators, and this credential is narrowed to some schemas".into();
            return Err(ApiError::RbacDenied { reason });
        }
        refuse_unknown(&parts.headers)?;
        let context = parts.extensions.get::<RequestContext>().cloned().ok_or(ApiError::Panicked)?;
        context.seen.as_admin();
        Ok(Self { identity, context })
    }
}

impl Admin {
    /// Who the database sees when rows are looked at: row-level security shows an administrator all of them.
    pub(super) fn session(&self, api: &Api) -> Session {
        Session {
            actor: self.identity.actor().to_owned(),
            actor_type: self.identity.actor_type().name().to_owned(),
            roles: vec![SYSTEM_ROLE_ADMIN.to_owned()],
            attributes: self.identity.attributes_json().to_owned(),
            strategy: self.identity.strategy().to_owned(),
            request_id: self.context.id.as_str().to_owned(),
            trace_id: self.trace_id(),
            reason: None,
            origin: Origin::Write,
            statement_timeout: api.config().requests.statement_timeout,
        }
    }

    /// Who the events of what is done name.
    pub(super) fn acting(&self) -> Acting {
        Acting {
            actor: self.identity.actor().to_owned(),
            actor_type: self.identity.actor_type().name().to_owned(),
            strategy: self.identity.strategy().to_owned(),
            path: format!("{} {}", self.context.method, self.context.uri.path()).chars().take(1024).collect(),
            request_id: self.context.id.as_str().to_owned(),
            trace_id: self.trace_id(),
            ip: self.context.client.map(|ip| ip.to_canonical().to_string()),
        }
    }

    fn trace_id(&self) -> Option<String> {
        let trace_id = &self.context.trace_id;
        (!trace_id.is_empty()).then(|| trace_id.to_string())
    }
}
