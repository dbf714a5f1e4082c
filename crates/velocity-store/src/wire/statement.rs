//! What a caller asks for: statements, and the pipeline that carries them.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, LazyLock},
    time::Duration,
};

use super::{Params, RequestError, Session};

/// Postgres takes messages of up to 1 GiB; a request of ours is at most a few imported batches.
const MAX_REQUEST_BYTES: usize = 256 * 1024 * 1024;

/// One seed per process, so that every connection's cache agrees on a text's hash.
static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The text of a statement with its hash, computed once: cloning and looking it up is cheap.
#[derive(Clone)]
pub struct Sql(Arc<SqlText>);

struct SqlText {
    text: Box<str>,
    hash: u64,
}

impl Sql {
    /// Wraps a statement's text.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        let text = text.into();
        let hash = SEED.hash_one(&text);
        Self(Arc::new(SqlText { text, hash }))
    }

    /// The text as it is sent to the server.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    pub(super) fn hash(&self) -> u64 {
        self.0.hash
    }
}

impl PartialEq for Sql {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.hash == other.0.hash && self.0.text == other.0.text)
    }
}

impl Eq for Sql {}

impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sql({:?})", self.as_str())
    }
}

impl From<&str> for Sql {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Sql {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// What a statement's plan depends on: a schema, at one of its generations.
///
/// The first statement of a newer generation makes a connection forget the schema's older statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The schema, as any number that is unique in the process.
    pub schema: u64,
    /// Grows with every change of the schema.
    pub generation: u64,
}

/// How much of a result may be held in memory before the request fails instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultLimit {
    /// Rows of one statement's result.
    pub max_rows: usize,
    /// Bytes of one statement's rows as the server sent them.
    pub max_bytes: usize,
}

impl Default for ResultLimit {
    /// Ten times the largest page that the HTTP contract allows, and three times its largest body.
    fn default() -> Self {
        Self { max_rows: 10_000, max_bytes: 32 * 1024 * 1024 }
    }
}

/// One statement with its parameters.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The text.
    pub sql: Sql,
    /// Its parameters, each with its declared type.
    pub params: Params,
    /// How large its result may be.
    pub limit: ResultLimit,
    /// The schema that it depends on, if any.
    pub scope: Option<Scope>,
}

impl Statement {
    /// A statement with the default limits and no scope.
    pub fn new(sql: impl Into<Sql>, params: Params) -> Self {
        Self { sql: sql.into(), params, limit: ResultLimit::default(), scope: None }
    }

    /// Sets how large the result may be.
    pub fn limit(mut self, limit: ResultLimit) -> Self {
        self.limit = limit;
        self
    }

    /// Binds the prepared statement's life to a schema's generation.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    pub(super) fn validate(&self) -> Result<usize, RequestError> {
        if self.sql.as_str().contains('\0') {
            return Err(RequestError::NulByte { what: "the statement's text" });
        }
        self.params.validate()?;
        Ok(self.sql.as_str().len() + self.params.len_bytes())
    }
}

/// One request: who asks, for how long, and what, all in one round trip and one transaction.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Role and settings that hold for this request only.
    pub session: Session,
    /// `statement_timeout` of each statement; `None` leaves the server's default.
    pub statement_timeout: Option<Duration>,
    /// The statements in order; the first that fails undoes all.
    pub statements: Vec<Statement>,
}

impl Pipeline {
    /// A pipeline of one statement.
    pub fn one(session: Session, statement: Statement) -> Self {
        Self { session, statement_timeout: None, statements: vec![statement] }
    }

    /// Sets `statement_timeout`.
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = Some(timeout);
        self
    }
}

/// Checks everything that encoding relies on, so that a bad statement is refused before it is queued.
pub(super) fn validate_all<'a>(
    statements: impl IntoIterator<Item = &'a Statement>,
) -> Result<(), RequestError> {
    let mut bytes = 0_usize;
    for statement in statements {
        bytes = bytes.saturating_add(statement.validate()?);
    }
    if bytes > MAX_REQUEST_BYTES {
        return Err(RequestError::TooLarge { bytes, max: MAX_REQUEST_BYTES });
    }
    Ok(())
}
