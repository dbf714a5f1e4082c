//! What can go wrong between a caller and Postgres, as values that can be told apart.

use std::{fmt, io, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Oid, ResultLimit};

/// The outcome of a request that did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WireError {
    /// Postgres refused the statement; nothing of the request remains.
    #[error(transparent)]
    Database(Box<DbError>),
    /// Postgres cannot be reached, went away, or all connections are busy.
    #[error(transparent)]
    Unavailable(Box<Unavailable>),
    /// The result is larger than the statement allows. Where the statement writes, it may have been
    /// committed.
    #[error(
        "result of statement {statement} exceeds {} rows or {} bytes; ask for fewer rows or stream them",
        limit.max_rows, limit.max_bytes
    )]
    ResultTooLarge {
        /// Position of the statement in the request, from 0.
        statement: usize,
        /// The limit that was exceeded.
        limit: ResultLimit,
    },
    /// A statement of the request opened or ended a transaction by itself; the connection was closed.
    #[error(
        "the request left its connection in transaction state '{state}'; begin and commit belong to `Transaction`"
    )]
    TransactionState {
        /// The state in which the server was: `I`, `T` or `E`.
        state: char,
    },
    /// A call of this transaction was dropped before it ended, so that its state is unknown.
    #[error("an earlier call of this transaction was abandoned; begin a new one")]
    TransactionAbandoned,
    /// The transaction could not be committed because one of its statements had failed.
    #[error("the transaction was rolled back because an earlier statement had failed")]
    TransactionFailed,
    /// The request cannot be sent as it is; nothing was sent.
    #[error(transparent)]
    Request(Arc<RequestError>),
}

impl WireError {
    /// The server's error, if it is one.
    pub fn database(&self) -> Option<&DbError> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }

    /// The server's error code, if the server gave one.
    pub fn code(&self) -> Option<SqlState> {
        self.database().map(|error| error.code)
    }

    /// Whether Postgres is out of reach or overloaded, as opposed to refusing the request.
    pub fn unavailable(&self) -> Option<&Unavailable> {
        match self {
            Self::Unavailable(error) => Some(error),
            _ => None,
        }
    }
}

impl From<DbError> for WireError {
    fn from(error: DbError) -> Self {
        Self::Database(Box::new(error))
    }
}

impl From<Unavailable> for WireError {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

impl From<RequestError> for WireError {
    fn from(error: RequestError) -> Self {
        Self::Request(Arc::new(error))
    }
}

/// Why a request could not be queued.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Postgres texts cannot hold a NUL byte.
    #[error("{what} contains a NUL byte, which Postgres cannot store; remove it")]
    NulByte {
        /// Where it is.
        what: &'static str,
    },
    /// A parameter was declared with type 0.
    #[error("parameter ${index} has no type; every parameter is bound with its declared type")]
    UntypedParam {
        /// Counted from 1, as in the statement's text.
        index: usize,
    },
    /// More parameters than a Bind message can count.
    #[error("{count} parameters; Postgres takes at most {max} per statement, send smaller batches")]
    TooManyParams {
        /// How many were given.
        count: usize,
        /// How many are possible.
        max: usize,
    },
    /// The request is larger than what is sensible to send at once.
    #[error("request of {bytes} bytes; at most {max} are sent at once, send smaller batches")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A value cannot be written in its parameter's type.
    #[error("parameter ${index} cannot be written as type {oid}")]
    Encode {
        /// Counted from 1, as in the statement's text.
        index: usize,
        /// The declared type.
        oid: Oid,
        /// What the encoder said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A setting's name is not one of `name` or `prefix.name`, or is reserved.
    #[error(
        "{name:?} is not the name of a setting: use `name` or `prefix.name` in lower case, and neither `role` nor `statement_timeout`"
    )]
    SettingName {
        /// The name.
        name: String,
    },
    /// The number of values differs from the number of names.
    #[error("{got} values for {expected} settings")]
    SettingCount {
        /// Number of names.
        expected: usize,
        /// Number of values.
        got: usize,
    },
    /// The role's name is empty or has a NUL byte.
    #[error("{role:?} is not the name of a role")]
    RoleName {
        /// The name.
        role: String,
    },
}

/// Postgres is out of reach or busy.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}; try again in {} ms", retry_after.as_millis())]
pub struct Unavailable {
    /// What is in the way.
    pub reason: UnavailableReason,
    /// When a retry makes sense.
    pub retry_after: Duration,
    /// Whether the request may have been carried out.
    pub ran: Ran,
    /// The cause, where there is one.
    pub source: Option<Arc<ConnectError>>,
}

/// Whether a request that got no answer may have been carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// It was never sent: retrying is safe.
    No,
    /// It was sent and the answer was lost.
    Unknown,
}

