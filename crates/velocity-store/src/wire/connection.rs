//! A handle to one connection. The connection itself lives in its task (`driver`).

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::{
    Config, ConnectError, Pipeline, Ran, ResultSet, Unavailable, UnavailableReason, WireError,
    cancel::Canceller,
    driver::Driver,
    encode::Request,
    frame::FrameReader,
    pool::Lease,
    startup,
    statement::validate_all,
    stream::{Peer, Stream},
};

/// How soon a retry after a lost connection makes sense: a restarted Postgres takes about as long.
const RETRY_AFTER_LOSS: Duration = Duration::from_secs(1);

/// One connection to Postgres. Dropping it ends the connection once what was asked has been answered.
#[derive(Debug)]
pub struct Connection {
    commands: mpsc::UnboundedSender<Command>,
    state: Arc<ConnectionState>,
}

/// What handle and task both see.
#[derive(Debug)]
pub(super) struct ConnectionState {
    closed: AtomicBool,
    in_flight: AtomicUsize,
    /// `I`, `T` or `E`, as of the last answer.
    transaction: AtomicU8,
    parameters: Mutex<HashMap<String, String>>,
    canceller: Canceller,
    created: Instant,
}

/// What a request keeps for as long as it is under way, whether or not its caller still waits.
#[derive(Debug)]
pub(super) enum Hold {
    /// A connection that nobody else can reach.
    None,
    /// The exclusive right to the connection.
    Lease(Arc<Lease>),
    /// A place in a shared lane.
    Permit(#[expect(dead_code, reason = "held for its Drop")] OwnedSemaphorePermit),
}

/// A request on its way to the connection's task.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) request: Box<Request>,
    pub(super) reply: oneshot::Sender<Reply>,
    pub(super) hold: Hold,
    /// It has been repeated once already.
    pub(super) repeated: bool,
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Reply {
    /// The server has answered, or the answer was lost.
    Done(Result<Vec<ResultSet>, WireError>),
    /// The connection ended before anything was sent; here it is back.
    NotSent(Box<Request>, Arc<ConnectError>),
}

impl Connection {
    /// Opens a connection and logs in, within the configured time. Needs a Tokio runtime.
    pub async fn connect(config: &Arc<Config>) -> Result<Self, ConnectError> {
        let timeout = config.connect_timeout;
        match tokio::time::timeout(timeout, Box::pin(Self::open(config))).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ConnectError::Timeout { address: config.address(), timeout }),
        }
    }

    async fn open(config: &Arc<Config>) -> Result<Self, ConnectError> {
        let (mut stream, peer) = Stream::open(config).await?;
        let mut reader = FrameReader::default();
        let greeting = startup::log_in(config, &mut stream, &mut reader).await?;
        let canceller = Canceller {
            config: Arc::clone(config),
            peer,
            process_id: greeting.process_id,
            secret_key: greeting.secret_key,
        };
        let state = Arc::new(ConnectionState {
            closed: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            transaction: AtomicU8::new(b'I'),
            parameters: Mutex::new(greeting.parameters),
            canceller,
            created: Instant::now(),
        });
        let (commands, receiver) = mpsc::unbounded_channel();
        tokio::spawn(Driver::new(receiver, stream, reader, Arc::clone(&state)).run());
        Ok(Self { commands, state })
    }

    /// Runs a pipeline. Once queued it runs to its end, also if the returned future is dropped.
    pub async fn pipeline(&self, pipeline: Pipeline) -> Result<Vec<ResultSet>, WireError> {
        validate_all(&pipeline.statements)?;
        let Pipeline { session, statement_timeout, statements } = pipeline;
        let request = Request::pipeline(session, statement_timeout, statements);
        match receive(self.send(Box::new(request), Hold::None)).await {
            Reply::Done(outcome) => outcome,
            Reply::NotSent(_, cause) => Err(lost(Ran::No, Some(cause)).into()),
        }
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.state.closed.load(Ordering::Acquire) || self.commands.is_closed()
    }

    /// A server parameter such as `server_version`, as the server last reported it.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.state.parameters.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The server process that serves this connection; a pooler's number where there is one.
    pub fn process_id(&self) -> i32 {
        self.state.canceller.process_id
    }

    /// Requests that are queued or under way.
    pub fn in_flight(&self) -> usize {
        self.state.in_flight.load(Ordering::Acquire)
    }

    /// Whether it can be given to the next one: alive, nothing under way, outside of a transaction.
    pub(super) fn is_clean(&self) -> bool {
        !self.is_closed() && self.in_flight() == 0 && self.transaction() == b'I'
    }

    pub(super) fn transaction(&self) -> u8 {
        self.state.transaction.load(Ordering::Acquire)
    }

    pub(super) fn age(&self) -> Duration {
        self.state.created.elapsed()
    }

    pub(super) fn canceller(&self) -> &Canceller {
        &self.state.canceller
    }

    /// Queues a request; the connection's task owns it from here on.
    pub(super) fn send(&self, request: Box<Request>, hold: Hold) -> oneshot::Receiver<Reply> {
        let (reply, receiver) = oneshot::channel();
        self.state.in_flight.fetch_add(1, Ordering::AcqRel);
        let command = Command { request, reply, hold, repeated: false };
        if let Err(mpsc::error::SendError(command)) = self.commands.send(command) {
            self.state.in_flight.fetch_sub(1, Ordering::AcqRel);
            let cause = ConnectError::Broken { source: std::io::ErrorKind::NotConnected.into() };
            command.finish(Reply::NotSent, cause);
        }
        receiver
    }
}

impl Command {
    fn finish(self, reply: fn(Box<Request>, Arc<ConnectError>) -> Reply, cause: ConnectError) {
        drop(self.hold);
        // Nobody may be waiting any more.
        let _ = self.reply.send(reply(self.request, Arc::new(cause)));
    }
}

impl ConnectionState {
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// One request less; the server is in this transaction state.
    pub(super) fn answered(&self, transaction: u8) {
        self.transaction.store(transaction, Ordering::Release);
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn set_parameter(&self, name: String, value: String) {
        self.parameters.lock().unwrap_or_else(PoisonError::into_inner).insert(name, value);
    }

    pub(super) fn canceller(&self) -> &Canceller {
        &self.canceller
    }
}

/// Waits for what became of a request.
pub(super) async fn receive(receiver: oneshot::Receiver<Reply>) -> Reply {
    // Without a word only where the connection's task was torn down with its runtime.
    receiver.await.unwrap_or_else(|_| Reply::Done(Err(lost(Ran::Unknown, None).into())))
}

/// The error of a request whose connection ended.
pub(super) fn lost(ran: Ran, source: Option<Arc<ConnectError>>) -> Unavailable {
    let reason = match source.as_deref() {
        Some(ConnectError::Refused { .. }) => UnavailableReason::ServerClosing,
        Some(ConnectError::Timeout { .. }) => UnavailableReason::NoAnswer,
        _ => UnavailableReason::ConnectionLost,
    };
    Unavailable { reason, retry_after: RETRY_AFTER_LOSS, ran, source }
}

/// Where a connection leads, for tests and logs.
impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}
