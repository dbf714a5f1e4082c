//! The Postgres client of the hot path.
//!
//! One request is one buffer that ends in one `Sync`: role, identity and statements travel together, run
//! as one implicit transaction and are reset at its end. The task that owns the connection owns the
//! request too, so that a caller who goes away changes nothing for anybody else.
//!
//! Behind PgBouncer in transaction mode (1.21 or later, `max_prepared_statements` above 0) this stays right:
//! one `Sync` is one transaction there too, all settings are local to it, prepared statements are used by
//! protocol only, nobody's unconfirmed statement is relied upon, and a statement whose result has changed is
//! prepared under a new text, because the pooler would hand back the old one. Roles then share plans, which
//! costs planning time, not safety. Leave `options` out of the connection string: PgBouncer refuses it.
//!
//! What it must not do: infer parameter types, copy rows, keep session state between requests, or report
//! success before the server said that it is idle again.

mod backoff;
mod cache;
mod cancel;
mod config;
mod config_text;
mod connection;
mod driver;
mod encode;
mod error;
mod exchange;
mod exclusive;
mod frame;
mod login;
mod mux;
mod oid;
mod params;
mod pool;
mod portal;
mod rows;
mod secret;
mod session;
mod startup;
mod statement;
mod stream;
mod tls;
mod transaction;

pub use self::{
    config::{ChannelBinding, Config, Host, SslMode, SslRoots},
    config_text::ConfigError,
    connection::Connection,
    error::{
        ConnectError, DbError, Place, Ran, RequestError, Severity, SqlState, Unavailable, UnavailableReason,
        WireError,
    },
    exclusive::{Exclusive, ExclusiveLimits},
    login::{Power, PowerfulLogin, refuse_powerful_login},
    mux::{Mux, MuxLimits},
    oid::{Oid, types},
    params::Params,
    pool::Counters,
    portal::RowStream,
    rows::{Column, ResultSet, Row, Rows},
    secret::Secret,
    session::{Session, SettingNames},
    statement::{Pipeline, ResultLimit, Scope, Sql, Statement},
    transaction::{Transaction, TransactionMode},
};
