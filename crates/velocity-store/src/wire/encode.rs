//! Turns a request into one buffer that ends in one Sync, and into the steps of its expected answer.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use bytes::{BufMut, BytesMut};
use postgres_protocol::message::frontend;

use super::{
    Params, Place, ResultLimit, Session, Statement,
    cache::{Key, Lookup, StatementCache, StatementId},
    exchange::{Exchange, Step, StepKind},
};

/// What a request does between its settings and its Sync.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// Runs a statement to its end.
    Run(Statement),
    /// Opens a named portal and reads its first rows.
    Open { statement: Statement, portal: u32, rows: i32 },
    /// Reads the next rows of a portal.
    Fetch { portal: u32, rows: i32, limit: ResultLimit },
    /// Closes a portal.
    ClosePortal { portal: u32 },
    /// `commit` or `rollback`.
    Control(&'static str),
}

/// In which state a request must leave the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// Outside of a transaction.
    Idle,
    /// Inside of one, as `Transaction` wants it.
    InTransaction,
}

/// One request as the connection's task owns it. Validated: writing it cannot fail.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// `begin ...`, before the settings.
    pub(super) begin: Option<&'static str>,
    /// The session to establish, with its statement timeout.
    pub(super) session: Option<(Session, Option<Duration>)>,
    /// The role under which the statements are prepared.
    pub(super) role: Option<Arc<str>>,
    /// What is asked.
    pub(super) actions: Vec<Action>,
    /// The state in which it must leave the connection.
    pub(super) ends: Ends,
    /// How long the server may stay silent before the connection is given up.
    pub(super) patience: Option<Duration>,
}

impl Request {
    /// A request that is a transaction of its own.
    pub(super) fn pipeline(session: Session, timeout: Option<Duration>, statements: Vec<Statement>) -> Self {
        Self {
            begin: None,
            role: session.role().cloned(),
            patience: patience(timeout, statements.len()),
            session: Some((session, timeout)),
            actions: statements.into_iter().map(Action::Run).collect(),
            ends: Ends::Idle,
        }
    }

    /// Whether it may be run again from the start after the server undid it.
    pub(super) fn is_whole(&self) -> bool {
        self.begin.is_none() && self.session.is_some() && self.ends == Ends::Idle
    }
}

/// On top of the statements' own timeouts: the way there and back, and the server's own work.
const GRACE: Duration = Duration::from_secs(5);

/// How long the server may stay silent; `None` where statements may take any time.
pub(super) fn patience(timeout: Option<Duration>, statements: usize) -> Option<Duration> {
    // The settings message and the commit count as statements too.
    let count = u32::try_from(statements + 2).unwrap_or(u32::MAX);
    timeout.map(|timeout| timeout.saturating_mul(count).saturating_add(GRACE))
}

/// Appends the request to `out`.
pub(super) fn encode(request: &Request, cache: &mut StatementCache, out: &mut BytesMut) -> Exchange {
    let mut writer = Writer { cache, out, steps: Vec::with_capacity(4 + 4 * request.actions.len()) };
    let closes = writer.cache.write_closes(writer.out);
    for _ in 0..closes {
        writer.step(Place::Connection, StepKind::Close);
    }
    if let Some(begin) = request.begin {
        writer.control(begin, Place::Settings, false);
    }
    if let Some((session, timeout)) = &request.session {
        writer.settings(session, *timeout);
    }
    for (index, action) in request.actions.iter().enumerate() {
        writer.action(request.role.as_ref(), index, action);
    }
    frontend::sync(writer.out);
    writer.step(Place::Commit, StepKind::Sync);
    Exchange::new(writer.steps)
}

struct Writer<'a> {
    cache: &'a mut StatementCache,
    out: &'a mut BytesMut,
    steps: Vec<Step>,
}

