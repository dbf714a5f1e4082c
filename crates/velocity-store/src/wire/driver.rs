//! The task that owns a connection: writes requests in order, reads their answers in order.
//!
//! It alone decides when a request is over. Callers come and go without it noticing.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{Buf as _, BytesMut};
use postgres_protocol::message::frontend;
use tokio::{
    io::{AsyncWrite as _, AsyncWriteExt as _},
    sync::mpsc,
    time::Sleep,
};
use tokio_util::io::poll_read_buf;

use super::{
    ConnectError, DbError, Place, Ran, Severity, WireError,
    cache::{Key, StatementCache},
    connection::{Command, ConnectionState, Hold, Reply, lost},
    encode::{Action, Ends, encode},
    exchange::{Exchange, Progress},
    frame::{Frame, FrameReader},
    startup::parse_parameter,
    stream::Stream,
};

/// Requests written ahead of their answers; the lanes stay below.
const MAX_PIPELINED: usize = 256;

/// Bytes written ahead: beyond it the socket has to take some first.
const MAX_BUFFERED: usize = 1024 * 1024;

/// How often it is checked whether the server still answers.
const PATIENCE_CHECK: Duration = Duration::from_secs(1);

/// How long the farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) struct Driver {
    commands: mpsc::UnboundedReceiver<Command>,
    stream: Stream,
    reader: FrameReader,
    out: BytesMut,
    unflushed: bool,
    cache: StatementCache,
    under_way: VecDeque<UnderWay>,
    /// Since when the first one waits for the server to say something.
    waiting_since: Instant,
    check: Pin<Box<Sleep>>,
    state: Arc<ConnectionState>,
}

struct UnderWay {
    command: Command,
    exchange: Exchange,
}

impl Driver {
    pub(super) fn new(
        commands: mpsc::UnboundedReceiver<Command>,
        stream: Stream,
        reader: FrameReader,
        state: Arc<ConnectionState>,
    ) -> Self {
        Self {
            commands,
            stream,
            reader,
            out: BytesMut::with_capacity(4096),
            unflushed: false,
            cache: StatementCache::default(),
            under_way: VecDeque::new(),
            waiting_since: Instant::now(),
            check: Box::pin(tokio::time::sleep(PATIENCE_CHECK)),
            state,
        }
    }

    /// Runs until nobody can ask any more, or the connection breaks.
    pub(super) async fn run(mut self) {
        match poll_fn(|cx| self.poll(cx)).await {
            Ok(()) => self.say_goodbye().await,
            Err(cause) => self.give_up(cause),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        loop {
            let orphaned = self.take_commands(cx);
            self.write(cx)?;
            if orphaned && self.under_way.is_empty() {
                return Poll::Ready(Ok(()));
            }
            // Answers make room for further requests: look for them before going to sleep.
            if self.read(cx)?.is_pending() {
                if !self.under_way.is_empty() {
                    self.check_patience(cx)?;
                }
                return Poll::Pending;
            }
        }
    }

    /// Writes what was asked into the buffer; true when nobody can ask any more.
    fn take_commands(&mut self, cx: &mut Context<'_>) -> bool {
        while self.under_way.len() < MAX_PIPELINED && self.out.len() < MAX_BUFFERED {
            match self.commands.poll_recv(cx) {
                Poll::Ready(Some(command)) => self.start(command),
                Poll::Ready(None) => return true,
                Poll::Pending => return false,
            }
        }
        false
    }

    fn start(&mut self, command: Command) {
        if self.under_way.is_empty() {
            self.waiting_since = Instant::now();
        }
        let exchange = encode(&command.request, &mut self.cache, &mut self.out);
        self.under_way.push_back(UnderWay { command, exchange });
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), ConnectError> {
        let broken = |source| ConnectError::Broken { source };
        while !self.out.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.out) {
                Poll::Ready(Ok(0)) => return Err(broken(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    self.out.advance(written);
                    self.unflushed = true;
                }
                // What the server said before it went away says more than the broken pipe: read it first.
                Poll::Ready(Err(source)) if source.kind() == io::ErrorKind::BrokenPipe => {
                    self.out.clear();
                }
                Poll::Ready(Err(source)) => return Err(broken(source)),
                Poll::Pending => break,
            }
        }
        if self.unflushed
            && let Poll::Ready(flushed) = Pin::new(&mut self.stream).poll_flush(cx)
        {
            flushed.map_err(broken)?;
            self.unflushed = false;
        }
        Ok(())
    }