/// What stands between a request and Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnavailableReason {
    /// Too many requests wait for a connection already.
    QueueFull,
    /// No connection became free in time.
    AcquireTimeout,
    /// Connecting failed, now or moments ago.
    Unreachable,
    /// The connection broke while the request was under way.
    ConnectionLost,
    /// The server gave no answer in the time that the request may take.
    NoAnswer,
    /// The server is shutting down, starting up, or ended the connection.
    ServerClosing,
}

impl fmt::Display for UnavailableReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QueueFull => "too many requests are waiting for a database connection",
            Self::AcquireTimeout => "no database connection became free in time",
            Self::Unreachable => "cannot connect to the database",
            Self::ConnectionLost => "the database connection was lost",
            Self::NoAnswer => "the database did not answer in time",
            Self::ServerClosing => "the database is shutting down or starting up",
        })
    }
}

/// Why a connection could not be made, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The host has no address.
    #[error("cannot find the address of host {host}")]
    Resolve {
        /// The host.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The socket could not be opened.
    #[error("cannot connect to {address}")]
    Socket {
        /// The address or socket file.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// It took longer than `connect_timeout`.
    #[error("connecting to {address} took longer than {} ms", timeout.as_millis())]
    Timeout {
        /// The address or socket file.
        address: String,
        /// The limit.
        timeout: Duration,
    },
    /// The server does not speak TLS, and the configuration demands it.
    #[error(
        "{address} does not offer TLS; switch it on there, or set sslmode=prefer if the network is trusted"
    )]
    TlsNotOffered {
        /// The address.
        address: String,
    },
    /// The TLS configuration cannot be used.
    #[error("{problem}")]
    TlsSetup {
        /// What is wrong and what to do.
        problem: String,
        /// The cause, where there is one.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The TLS handshake failed, for example because the certificate is not trusted.
    #[error(
        "TLS handshake with {address} failed; check sslrootcert and the name in the server's certificate"
    )]
    TlsHandshake {
        /// The address.
        address: String,
        /// What the TLS stack said.
        source: io::Error,
    },
    /// The server wants a password and none is configured.
    #[error("the server asks for a password of user {user}; set password")]
    PasswordMissing {
        /// The login role.
        user: String,
    },
    /// The server wants the password in clear over a connection that is not authenticated.
    #[error(
        "the server asks for the password in clear; use scram-sha-256 there, or sslmode=verify-full here"
    )]
    ClearTextPassword,
    /// An authentication method that this client does not have.
    #[error("the server asks for authentication method {method}; scram-sha-256, md5 and trust are possible")]
    AuthenticationMethod {
        /// Its name.
        method: String,
    },
    /// `channel_binding=require` and no channel binding took place.
    #[error("channel_binding=require, but the server {problem}")]
    ChannelBinding {
        /// What was missing.
        problem: &'static str,
    },
    /// The SCRAM exchange failed: wrong password, or a server that does not know it.
    #[error("SCRAM authentication failed")]
    Scram {
        /// What the exchange said.
        source: io::Error,
    },
    /// The server refused the connection.
    #[error("the server refused the connection")]
    Refused {
        /// The server's error.
        source: Box<DbError>,
    },
    /// The connection broke.
    #[error("the connection broke")]
    Broken {
        /// What the system said.
        source: io::Error,
    },
    /// The server sent something that the protocol does not allow at this point.
    #[error("protocol violation: {0}")]
    Protocol(String),
}

/// Where in a request the server found the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Establishing the connection, or outside of any request.
    Connection,
    /// The message that sets role and settings: nothing else has run.
    Settings,
    /// The statement at this position, from 0.
    Statement(usize),
    /// The end of the transaction, for example a deferred constraint.
    Commit,
}

/// An error as the server reported it.
#[derive(Clone, thiserror::Error)]
#[error("{message} (SQLSTATE {code})")]
pub struct DbError {
    /// How bad it is.
    pub severity: Severity,
    /// SQLSTATE.
    pub code: SqlState,
    /// The primary message; may quote values of a row.
    pub message: String,
    /// More about the problem; may quote values of a row.
    pub detail: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Violated constraint.
    pub constraint: Option<String>,
    /// Table of the constraint or column.
    pub table: Option<String>,
    /// Column, for example of a violated not-null.
    pub column: Option<String>,
    /// Schema of the table.
    pub schema: Option<String>,
    /// Data type, for a violated domain.
    pub data_type: Option<String>,
    /// Call stack of functions and triggers.
    pub context: Option<String>,
    /// Position in the statement's text in characters, from 1.
    pub position: Option<u32>,
    /// The function in the server's source; stable across languages.
    pub routine: Option<String>,
    /// Where in the request it happened.
    pub place: Place,
}