impl Writer<'_> {
    fn step(&mut self, place: Place, kind: StepKind) {
        self.steps.push(Step { place, kind });
    }

    /// Transaction control is never prepared under a name: losing a name must not lose a commit.
    fn control(&mut self, sql: &str, place: Place, keep: bool) {
        self.parse(None, sql, &[]);
        self.step(place, StepKind::Parse(None));
        self.bind("", None, &Params::new());
        self.step(place, StepKind::Bind);
        self.execute("", 0);
        self.step(place, StepKind::Execute { keep, columns: None, limit: ResultLimit::default() });
    }

    fn settings(&mut self, session: &Session, timeout: Option<Duration>) {
        // Sub-millisecond timeouts would turn into 0, which means none.
        let timeout = timeout.map(|t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX).max(1));
        let Some((sql, params)) = session.message(timeout) else { return };
        let key = Key { role: None, sql: &sql, params: &params, scope: None };
        let limit = ResultLimit::default();
        self.run(key, Place::Settings, "", 0, limit, false);
    }

    fn action(&mut self, role: Option<&Arc<str>>, index: usize, action: &Action) {
        let place = Place::Statement(index);
        match action {
            Action::Run(statement) => self.run(key(role, statement), place, "", 0, statement.limit, true),
            Action::Open { statement, portal, rows } => {
                self.run(key(role, statement), place, &portal_name(*portal), *rows, statement.limit, true);
            }
            Action::Fetch { portal, rows, limit } => {
                self.execute(&portal_name(*portal), *rows);
                self.step(place, StepKind::Execute { keep: true, columns: None, limit: *limit });
            }
            Action::ClosePortal { portal } => {
                // Cannot fail: the name holds no zero byte.
                let _ = frontend::close(b'P', &portal_name(*portal), self.out);
                self.step(place, StepKind::Close);
            }
            Action::Control(sql) => self.control(sql, place, true),
        }
    }

    fn run(&mut self, key: Key<'_>, place: Place, portal: &str, rows: i32, limit: ResultLimit, keep: bool) {
        let (id, columns) = match self.cache.lookup(key) {
            Lookup::Ready(id, columns) => (Some(id), Some(columns)),
            Lookup::Prepare(id) => {
                self.prepare(Some(id), key, place);
                (Some(id), None)
            }
            Lookup::Unnamed => {
                self.prepare(None, key, place);
                (None, None)
            }
        };
        self.bind(portal, id, key.params);
        self.step(place, StepKind::Bind);
        self.execute(portal, rows);
        self.step(place, StepKind::Execute { keep, columns, limit });
    }

    fn prepare(&mut self, id: Option<StatementId>, key: Key<'_>, place: Place) {
        self.parse(id, key.sql.as_str(), key.params.types());
        self.step(place, StepKind::Parse(id));
        message(self.out, b'D', |out| {
            out.put_u8(b'S');
            name(out, id);
        });
        self.step(place, StepKind::Describe(id));
    }

    fn parse(&mut self, id: Option<StatementId>, sql: &str, types: &[u32]) {
        let epoch = self.cache.epoch();
        message(self.out, b'P', |out| {
            name(out, id);
            if epoch > 0 && id.is_some() {
                // A pooler recognises statements by their text and would hand back the stale one.
                let _ = write!(out, "/*{epoch}*/");
            }
            out.put_slice(sql.as_bytes());
            out.put_u8(0);
            count(out, types.len());
            for oid in types {
                out.put_u32(*oid);
            }
        });
    }

    /// All parameters and all results in binary format.
    fn bind(&mut self, portal: &str, id: Option<StatementId>, params: &Params) {
        message(self.out, b'B', |out| {
            out.put_slice(portal.as_bytes());
            out.put_u8(0);
            name(out, id);
            out.put_slice(&[0, 1, 0, 1]);
            count(out, params.len());
            out.put_slice(params.body());
            out.put_slice(&[0, 1, 0, 1]);
        });
    }

    fn execute(&mut self, portal: &str, rows: i32) {
        // Cannot fail: the name holds no zero byte.
        let _ = frontend::execute(portal, rows, self.out);
    }
}

fn key<'a>(role: Option<&'a Arc<str>>, statement: &'a Statement) -> Key<'a> {
    Key { role, sql: &statement.sql, params: &statement.params, scope: statement.scope }
}

fn portal_name(portal: u32) -> String {
    format!("p{portal}")
}

fn name(out: &mut BytesMut, id: Option<StatementId>) {
    match id {
        Some(id) => id.write(out),
        None => out.put_u8(0),
    }
}

/// Counts were checked against 16 bits when the request was validated.
fn count(out: &mut BytesMut, count: usize) {
    out.put_u16(u16::try_from(count).unwrap_or(u16::MAX));
}

/// Writes a message's tag, length and body; sizes were checked when the request was validated.
fn message(out: &mut BytesMut, tag: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(tag);
    let base = out.len();
    out.put_i32(0);
    body(out);
    let len = u32::try_from(out.len() - base).unwrap_or(u32::MAX);
    out[base..base + 4].copy_from_slice(&len.to_be_bytes());
}