    /// Reads once and deals with all messages that are complete.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, ConnectError> {
        let read = poll_read_buf(Pin::new(&mut self.stream), cx, self.reader.buffer());
        match read {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(Ok(0)) => {
                return Err(ConnectError::Broken { source: io::ErrorKind::UnexpectedEof.into() });
            }
            Poll::Ready(Ok(_)) => self.waiting_since = Instant::now(),
            Poll::Ready(Err(source)) => return Err(ConnectError::Broken { source }),
        }
        loop {
            let room = self.under_way.front().map_or(0, |first| first.exchange.row_room());
            match self.reader.next(room)? {
                Some(frame) => self.receive(frame)?,
                None => return Ok(Poll::Ready(())),
            }
        }
    }

    fn receive(&mut self, frame: Frame) -> Result<(), ConnectError> {
        match &frame {
            Frame::Message { tag: b'N', body } => {
                // Not its text: it can quote rows.
                if let Ok(notice) = DbError::parse(body, Place::Connection) {
                    tracing::debug!(sqlstate = %notice.code, "notice from Postgres");
                }
                return Ok(());
            }
            Frame::Message { tag: b'S', body } => return self.parameter_changed(body),
            Frame::Message { tag: b'A', .. } => return Ok(()),
            _ => {}
        }
        let Some(first) = self.under_way.front_mut() else {
            return Err(unasked(frame));
        };
        let progress = first.exchange.feed(frame, &mut self.cache)?;
        if let Some(failure) = first.exchange.failure()
            && matches!(failure.severity, Severity::Fatal | Severity::Panic)
        {
            return Err(ConnectError::Refused { source: Box::new(failure.clone()) });
        }
        match progress {
            Progress::More => Ok(()),
            Progress::Overflowed => {
                stop_overflow(&first.command);
                Ok(())
            }
            Progress::Done(transaction) => self.answered(transaction),
        }
    }

    fn parameter_changed(&self, body: &[u8]) -> Result<(), ConnectError> {
        let Some((name, value)) = parse_parameter(body) else {
            return Err(ConnectError::Protocol("a parameter status of an unknown form".into()));
        };
        if name == "client_encoding" && value != "UTF8" {
            return Err(ConnectError::Protocol("a statement changed client_encoding".into()));
        }
        self.state.set_parameter(name, value);
        Ok(())
    }

    fn answered(&mut self, transaction: u8) -> Result<(), ConnectError> {
        let Some(UnderWay { mut command, exchange }) = self.under_way.pop_front() else { return Ok(()) };
        self.waiting_since = Instant::now();
        if exchange.failure().is_some_and(DbError::is_stale_statement) {
            self.forget_statements(&command, exchange.failure());
            // The server has undone everything, and the statements can be prepared anew.
            if command.request.is_whole() && transaction == b'I' && !command.repeated {
                command.repeated = true;
                self.start(command);
                return Ok(());
            }
        }
        self.state.answered(transaction);
        let failed = exchange.failure().is_some();
        let misplaced = match command.request.ends {
            Ends::Idle => transaction != b'I',
            Ends::InTransaction => transaction == b'I' && !failed,
        };
        let outcome = if misplaced {
            Err(WireError::TransactionState { state: char::from(transaction) })
        } else {
            exchange.finish()
        };
        let stuck = misplaced && transaction != b'I';
        if stuck {
            // Before the connection can go back to anyone.
            self.state.close();
        }
        drop(command.hold);
        // Nobody may be waiting any more.
        let _ = command.reply.send(Reply::Done(outcome));
        if stuck {
            return Err(ConnectError::Protocol("a request left its connection inside a transaction".into()));
        }
        Ok(())
    }

    /// After "unknown statement" nothing that was prepared can be trusted; after "result has changed" it
    /// is about this request's statements only.
    fn forget_statements(&mut self, command: &Command, failure: Option<&DbError>) {
        if failure.is_some_and(|failure| failure.code == "26000") {
            self.cache.forget_all();
            return;
        }
        for action in &command.request.actions {
            if let Action::Run(statement) | Action::Open { statement, .. } = action {
                self.cache.forget_stale(Key {
                    role: command.request.role.as_ref(),
                    sql: &statement.sql,
                    params: &statement.params,
                    scope: statement.scope,
                });
            }
        }
    }

    /// Gives the connection up when the server stays silent for longer than the request may take.
    fn check_patience(&mut self, cx: &mut Context<'_>) -> Result<(), ConnectError> {
        while self.check.as_mut().poll(cx).is_ready() {
            self.check.as_mut().reset(tokio::time::Instant::now() + PATIENCE_CHECK);
            let patience = self.under_way.front().and_then(|first| first.command.request.patience);
            if let Some(timeout) = patience.filter(|patience| self.waiting_since.elapsed() > *patience) {
                let address = self.state.canceller().peer.to_string();
                return Err(ConnectError::Timeout { address, timeout });
            }
        }
        Ok(())
    }

    async fn say_goodbye(mut self) {
        self.state.close();
        self.out.clear();
        frontend::terminate(&mut self.out);
        let farewell = async {
            self.stream.write_all(&self.out).await?;
            self.stream.shutdown().await
        };
        // The server notices a closed socket as well.
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }

    fn give_up(mut self, cause: ConnectError) {
        self.state.close();
        self.commands.close();
        let cause = Arc::new(cause);
        tracing::debug!(error = %cause, under_way = self.under_way.len(), "connection to Postgres ended");
        for UnderWay { command, .. } in self.under_way.drain(..) {
            drop(command.hold);
            let error = lost(Ran::Unknown, Some(Arc::clone(&cause)));
            let _ = command.reply.send(Reply::Done(Err(error.into())));
        }
        while let Ok(command) = self.commands.try_recv() {
            drop(command.hold);
            let _ = command.reply.send(Reply::NotSent(command.request, Arc::clone(&cause)));
        }
    }
}

/// Nobody needs the rest of a result that is too large; on a connection of its own it can be cut short.
/// Not inside of a transaction, which may go on with a statement that the cancel would hit.
fn stop_overflow(command: &Command) {
    if let (Hold::Lease(lease), Ends::Idle) = (&command.hold, command.request.ends) {
        let lease = Arc::clone(lease);
        tokio::spawn(async move { lease.cancel().await });
    }
}

/// The server speaks without being asked: its farewell, or nonsense.
fn unasked(frame: Frame) -> ConnectError {
    match frame {
        Frame::Message { tag: b'E', body } => match DbError::parse(&body, Place::Connection) {
            Ok(error) => ConnectError::Refused { source: Box::new(error) },
            Err(error) => error,
        },
        Frame::Message { tag, .. } => {
            ConnectError::Protocol(format!("message {:?} without a request", char::from(tag)))
        }
        Frame::OversizedRow => ConnectError::Protocol("a row without a request".into()),
    }
}
