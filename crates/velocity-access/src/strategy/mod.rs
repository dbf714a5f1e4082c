//! The validated form of an AuthStrategy: nothing in it is ignored.

mod api_key;
mod composite;
mod issuer;

use velocity_contract::auth_strategy::{AuthStrategySpec, AuthStrategyType, JwtSpec};
use velocity_schema::schema::StrategyRef;
use velocity_schema::{Violation, Violations};

use crate::oidc::OidcStrategy;
pub(crate) use api_key::ApiKeySettings;
pub(crate) use composite::Member;
pub(crate) use issuer::{Issuer, KeySource, is_loopback};

/// Most issuers of one strategy.
const MAX_ISSUERS: usize = 16;

/// A strategy that can be run. Only [`AuthStrategy::parse`] makes one.
#[derive(Debug, Clone)]
pub struct AuthStrategy {
    pub(crate) kind: Kind,
    pub(crate) fail_open: bool,
}

/// The block that `type` names.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Jwt(Vec<Issuer>),
    ApiKey(ApiKeySettings),
    Oidc(Box<OidcStrategy>),
    Composite(Vec<Member>),
}

impl AuthStrategy {
    /// The validated form, or everything that is wrong with `spec`, each with its path.
    pub fn parse(spec: &AuthStrategySpec) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        check_blocks(spec, &mut violations);
        let kind = parse_block(spec, &mut violations);
        if spec.kind == AuthStrategyType::Composite && spec.revocation.is_some() {
            violations.push(
                "spec.revocation",
                "exclusive",
                "does nothing in a composite: the member that takes the credential decides, so set it there",
            );
        }
        let fail_open = spec.revocation.as_ref().is_some_and(|revocation| revocation.fail_open);
        match kind {
            Some(kind) => violations.into_result(Self { kind, fail_open }),
            None => Err(violations),
        }
    }

    /// The members of a composite that lives in `namespace`, in order; `None` for any other strategy.
    pub fn members(&self, namespace: &str) -> Option<Vec<StrategyRef>> {
        match &self.kind {
            Kind::Composite(members) => {
                Some(members.iter().map(|member| member.in_namespace(namespace)).collect())
            }
            Kind::Jwt(_) | Kind::ApiKey(_) | Kind::Oidc(_) => None,
        }
    }
}

/// The block that `type` names. `None` only together with a violation.
fn parse_block(spec: &AuthStrategySpec, violations: &mut Violations) -> Option<Kind> {
    match spec.kind {
        AuthStrategyType::Jwt => spec.jwt.as_ref().map(|jwt| Kind::Jwt(parse_issuers(jwt, violations))),
        AuthStrategyType::ApiKey => {
            ApiKeySettings::parse(spec.api_key.as_ref()?, violations).map(Kind::ApiKey)
        }
        AuthStrategyType::Oidc => {
            OidcStrategy::parse(spec.oidc.as_ref()?, violations).map(|oidc| Kind::Oidc(Box::new(oidc)))
        }
        AuthStrategyType::Composite => {
            spec.composite.as_ref().map(|composite| Kind::Composite(composite::parse(composite, violations)))
        }
    }
}

/// The block named by `type` is set, and no other.
fn check_blocks(spec: &AuthStrategySpec, violations: &mut Violations) {
    let blocks = [
        (AuthStrategyType::Jwt, "jwt", spec.jwt.is_some()),
        (AuthStrategyType::Oidc, "oidc", spec.oidc.is_some()),
        (AuthStrategyType::ApiKey, "apiKey", spec.api_key.is_some()),
        (AuthStrategyType::Composite, "composite", spec.composite.is_some()),
    ];
    let wanted = blocks.iter().find(|(kind, ..)| *kind == spec.kind).map_or("", |(_, name, _)| name);
    for (kind, name, present) in blocks {
        if kind == spec.kind && !present {
            violations.push(
                format!("spec.{name}"),
                "required",
                format!("is missing: `type: {name}` needs a block of that name"),
            );
        } else if kind != spec.kind && present {
            violations.push(
                format!("spec.{name}"),
                "exclusive",
                format!("is not used by `type: {wanted}`: remove it or change the type"),
            );
        }
    }
}

fn parse_issuers(jwt: &JwtSpec, violations: &mut Violations) -> Vec<Issuer> {
    if jwt.issuers.is_empty() {
        violations.push("spec.jwt.issuers", "required", "is empty: name at least one issuer");
    }
    if jwt.issuers.len() > MAX_ISSUERS {
        violations.push("spec.jwt.issuers", "maxItems", format!("has more than {MAX_ISSUERS} issuers"));
        return Vec::new();
    }
    let mut issuers: Vec<Issuer> = Vec::new();
    for (index, spec) in jwt.issuers.iter().enumerate() {
        let path = format!("spec.jwt.issuers[{index}]");
        if jwt.issuers[..index].iter().any(|earlier| earlier.issuer == spec.issuer) {
            violations.push(
                format!("{path}.issuer"),
                "unique",
                "is there already: an issuer has one entry; `audience` and `jwks.keys` take several values",
            );
        }
        issuers.extend(Issuer::parse(spec, &path, violations));
    }
    issuers
}

/// Collects the problems of one object under its path.
pub(crate) struct Scope<'v> {
    path: &'v str,
    violations: &'v mut Violations,
    before: usize,
}

impl<'v> Scope<'v> {
    pub(crate) fn new(path: &'v str, violations: &'v mut Violations) -> Self {
        let before = violations.0.len();
        Self { path, violations, before }
    }

    /// A problem of the member `name` (such as `audience` or `jwks.keys[1]`).
    pub(crate) fn push(&mut self, name: &str, rule: &'static str, message: impl Into<String>) {
        self.violations.0.push(Violation::new(format!("{}.{name}", self.path), rule, message));
    }

    /// Whether nothing was found since this scope began.
    pub(crate) fn is_clean(&self) -> bool {
        self.violations.0.len() == self.before
    }

    pub(crate) fn path_of(&self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }

    pub(crate) fn violations(&mut self) -> &mut Violations {
        self.violations
    }
}
