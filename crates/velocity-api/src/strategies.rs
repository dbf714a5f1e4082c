//! The AuthStrategies that run, and the identity of a request under the one that decides.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use velocity_access::oidc::Oidc;
use velocity_access::{
    AuthError, Authenticator, Credentials, Identity, NoRevocations, Revocations, TokenRefusal,
};
use velocity_schema::schema::StrategyRef;

use crate::error::ApiError;

/// Every strategy that runs at one moment. One that is broken is not in it: nobody gets in through it.
pub type RunningStrategies = HashMap<StrategyRef, Arc<Authenticator>>;

/// The current [`RunningStrategies`]: written by the informer, read by every request without a lock. And what has been
/// revoked, which is looked at after each authentication.
#[derive(Clone)]
pub struct Strategies {
    running: Arc<ArcSwap<RunningStrategies>>,
    revocations: Revocations,
}

impl Default for Strategies {
    /// Without revocations: for tests.
    fn default() -> Self {
        Self::new(Revocations::new(Arc::new(NoRevocations)))
    }
}

impl Strategies {
    /// No strategies yet, and what `revocations` come to know.
    pub fn new(revocations: Revocations) -> Self {
        Self { running: Arc::default(), revocations }
    }

    /// Replaces them.
    pub fn store(&self, running: RunningStrategies) {
        self.running.store(Arc::new(running));
    }

    /// How many run.
    pub fn len(&self) -> usize {
        self.running.load().len()
    }

    /// Whether none runs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What has been revoked.
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// The strategy of that name, if it runs.
    pub(crate) fn find(&self, strategy: &StrategyRef) -> Option<Arc<Authenticator>> {
        self.running.load().get(strategy).cloned()
    }

    /// The sign-in of any oidc strategy that runs: they share the store of sessions.
    pub(crate) fn any_oidc(&self) -> Option<Oidc> {
        self.running.load().values().find_map(|running| running.oidc().cloned())
    }

    /// The caller's identity under `strategy`. Without a strategy nobody has one.
    pub(crate) async fn authenticate(
        &self,
        strategy: Option<&StrategyRef>,
        credentials: &Credentials<'_>,
    ) -> Result<Arc<Identity>, ApiError> {
        // The strategies are not held while we wait: those that are replaced meanwhile may go.
        let candidates = strategy.and_then(|strategy| candidates(&self.running.load(), strategy));
        let Some(candidates) = candidates else {
            let credential_sent = credentials.headers.contains_key(AUTHORIZATION);
            return Err(ApiError::NoStrategy { strategy: strategy.cloned(), credential_sent });
        };
        // Which of two tokens counts is no question of who looks first.
        if credentials.headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
            return Err(AuthError::from(TokenRefusal::Ambiguous).into());
        }
        let now = Timestamp::now();
        for authenticator in candidates.iter() {
            // A credential that is recognised and not good ends the search.
            if let Some(identity) = authenticator.authenticate(credentials, now).await? {
                self.revocations.check(&identity, authenticator.fail_open(), now).await?;
                return Ok(identity);
            }
        }
        Err(refusal(&candidates, credentials).into())
    }

    /// Whether `platform-admin` counts for identities that `proven_by` proved: it is the installation's default strategy,
    /// one of its members, or lives in its namespace. A tenant's own strategy makes no administrators.
    pub(crate) fn admin_counts(&self, proven_by: &str, default: Option<&StrategyRef>) -> bool {
        let Some(default) = default else { return false };
        let Some((namespace, name)) = proven_by.split_once('/') else { return false };
        let is = |strategy: &StrategyRef| strategy.namespace == namespace && strategy.name == name;
        namespace == default.namespace
            || self
                .running
                .load()
                .get(default)
                .and_then(|running| running.members().map(|m| m.iter().any(is)))
                == Some(true)
    }
}

/// The strategies to ask in order: one, or the members of a composite. `None` where the strategy or any member of it does
/// not run or is a composite itself: a composite without one of its members would give the wrong answer to whoever would
/// have been recognised there, and perhaps be taken by a later member.
fn candidates(running: &RunningStrategies, strategy: &StrategyRef) -> Option<Candidates> {
    let found = running.get(strategy)?;
    let Some(members) = found.members() else { return Some(Candidates::One(Arc::clone(found))) };
    let member =
        |member: &StrategyRef| running.get(member).filter(|found| found.members().is_none()).cloned();
    members.iter().map(member).collect::<Option<Vec<_>>>().map(Candidates::Several)
}

enum Candidates {
    One(Arc<Authenticator>),
    Several(Vec<Arc<Authenticator>>),
}

impl Candidates {
    fn iter(&self) -> std::slice::Iter<'_, Arc<Authenticator>> {
        match self {
            Self::One(one) => std::slice::from_ref(one).iter(),
            Self::Several(several) => several.iter(),
        }
    }
}

/// Why nobody recognised the credentials: what a strategy that was sent something says about it.
fn refusal(candidates: &Candidates, credentials: &Credentials<'_>) -> AuthError {
    let mut reasons = candidates.iter().map(|authenticator| authenticator.why_not(credentials));
    if let Candidates::One(_) = candidates {
        return reasons.next().unwrap_or(AuthError::Required);
    }
    // Each member says why it is not its own; together that is one thing, unless they all know better.
    match reasons.find(|reason| *reason != AuthError::Required) {
        Some(AuthError::InvalidToken(TokenRefusal::KeyAsBearer)) => TokenRefusal::KeyAsBearer.into(),
        Some(_) => TokenRefusal::NotRecognised.into(),
        None => AuthError::Required,
    }
}

#[cfg(test)]
mod tests;
