//! The lane in which a request has its connection to itself: writes, searches, exports, transactions.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::oneshot};

use super::{
    Config, Connection, Counters, Pipeline, Ran, ResultSet, Session, Transaction, TransactionMode,
    Unavailable, UnavailableReason, WireError,
    backoff::Backoff,
    connection::{Reply, lost, receive},
    encode::Request,
    pool::{Lease, Waiting, report_failure},
    statement::validate_all,
};

/// How much the lane may use, and how long it may keep callers waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExclusiveLimits {
    /// Connections at most.
    pub connections: usize,
    /// Callers that may wait for a connection; the next is refused at once.
    pub waiting: usize,
    /// How long a caller waits for a connection.
    pub acquire_timeout: Duration,
    /// A connection that is older is replaced when it is next free: server processes grow with what they
    /// have seen.
    pub max_lifetime: Duration,
    /// A connection that has been idle for as long is closed.
    pub idle_timeout: Duration,
}

impl Default for ExclusiveLimits {
    /// 16 connections served two cores best when measured; the queue holds about a second's work.
    fn default() -> Self {
        Self {
            connections: 16,
            waiting: 512,
            acquire_timeout: Duration::from_secs(2),
            max_lifetime: Duration::from_mins(30),
            idle_timeout: Duration::from_mins(5),
        }
    }
}

/// A pool of connections, each for one request at a time. Connections are made when needed, in tasks of
/// their own; waiting callers are served in order. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Exclusive {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    config: Arc<Config>,
    limits: ExclusiveLimits,
    state: Mutex<State>,
    /// Where requests that outlive their callers are looked after.
    runtime: OnceLock<Handle>,
    waiting: AtomicUsize,
    created: AtomicU64,
    failed: AtomicU64,
    discarded: AtomicU64,
    refused: AtomicU64,
}

type Handover = Result<Lease, Unavailable>;

#[derive(Debug, Default)]
struct State {
    /// Most recently used last.
    idle: Vec<(Connection, Instant)>,
    /// Idle and leased.
    live: usize,
    connecting: usize,
    /// Oldest first; some may have given up.
    waiters: VecDeque<oneshot::Sender<Handover>>,
    backoff: Backoff,
}

