//! The scope that every route here needs: a caller who may do everything.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use velocity_access::Identity;
use velocity_schema::schema::SYSTEM_ROLE_ADMIN;
use velocity_store::platform::Acting;
use velocity_store::records::{Origin, Session};

use crate::access_events::AccessEvent;
use crate::client;
use crate::envelope::RequestContext;
use crate::error::ApiError;
use crate::request::headers::refuse_unknown;
use crate::state::Api;

/// A platform administrator.
pub(crate) struct Admin {
    identity: Arc<Identity>,
    context: RequestContext,
    /// Method and path.
    request: String,
    ip: Option<IpAddr>,
}

impl FromRequestParts<Api> for Admin {
    type Rejection = ApiError;

    /// Who the caller is comes before anything is read of the request's body, or said of a schema. That the role was used
    /// is written down before anything is done with it.
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
        let request = format!("{} {}", parts.method, parts.uri.path());
        let admin = Self { identity, context, request, ip: client::address(&parts.extensions) };
        api.database().access_events().admin_use(admin.event()).await;
        Ok(admin)
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
            path: self.request.chars().take(1024).collect(),
            request_id: self.context.id.as_str().to_owned(),
            trace_id: self.trace_id(),
            ip: self.ip.map(|ip| ip.to_canonical().to_string()),
        }
    }

    fn event(&self) -> AccessEvent {
        AccessEvent {
            actor: Some(self.identity.actor().to_owned()),
            actor_type: Some(self.identity.actor_type().name()),
            strategy: Some(self.identity.strategy().to_owned()),
            path: self.request.clone(),
            request_id: self.context.id.as_str().to_owned(),
            trace_id: self.context.trace_id.to_string(),
            ip: self.ip,
            ..AccessEvent::default()
        }
    }

    fn trace_id(&self) -> Option<String> {
        let trace_id = &self.context.trace_id;
        (!trace_id.is_empty()).then(|| trace_id.to_string())
    }
}
