//! Role and settings that hold for one request or one transaction.

use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

use super::{Params, RequestError, Sql};

/// The names of a request's settings, fixed once per kind of request.
///
/// They become part of one prepared statement; only the values travel with each request.
#[derive(Clone)]
pub struct SettingNames(Arc<Names>);

struct Names {
    names: Box<[Box<str>]>,
    /// Indexed by whether a role and whether a timeout is set.
    messages: [[Option<Sql>; 2]; 2],
}

impl SettingNames {
    /// Takes the names of the settings in the order in which their values will be given.
    ///
    /// A name is `prefix.name` or `name` of lower-case letters, digits and underscores. `role` and
    /// `statement_timeout` have their own place and are refused.
    pub fn new<N: Into<Box<str>>>(names: impl IntoIterator<Item = N>) -> Result<Self, RequestError> {
        let names: Box<[Box<str>]> = names.into_iter().map(Into::into).collect();
        for name in &names {
            if !is_setting_name(name) || matches!(&**name, "role" | "statement_timeout") {
                return Err(RequestError::SettingName { name: name.to_string() });
            }
        }
        let message = |role, timeout| settings_message(&names, role, timeout);
        let messages =
            [[message(false, false), message(false, true)], [message(true, false), message(true, true)]];
        Ok(Self(Arc::new(Names { names, messages })))
    }

    /// How many values belong to these names.
    pub fn len(&self) -> usize {
        self.0.names.len()
    }

    /// Whether there are no settings.
    pub fn is_empty(&self) -> bool {
        self.0.names.is_empty()
    }
}

impl fmt::Debug for SettingNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0.names).finish()
    }
}

fn is_setting_name(name: &str) -> bool {
    name.len() <= 128
        && name.split('.').count() <= 2
        && name.split('.').all(|part| {
            part.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
                && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        })
}

fn settings_message(names: &[Box<str>], role: bool, timeout: bool) -> Option<Sql> {
    let own = [("role", role), ("statement_timeout", timeout)];
    let own = own.iter().filter(|(_, wanted)| *wanted).map(|(name, _)| *name);
    let mut text = String::from("select ");
    for (index, name) in own.chain(names.iter().map(|name| &**name)).enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}set_config('{name}', ${}, true)", index + 1);
    }
    (text.len() > "select ".len()).then(|| Sql::new(text))
}

/// Who a request runs as.
///
/// `Debug` shows the names of the settings, not their values: they say who the caller is.
#[derive(Clone)]
pub struct Session {
    role: Option<Arc<str>>,
    names: SettingNames,
    /// The settings' values as parameters of the settings message, without role and timeout.
    values: Params,
}

impl Session {
    /// A session of the given role, with one value for each of the names.
    pub fn new<V: AsRef<str>>(
        role: impl Into<Arc<str>>,
        names: &SettingNames,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Self, RequestError> {
        let role = role.into();
        if role.is_empty() || role.contains('\0') {
            return Err(RequestError::RoleName { role: role.to_string() });
        }
        let mut params = Params::new();
        for value in values {
            let value = value.as_ref();
            if value.contains('\0') {
                return Err(RequestError::NulByte { what: "a setting's value" });
            }
            params.text(value);
        }
        if params.len() != names.len() {
            return Err(RequestError::SettingCount { expected: names.len(), got: params.len() });
        }
        Ok(Self { role: Some(role), names: names.clone(), values: params })
    }

    /// The same from pairs, for callers that ask rarely: the names are checked again each time.
    pub fn with(role: impl Into<Arc<str>>, settings: &[(&str, &str)]) -> Result<Self, RequestError> {
        let names = SettingNames::new(settings.iter().map(|(name, _)| *name))?;
        Self::new(role, &names, settings.iter().map(|(_, value)| value))
    }

    /// The login role itself, without any settings: for checks and maintenance, not for requests.
    pub fn login() -> Self {
        static NONE: std::sync::LazyLock<SettingNames> = std::sync::LazyLock::new(|| {
            let messages = [
                [None, settings_message(&[], false, true)],
                [settings_message(&[], true, false), settings_message(&[], true, true)],
            ];
            SettingNames(Arc::new(Names { names: Box::default(), messages }))
        });
        Self { role: None, names: NONE.clone(), values: Params::new() }
    }

    /// The role, or `None` for the login role.
    pub fn role(&self) -> Option<&Arc<str>> {
        self.role.as_ref()
    }

    /// The message that establishes this session, or `None` where there is nothing to set.
    pub(super) fn message(&self, timeout_ms: Option<u64>) -> Option<(Sql, Params)> {
        let text = self.names.0.messages[usize::from(self.role.is_some())][usize::from(timeout_ms.is_some())]
            .clone()?;
        let mut params = Params::new();
        if let Some(role) = &self.role {
            params.text(role);
        }
        if let Some(timeout_ms) = timeout_ms {
            params.text(&timeout_ms.to_string());
        }
        params.extend_from(&self.values);
        Some((text, params))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("role", &self.role)
            .field("settings", &self.names)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_message_starts_with_the_role_and_names_every_setting_once() {
        let session =
            Session::with("tenant", &[("velocity.actor", "ann"), ("velocity.roles", "a,b")]).unwrap();
        let (sql, params) = session.message(Some(250)).unwrap();
        assert_eq!(
            sql.as_str(),
            "select set_config('role', $1, true), set_config('statement_timeout', $2, true), \
             set_config('velocity.actor', $3, true), set_config('velocity.roles', $4, true)"
        );
        assert_eq!(params.len(), 4);
        let (sql, params) = session.message(None).unwrap();
        assert!(!sql.as_str().contains("statement_timeout"));
        assert_eq!(params.len(), 3);
    }

    #[test]
    fn the_login_session_sends_a_message_only_for_a_timeout() {
        assert!(Session::login().message(None).is_none());
        let (sql, _) = Session::login().message(Some(5)).unwrap();
        assert_eq!(sql.as_str(), "select set_config('statement_timeout', $1, true)");
    }

    #[test]
    fn setting_names_cannot_carry_sql() {
        for name in ["a'b", "role", "statement_timeout", "", "a.b.c", "A", "1a", "a.", "a b", "ä"] {
            assert!(matches!(SettingNames::new([name]), Err(RequestError::SettingName { .. })), "{name}");
        }
    }

    #[test]
    fn a_value_too_few_or_a_nul_byte_is_refused() {
        let names = SettingNames::new(["velocity.actor", "velocity.roles"]).unwrap();
        assert!(matches!(
            Session::new("r", &names, ["one"]),
            Err(RequestError::SettingCount { expected: 2, got: 1 })
        ));
        assert!(matches!(Session::new("r", &names, ["a\0", "b"]), Err(RequestError::NulByte { .. })));
        assert!(matches!(Session::with("", &[]), Err(RequestError::RoleName { .. })));
    }

    #[test]
    fn debug_output_shows_names_but_no_values() {
        let session = Session::with("tenant", &[("velocity.attributes", "{\"salary\":1}")]).unwrap();
        let shown = format!("{session:?}");
        assert!(shown.contains("velocity.attributes") && !shown.contains("salary"));
    }
}
