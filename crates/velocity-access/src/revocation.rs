//! What has been revoked: every replica knows within two seconds, or lets nobody in.
//!
//! A background loop asks for changes every half second. A request that finds the last answer older than
//! [`FRESHNESS`] waits for a new one; all that wait share one question. So a slow machine is slow, never wrong, and a
//! database that does not answer stops everyone whose strategy does not say `failOpen`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::credential_store::{StoreFuture, StoreUnavailable};
use crate::error::{AuthError, TokenRefusal};
use crate::identity::{Credential, Identity};

/// How often changes are asked for.
const INTERVAL: Duration = Duration::from_millis(500);
/// How old the last answer may be for a request to be let in. With the interval and the time of an answer it stays below
/// the two seconds that are promised.
pub const FRESHNESS: Duration = Duration::from_millis(1500);
/// How long an answer may take. Longer than any database that is merely busy.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request whose strategy says `failOpen` waits for an answer.
const FAIL_OPEN_WAIT: Duration = Duration::from_millis(250);
/// After a failure, how long requests fail without asking again: a dead database is not asked once for each of them.
const FAILURE_PAUSE: Duration = Duration::from_millis(200);
/// How many revocations are there when those that have expired are first looked for, so that memory stays bounded by
/// those that still count.
const SWEEP_ABOVE: usize = 1024;

/// Where revocations are kept. The API implements it over Postgres.
pub trait RevocationSource: Send + Sync + 'static {
    /// The changes above the number `change`, ascending. It may leave the rest for the next question; only an empty
    /// answer means that there are no more.
    fn since(&self, change: i64) -> StoreFuture<'_, Vec<RevocationChange>>;
}

/// What is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevocationKind {
    /// Everything that proves an actor.
    Actor,
    /// A token, by its `jti`.
    Token,
    /// A session, by its id.
    Session,
    /// A key, by its id.
    Key,
}

impl RevocationKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Actor, Self::Token, Self::Session, Self::Key];

    /// The word in requests and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Actor => "actor",
            Self::Token => "token",
            Self::Session => "session",
            Self::Key => "key",
        }
    }
}

impl std::str::FromStr for RevocationKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| "is none of actor, token, session and key".to_owned())
    }
}

/// A revocation that was made, or lifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationChange {
    /// Its number: numbers come in the order in which changes become visible.
    pub change: i64,
    /// What kind of thing is revoked.
    pub kind: RevocationKind,
    /// Which one.
    pub value: String,
    /// It is revoked no more.
    pub lifted: bool,
    /// When the revocation ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// A source without revocations, for tests and installations without a database.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRevocations;

impl RevocationSource for NoRevocations {
    fn since(&self, _: i64) -> StoreFuture<'_, Vec<RevocationChange>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}

/// How checking revocations goes, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RevocationStatus {
    /// How many revocations are known.
    pub known: usize,
    /// The number of the last change that was seen.
    pub change: i64,
    /// How old the last answer is; `None`: there was none yet.
    pub age: Option<Duration>,
    /// How many questions failed.
    pub failures: u64,
}

/// The revocations that this replica knows. Cheap to clone.
#[derive(Clone)]
pub struct Revocations(Arc<Inner>);

struct Inner {
    source: Arc<dyn RevocationSource>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    revoked: HashMap<RevocationKind, HashMap<String, Option<Timestamp>>>,
    change: i64,
    sweep_above: usize,
    /// When the question was put whose answer is known: what was revoked before is known too.
    answered: Option<Instant>,
    failed: Option<Instant>,
    failures: u64,
    /// The question that is under way.
    flight: Option<Flight>,
}

type Flight = Shared<BoxFuture<'static, Result<(), StoreUnavailable>>>;

impl State {
    fn is_revoked(&self, identity: &Identity, now: Timestamp) -> bool {
        let is = |kind: RevocationKind, value: &str| {
            let expires_at = self.revoked.get(&kind).and_then(|values| values.get(value));
            expires_at.is_some_and(|expires_at| expires_at.is_none_or(|expires_at| now < expires_at))
        };
        let credential = match identity.credential() {
            Credential::Token { id: None } => false,
            Credential::Token { id: Some(id) } => is(RevocationKind::Token, id),
            Credential::Session { id, .. } => is(RevocationKind::Session, id),
            Credential::Key { id } => is(RevocationKind::Key, id),
        };
        credential || is(RevocationKind::Actor, identity.actor())
    }

    fn apply(&mut self, changes: Vec<RevocationChange>) {
        for change in changes {
            self.change = self.change.max(change.change);
            let values = self.revoked.entry(change.kind).or_default();
            if change.lifted {
                values.remove(&change.value);
            } else {
                values.insert(change.value, change.expires_at);
            }
        }
    }

    fn known(&self) -> usize {
        self.revoked.values().map(HashMap::len).sum()
    }

    /// Forgets what has ended by itself, each time that the number of revocations has doubled.
    fn sweep(&mut self, now: Timestamp) {
        if self.known() <= self.sweep_above.max(SWEEP_ABOVE) {
            return;
        }
        for values in self.revoked.values_mut() {
            values.retain(|_, expires_at| expires_at.is_none_or(|expires_at| now < expires_at));
        }
        self.sweep_above = 2 * self.known();
    }

