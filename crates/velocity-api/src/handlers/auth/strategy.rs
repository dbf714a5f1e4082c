//! Which strategy a sign-in is for.

use velocity_access::oidc::Oidc;
use velocity_schema::schema::StrategyRef;

use crate::error::ApiError;
use crate::request::Malformed;
use crate::state::Api;

/// The oidc strategy named `namespace/name`, else the installation's default; of a composite its first oidc member.
pub(super) fn for_sign_in(api: &Api, named: Option<&str>) -> Result<Oidc, ApiError> {
    if !api.readiness().is_synced() {
        return Err(ApiError::Starting);
    }
    match named {
        Some(text) => {
            let oidc = parse(text).and_then(|strategy| find(api, &strategy));
            oidc.ok_or_else(|| {
                let shown: String = text.chars().take(200).collect::<String>().escape_debug().to_string();
                Malformed(format!("`{shown}` is no AuthStrategy of type oidc that runs: use namespace/name"))
                    .into()
            })
        }
        None => api.default_strategy().and_then(|strategy| find(api, strategy)).ok_or(ApiError::NoSignIn),
    }
}

/// The oidc strategy of that name, if it runs.
pub(super) fn of_name(api: &Api, name: &str) -> Option<Oidc> {
    find(api, &parse(name)?)
}

/// `namespace/name`.
pub(super) fn parse(text: &str) -> Option<StrategyRef> {
    let (namespace, name) = text.split_once('/')?;
    let is_plain = !namespace.is_empty() && !name.is_empty() && !name.contains('/');
    is_plain.then(|| StrategyRef { namespace: namespace.to_owned(), name: name.to_owned() })
}

fn find(api: &Api, strategy: &StrategyRef) -> Option<Oidc> {
    let running = api.strategies().find(strategy)?;
    match running.members() {
        None => running.oidc().cloned(),
        Some(members) => members.iter().find_map(|member| api.strategies().find(member)?.oidc().cloned()),
    }
}