impl fmt::Debug for DbError {
    /// Without message, detail and context: they can quote rows, and debug output ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DbError")
            .field("severity", &self.severity)
            .field("code", &self.code)
            .field("constraint", &self.constraint)
            .field("table", &self.table)
            .field("column", &self.column)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl DbError {
    /// Reads the fields of an ErrorResponse or NoticeResponse; unknown fields are passed over, as the
    /// protocol asks.
    pub(super) fn parse(payload: &Bytes, place: Place) -> Result<Self, ConnectError> {
        let mut error = Self::empty(place);
        let mut rest = &payload[..];
        let mut untranslated = None;
        loop {
            let Some((&kind, after)) = rest.split_first() else {
                return Err(ConnectError::Protocol("an error message without an end".into()));
            };
            if kind == 0 {
                break;
            }
            let Some(end) = after.iter().position(|b| *b == 0) else {
                return Err(ConnectError::Protocol("an error field without an end".into()));
            };
            let value = String::from_utf8_lossy(&after[..end]).into_owned();
            rest = &after[end + 1..];
            match kind {
                b'S' => error.severity = Severity::parse(&value),
                b'V' => untranslated = Some(Severity::parse(&value)),
                b'C' => error.code = SqlState::parse(&value),
                b'M' => error.message = value,
                b'D' => error.detail = Some(value),
                b'H' => error.hint = Some(value),
                b'P' => error.position = value.parse().ok(),
                b'W' => error.context = Some(value),
                b's' => error.schema = Some(value),
                b't' => error.table = Some(value),
                b'c' => error.column = Some(value),
                b'd' => error.data_type = Some(value),
                b'n' => error.constraint = Some(value),
                b'R' => error.routine = Some(value),
                _ => {}
            }
        }
        error.severity = untranslated.unwrap_or(error.severity);
        Ok(error)
    }

    fn empty(place: Place) -> Self {
        Self {
            severity: Severity::Error,
            code: SqlState(*b"XX000"),
            message: String::new(),
            detail: None,
            hint: None,
            constraint: None,
            table: None,
            column: None,
            schema: None,
            data_type: None,
            context: None,
            position: None,
            routine: None,
            place,
        }
    }

    /// Whether the statement is unknown to the server or its result has changed: preparing it anew helps.
    pub(super) fn is_stale_statement(&self) -> bool {
        match &self.code.0 {
            b"26000" => true,
            // The code is shared by many; the routine tells, whatever the language of the message.
            b"0A000" => self.routine.as_deref() == Some("RevalidateCachedQuery"),
            _ => false,
        }
    }
}

/// How bad a server message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed.
    Error,
    /// The connection ended.
    Fatal,
    /// All connections ended.
    Panic,
    /// A notice of any kind.
    Notice,
}

impl Severity {
    fn parse(text: &str) -> Self {
        match text {
            "FATAL" => Self::Fatal,
            "PANIC" => Self::Panic,
            "WARNING" | "NOTICE" | "DEBUG" | "INFO" | "LOG" => Self::Notice,
            _ => Self::Error,
        }
    }
}

/// A five-character SQLSTATE code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState([u8; 5]);

impl SqlState {
    /// `unique_violation`.
    pub const UNIQUE_VIOLATION: Self = Self(*b"23505");
    /// `foreign_key_violation`.
    pub const FOREIGN_KEY_VIOLATION: Self = Self(*b"23503");
    /// `not_null_violation`.
    pub const NOT_NULL_VIOLATION: Self = Self(*b"23502");
    /// `check_violation`.
    pub const CHECK_VIOLATION: Self = Self(*b"23514");
    /// `insufficient_privilege`: also a row that row-level security refuses.
    pub const INSUFFICIENT_PRIVILEGE: Self = Self(*b"42501");
    /// `query_canceled`: statement timeout or CancelRequest.
    pub const QUERY_CANCELED: Self = Self(*b"57014");
    /// `serialization_failure`: run the transaction again.
    pub const SERIALIZATION_FAILURE: Self = Self(*b"40001");
    /// `deadlock_detected`: run the transaction again.
    pub const DEADLOCK_DETECTED: Self = Self(*b"40P01");
    /// `lock_not_available`.
    pub const LOCK_NOT_AVAILABLE: Self = Self(*b"55P03");
    /// `undefined_table`.
    pub const UNDEFINED_TABLE: Self = Self(*b"42P01");
    /// `undefined_column`.
    pub const UNDEFINED_COLUMN: Self = Self(*b"42703");

    fn parse(text: &str) -> Self {
        text.as_bytes().try_into().map_or(Self(*b"XX000"), Self)
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XX000")
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq<&str> for SqlState {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}
