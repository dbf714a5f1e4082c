//! The lane of short reads: a few connections that carry many requests at once.
//!
//! Answers come in order, so that a slow statement holds up those behind it on its connection. Never put a
//! statement here that can wait for a lock.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout_at,
};

use super::{
    Config, Connection, Counters, Pipeline, Ran, ResultSet, Unavailable, UnavailableReason, WireError,
    backoff::Backoff,
    connection::{Hold, Reply, receive},
    encode::Request,
    pool::{Waiting, report_failure},
    statement::validate_all,
};

/// How much the lane may use, and how long it may keep callers waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MuxLimits {
    /// Connections at most.
    pub connections: usize,
    /// Requests under way on all of them together.
    pub in_flight: usize,
    /// Callers that may wait for a place; the next is refused at once.
    pub waiting: usize,
    /// How long a caller waits for a place and a connection.
    pub acquire_timeout: Duration,
    /// The longest `statement_timeout`; also the one of requests that name none.
    pub statement_timeout: Duration,
    /// A connection that is older is replaced.
    pub max_lifetime: Duration,
}

impl Default for MuxLimits {
    /// Two to four connections saturated two cores when measured, with 32 requests under way on each.
    fn default() -> Self {
        Self {
            connections: 4,
            in_flight: 128,
            waiting: 512,
            acquire_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_millis(250),
            max_lifetime: Duration::from_mins(30),
        }
    }
}

/// A few connections shared by many requests. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Mux {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Arc<Config>,
    limits: MuxLimits,
    places: Arc<Semaphore>,
    state: Mutex<State>,
    waiting: AtomicUsize,
    created: AtomicU64,
    failed: AtomicU64,
    discarded: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    connections: Vec<Arc<Connection>>,
    connecting: bool,
    /// Those who wait for the first connection, or the news that there is none.
    waiters: Vec<oneshot::Sender<()>>,
    backoff: Backoff,
}

impl Mux {
    /// A lane to the configured server. Connects to nothing yet.
    pub fn new(config: Config, limits: MuxLimits) -> Self {
        let shared = Shared {
            config: Arc::new(config),
            places: Arc::new(Semaphore::new(limits.in_flight)),
            limits,
            state: Mutex::default(),
            waiting: AtomicUsize::new(0),
            created: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Runs a pipeline on a shared connection; one result per statement.
    ///
    /// Once queued it runs to its end, whether or not the returned future is still there.
    pub async fn pipeline(&self, pipeline: Pipeline) -> Result<Vec<ResultSet>, WireError> {
        validate_all(&pipeline.statements)?;
        let Pipeline { session, statement_timeout, statements } = pipeline;
        let longest = self.shared.limits.statement_timeout;
        let timeout = statement_timeout.filter(|timeout| !timeout.is_zero()).unwrap_or(longest).min(longest);
        let mut request = Box::new(Request::pipeline(session, Some(timeout), statements));
        let deadline = tokio::time::Instant::now() + self.shared.limits.acquire_timeout;
        loop {
            let place = self.place(deadline).await?;
            let connection = self.connection(deadline).await?;
            let receiver = connection.send(request, Hold::Permit(place));
            drop(connection);
            match receive(receiver).await {
                Reply::Done(outcome) => return outcome,
                // The connection had died unnoticed. The next is another one, or the server is away.
                Reply::NotSent(back, _) => request = back,
            }
        }
    }

    /// The lane's numbers.
    pub fn counters(&self) -> Counters {
        let shared = &self.shared;
        let state = shared.lock();
        let in_use = state.connections.iter().filter(|connection| connection.in_flight() > 0).count();
        Counters {
            in_use,
            idle: state.connections.len() - in_use,
            waiting: shared.waiting.load(Ordering::Relaxed),
            in_flight: state.connections.iter().map(|connection| connection.in_flight()).sum(),
            created: shared.created.load(Ordering::Relaxed),
            failed: shared.failed.load(Ordering::Relaxed),
            discarded: shared.discarded.load(Ordering::Relaxed),
            refused: shared.refused.load(Ordering::Relaxed),
        }
    }

    /// One of the places for requests under way; first come, first served.
    async fn place(&self, deadline: tokio::time::Instant) -> Result<OwnedSemaphorePermit, WireError> {
        let shared = &self.shared;
        if let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() {
            return Ok(place);
        }
        if shared.waiting.load(Ordering::Relaxed) >= shared.limits.waiting {
            return Err(shared.refuse(UnavailableReason::QueueFull).into());
        }
        let _waiting = Waiting::new(&shared.waiting);
        match timeout_at(deadline, Arc::clone(&shared.places).acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            // The semaphore is never closed: both mean that there was no place.
            Ok(Err(_)) | Err(_) => Err(shared.refuse(UnavailableReason::AcquireTimeout).into()),
        }
    }

    /// The connection with the fewest requests under way.
    async fn connection(&self, deadline: tokio::time::Instant) -> Result<Arc<Connection>, WireError> {
        let shared = &self.shared;
        loop {
            let receiver = {
                let mut state = shared.lock();
                let now = Instant::now();
                shared.retire(&mut state);
                let best = state.connections.iter().min_by_key(|connection| connection.in_flight()).cloned();
                if best.as_ref().is_none_or(|best| best.in_flight() > 0) {
                    shared.grow(&mut state, now);
                }
                if let Some(best) = best {
                    return Ok(best);
                }
                if !state.connecting {
                    return Err(state.backoff.unavailable(now).into());
                }
                let (sender, receiver) = oneshot::channel();
                state.waiters.push(sender);
                receiver
            };
            let _waiting = Waiting::new(&shared.waiting);
            if timeout_at(deadline, receiver).await.is_err() {
                return Err(shared.refuse(UnavailableReason::AcquireTimeout).into());
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse(&self, reason: UnavailableReason) -> Unavailable {
        self.refused.fetch_add(1, Ordering::Relaxed);
        Unavailable { reason, retry_after: Duration::from_secs(1), ran: Ran::No, source: None }
    }

    /// Lets go of connections that ended or are too old; what is under way on them still ends well.
    fn retire(&self, state: &mut State) {
        let before = state.connections.len();
        let lifetime = self.limits.max_lifetime;
        state.connections.retain(|connection| !connection.is_closed() && connection.age() < lifetime);
        let gone = before - state.connections.len();
        self.discarded.fetch_add(gone as u64, Ordering::Relaxed);
    }

    /// One attempt at a time: the lane is small.
    fn grow(self: &Arc<Self>, state: &mut State, now: Instant) {
        if !state.connecting && state.connections.len() < self.limits.connections && state.backoff.allows(now)
        {
            state.connecting = true;
            tokio::spawn(connect(Arc::downgrade(self), Arc::clone(&self.config)));
        }
    }
}

async fn connect(lane: Weak<Shared>, config: Arc<Config>) {
    let outcome = Connection::connect(&config).await;
    let Some(shared) = lane.upgrade() else { return };
    let mut state = shared.lock();
    state.connecting = false;
    match outcome {
        Ok(connection) => {
            state.backoff.succeeded();
            state.connections.push(Arc::new(connection));
            shared.created.fetch_add(1, Ordering::Relaxed);
        }
        Err(error) => {
            report_failure(&error);
            shared.failed.fetch_add(1, Ordering::Relaxed);
            state.backoff.failed(Instant::now(), rand::random(), Arc::new(error));
        }
    }
    for waiter in state.waiters.drain(..) {
        // Some may have given up.
        let _ = waiter.send(());
    }
}