impl Exclusive {
    /// A lane to the configured server. Connects to nothing yet.
    pub fn new(config: Config, limits: ExclusiveLimits) -> Self {
        let shared = Shared {
            config: Arc::new(config),
            limits,
            state: Mutex::default(),
            runtime: OnceLock::new(),
            waiting: AtomicUsize::new(0),
            created: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Runs a pipeline on a connection of its own; one result per statement.
    ///
    /// Once queued it runs to its end. If the returned future is dropped before, the statement under way is
    /// cancelled, and the connection is used again only after the server is done with both.
    pub async fn pipeline(&self, pipeline: Pipeline) -> Result<Vec<ResultSet>, WireError> {
        validate_all(&pipeline.statements)?;
        let Pipeline { session, statement_timeout, statements } = pipeline;
        let mut request = Box::new(Request::pipeline(session, statement_timeout, statements));
        loop {
            let lease = self.acquire().await?;
            match self.call(lease, request).await {
                Reply::Done(outcome) => return outcome,
                // The connection had died unnoticed. The next is another one, or the server is away.
                Reply::NotSent(back, _) => request = back,
            }
        }
    }

    /// Begins a transaction, which the server learns of with its first statement.
    pub async fn begin(
        &self,
        session: Session,
        mode: TransactionMode,
        statement_timeout: Option<Duration>,
    ) -> Result<Transaction, WireError> {
        let lease = self.acquire().await?;
        Ok(Transaction::new(self.clone(), lease, session, mode, statement_timeout))
    }

    /// Runs `work` in a transaction: commits if it succeeds, rolls back if it fails or is dropped.
    pub async fn transaction<T, E: From<WireError>>(
        &self,
        session: Session,
        mode: TransactionMode,
        statement_timeout: Option<Duration>,
        work: impl AsyncFnOnce(&mut Transaction) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut transaction = self.begin(session, mode, statement_timeout).await?;
        let outcome = work(&mut transaction).await?;
        transaction.commit().await?;
        Ok(outcome)
    }

    /// The lane's numbers.
    pub fn counters(&self) -> Counters {
        let shared = &self.shared;
        let state = shared.lock();
        let idle = state.idle.len();
        let in_use = state.live - idle;
        Counters {
            in_use,
            idle,
            waiting: shared.waiting.load(Ordering::Relaxed),
            in_flight: in_use,
            created: shared.created.load(Ordering::Relaxed),
            failed: shared.failed.load(Ordering::Relaxed),
            discarded: shared.discarded.load(Ordering::Relaxed),
            refused: shared.refused.load(Ordering::Relaxed),
        }
    }

    pub(super) fn runtime(&self) -> Handle {
        self.shared.runtime.get_or_init(Handle::current).clone()
    }

    /// Hands request and lease to the connection's task.
    async fn call(&self, lease: Arc<Lease>, request: Box<Request>) -> Reply {
        let mut guard = CancelOnDrop { lease: Arc::downgrade(&lease), runtime: Some(self.runtime()) };
        let receiver = lease.send(request);
        // From here on the task alone decides when the connection is free.
        drop(lease);
        let reply = receive(receiver).await;
        guard.runtime = None;
        reply
    }

    pub(super) async fn acquire(&self) -> Result<Arc<Lease>, WireError> {
        self.runtime();
        let shared = &self.shared;
        let receiver = {
            let mut state = shared.lock();
            let now = Instant::now();
            if let Some(connection) = shared.pop_idle(&mut state, now) {
                return Ok(Arc::new(Lease::new(connection, Arc::downgrade(shared))));
            }
            if state.live + state.connecting == 0 && !state.backoff.allows(now) {
                return Err(state.backoff.unavailable(now).into());
            }
            if state.waiters.len() >= shared.limits.waiting {
                state.waiters.retain(|waiter| !waiter.is_closed());
            }
            if state.waiters.len() >= shared.limits.waiting {
                return Err(shared.refuse(UnavailableReason::QueueFull).into());
            }
            let (sender, receiver) = oneshot::channel();
            state.waiters.push_back(sender);
            shared.grow(&mut state, now);
            receiver
        };
        let _waiting = Waiting::new(&shared.waiting);
        match tokio::time::timeout(shared.limits.acquire_timeout, receiver).await {
            Ok(Ok(handover)) => Ok(Arc::new(handover?)),
            Ok(Err(_)) => Err(lost(Ran::No, None).into()),
            Err(_) => Err(shared.refuse(UnavailableReason::AcquireTimeout).into()),
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

    /// An idle connection that is still good; those that are not are closed.
    fn pop_idle(&self, state: &mut State, now: Instant) -> Option<Connection> {
        let expired =
            state.idle.iter().take_while(|(_, since)| now - *since > self.limits.idle_timeout).count();
        state.idle.drain(..expired);
        self.discard(state, expired);
        while let Some((connection, _)) = state.idle.pop() {
            if connection.is_clean() {
                return Some(connection);
            }
            self.discard(state, 1);
        }
        None
    }

    fn discard(&self, state: &mut State, count: usize) {
        state.live -= count;
        self.discarded.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Makes connections for those who wait. While the server is in trouble one attempt at a time, after a
    /// pause.
    fn grow(self: &Arc<Self>, state: &mut State, now: Instant) {
        let Some(runtime) = self.runtime.get() else { return };
        while state.connecting < state.waiters.len()
            && state.live + state.connecting < self.limits.connections
            && state.backoff.allows(now)
            && !(state.backoff.is_troubled() && state.connecting > 0)
        {
            state.connecting += 1;
            runtime.spawn(connect(Arc::downgrade(self), Arc::clone(&self.config)));
        }
    }

    /// Gives a connection to whoever waits longest, or puts it aside.
    fn offer(self: &Arc<Self>, state: &mut State, mut connection: Connection) {
        while let Some(waiter) = state.waiters.pop_front() {
            match waiter.send(Ok(Lease::new(connection, Arc::downgrade(self)))) {
                // Taken out first: a lease that is dropped here would want the lock that is held.
                Err(Ok(mut lease)) => match lease.take() {
                    Some(back) => connection = back,
                    None => return,
                },
                Ok(()) | Err(Err(_)) => return,
            }
        }
        state.idle.push((connection, Instant::now()));
    }

    /// Nobody should wait for a server that cannot be reached.
    fn turn_waiters_away(state: &mut State, now: Instant) {
        if state.live + state.connecting == 0 {
            for waiter in state.waiters.drain(..) {
                let _ = waiter.send(Err(state.backoff.unavailable(now)));
            }
        }
    }
}

/// A lease came back.
pub(super) fn give_back(shared: &Arc<Shared>, connection: Connection, usable: bool) {
    let mut state = shared.lock();
    if usable && connection.age() < shared.limits.max_lifetime {
        shared.offer(&mut state, connection);
        return;
    }
    shared.discard(&mut state, 1);
    let now = Instant::now();
    shared.grow(&mut state, now);
    if !state.backoff.allows(now) {
        Shared::turn_waiters_away(&mut state, now);
    }
}

async fn connect(pool: Weak<Shared>, config: Arc<Config>) {
    let outcome = Connection::connect(&config).await;
    let Some(shared) = pool.upgrade() else { return };
    let mut state = shared.lock();
    state.connecting -= 1;
    let now = Instant::now();
    match outcome {
        Ok(connection) => {
            state.backoff.succeeded();
            state.live += 1;
            shared.created.fetch_add(1, Ordering::Relaxed);
            shared.offer(&mut state, connection);
            shared.grow(&mut state, now);
        }
        Err(error) => {
            report_failure(&error);
            shared.failed.fetch_add(1, Ordering::Relaxed);
            state.backoff.failed(now, rand::random(), Arc::new(error));
            Shared::turn_waiters_away(&mut state, now);
        }
    }
}

/// Cancels the request if its caller leaves before the answer. The lease is held until the server has dealt
/// with the cancel, which must not hit the next request.
struct CancelOnDrop {
    lease: Weak<Lease>,
    runtime: Option<Handle>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // Without a lease the answer is complete: there is nothing to cancel.
        let (Some(runtime), Some(lease)) = (self.runtime.take(), self.lease.upgrade()) else { return };
        runtime.spawn(async move {
            lease.cancel().await;
        });
    }
}