    fn is_fresh(&self, at: Instant) -> bool {
        self.answered.is_some_and(|answered| answered + FRESHNESS >= at)
    }
}

impl Revocations {
    /// Nothing is known yet: the first request waits for the first answer.
    pub fn new(source: Arc<dyn RevocationSource>) -> Self {
        Self(Arc::new(Inner { source, state: Mutex::default() }))
    }

    /// Lets an identity pass whose credential and actor are not revoked. Waits for an answer where the last one is too
    /// old; where none comes, the request is refused unless its strategy says `failOpen`.
    pub async fn check(&self, identity: &Identity, fail_open: bool, now: Timestamp) -> Result<(), AuthError> {
        if !self.0.state().is_fresh(Instant::now()) {
            // Boxed, so that the future of every request does not carry the state of the rare path.
            let answer = Box::pin(self.0.fresh(Instant::now()));
            let answered = if fail_open {
                tokio::time::timeout(FAIL_OPEN_WAIT, answer).await.unwrap_or(Ok(()))
            } else {
                answer.await
            };
            if let Err(error) = answered {
                tracing::debug!(%error, fail_open, "revocations cannot be checked");
                // What is known to be revoked is not let in by an outage either.
                if !fail_open && !self.0.state().is_revoked(identity, now) {
                    return Err(AuthError::RevocationUnavailable);
                }
            }
        }
        if self.0.state().is_revoked(identity, now) {
            return Err(TokenRefusal::Revoked.into());
        }
        Ok(())
    }

    /// Asks for changes every half second for as long as a clone of this lives. Must be called within a Tokio runtime.
    pub fn spawn(&self) {
        let inner = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(INTERVAL);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Some(flight) = inner.upgrade().map(|inner| inner.flight()) else { return };
                // A failure was logged, and the next tick asks again.
                let _: Result<(), StoreUnavailable> = flight.await;
            }
        });
    }

    /// How it goes.
    pub fn status(&self) -> RevocationStatus {
        let state = self.0.state();
        RevocationStatus {
            known: state.known(),
            change: state.change,
            age: state.answered.map(|answered| answered.elapsed()),
            failures: state.failures,
        }
    }
}

impl Inner {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing panics while it is held, and what it holds is whole after each step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Comes back once an answer is known whose question was put at most [`FRESHNESS`] before `arrival`.
    async fn fresh(self: &Arc<Self>, arrival: Instant) -> Result<(), StoreUnavailable> {
        loop {
            let paused = {
                let state = self.state();
                if state.is_fresh(arrival) {
                    return Ok(());
                }
                state.flight.is_none() && state.failed.is_some_and(|failed| failed.elapsed() < FAILURE_PAUSE)
            };
            if paused {
                return Err(StoreUnavailable::new("the last question failed a moment ago"));
            }
            self.flight().await?;
        }
    }

    /// The question that is under way, or a new one. It goes on when those who wait for it go away.
    fn flight(self: &Arc<Self>) -> Flight {
        let mut state = self.state();
        if let Some(flight) = &state.flight {
            return flight.clone();
        }
        let task = tokio::spawn(ask(Arc::downgrade(self), state.change));
        let flight = task
            .map(|joined| joined.unwrap_or_else(|error| Err(StoreUnavailable::new(error))))
            .boxed()
            .shared();
        state.flight = Some(flight.clone());
        flight
    }
}

/// Asks for the changes after `change` until there are no more. At the end the state has no flight, whatever happened.
async fn ask(inner: Weak<Inner>, change: i64) -> Result<(), StoreUnavailable> {
    let Some(inner) = inner.upgrade() else { return Ok(()) };
    let landing = Landing(Arc::clone(&inner));
    let result = read_all(&inner, change).await;
    {
        let mut state = inner.state();
        match &result {
            Ok(asked) => {
                state.answered = Some(*asked);
                state.sweep(Timestamp::now());
            }
            Err(error) => {
                tracing::warn!(%error, "revocations could not be read");
                state.failed = Some(Instant::now());
                state.failures += 1;
            }
        }
    }
    drop(landing);
    result.map(|_| ())
}

/// When the last question was put, to which the answer was that there is nothing more.
async fn read_all(inner: &Inner, mut change: i64) -> Result<Instant, StoreUnavailable> {
    loop {
        let asked = Instant::now();
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, inner.source.since(change)).await;
        let changes = answer.unwrap_or_else(|_| Err(StoreUnavailable::new("no answer in time")))?;
        let Some(last) = changes.iter().map(|change| change.change).max() else { return Ok(asked) };
        if last <= change {
            return Err(StoreUnavailable::new("the numbers of changes go backwards"));
        }
        change = last;
        inner.state().apply(changes);
    }
}

/// Takes the flight out of the state when it ends, be it by a panic.
struct Landing(Arc<Inner>);

impl Drop for Landing {
    fn drop(&mut self) {
        self.0.state().flight = None;
    }
}
