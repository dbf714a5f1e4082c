//! Who a request runs as.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::wire::{self, RequestError, SettingNames};

/// What the events of a request's writes are called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Origin {
    /// By what they are: CREATE, UPDATE, DELETE, UNDELETE.
    #[default]
    Write,
    /// IMPORT.
    Import,
    /// RESTORE.
    Restore,
}

/// Who a request runs as, and what is remembered of it in the events that it leaves.
#[derive(Debug, Clone)]
pub struct Session {
    /// The caller; without one Postgres shows no row and takes none.
    pub actor: String,
    /// `user`, `service`, ….
    pub actor_type: String,
    /// Those of the caller's roles that allow this operation on this schema. A role with a comma in its name cannot be
    /// told from two roles, and is left out.
    pub roles: Vec<String>,
    /// The caller's attributes, a JSON object.
    pub attributes: String,
    /// The AuthStrategy that vouches for the caller.
    pub strategy: String,
    /// The request's id.
    pub request_id: String,
    /// The trace that the request belongs to.
    pub trace_id: Option<String>,
    /// Why, as the caller gave it.
    pub reason: Option<String>,
    /// What the events are called.
    pub origin: Origin,
    /// How long each statement may take. The mux lane has a shorter limit of its own.
    pub statement_timeout: Duration,
}

static SETTINGS: LazyLock<Result<SettingNames, RequestError>> = LazyLock::new(|| {
    SettingNames::new([
        "velocity.actor",
        "velocity.actor_type",
        "velocity.roles",
        "velocity.attributes",
        "velocity.strategy",
        "velocity.request_id",
        "velocity.trace_id",
        "velocity.reason",
        "velocity.operation",
    ])
});

impl Session {
    /// The session as the wire carries it, under the domain's role.
    pub(super) fn to_wire(&self, role: &Arc<str>) -> Result<wire::Session, RequestError> {
        let names =
            SETTINGS.as_ref().map_err(|_| RequestError::SettingName { name: "velocity.actor".to_owned() })?;
        let mut roles = String::new();
        for role in self.roles.iter().filter(|role| !role.is_empty() && !role.contains(',')) {
            if !roles.is_empty() {
                roles.push(',');
            }
            roles.push_str(role);
        }
        let operation = match self.origin {
            Origin::Write => "",
            Origin::Import => "IMPORT",
            Origin::Restore => "RESTORE",
        };
        let values = [
            self.actor.as_str(),
            &self.actor_type,
            &roles,
            &self.attributes,
            &self.strategy,
            &self.request_id,
            self.trace_id.as_deref().unwrap_or_default(),
            self.reason.as_deref().unwrap_or_default(),
            operation,
        ];
        wire::Session::new(Arc::clone(role), names, values)
    }
}
