//! The extension pg_trgm, which indexes for pieces of text need.

use crate::ddl::live::{Live, Trigrams};
use crate::ddl::step::{Class, Lock, Stage, Step};
use crate::ddl::{IndexKind, WantedIndex};
use crate::ident::{Ident, quote_literal};

/// The Postgres schema that extensions are made in, where nobody chose another.
pub(in crate::ddl) const HOME: &str = "platform";

/// The step that makes it, where an index needs it and it is not there.
pub(super) fn step(wanted: &[WantedIndex], live: &Live, stage: Stage) -> Option<Step> {
    if wanted.iter().all(|index| index.kind != IndexKind::Trigrams) {
        return None;
    }
    let summary = "create extension pg_trgm";
    // Two schemas may come to need it at once; `if not exists` alone lets one of them fail.
    let sql = format!(
        "select pg_advisory_xact_lock(hashtextextended({}, 0));\ncreate extension if not exists pg_trgm with schema {HOME}",
        quote_literal("velocity-extension:pg_trgm")
    );
    match live.trigrams {
        Trigrams::In(_) => None,
        Trigrams::Available => Some(Step::safe(stage, summary, Lock::None, sql)),
        Trigrams::Unavailable => Some(Step::blocked(
            summary,
            Class::Breaking,
            Lock::None,
            sql,
            "search tier 1 needs the extension pg_trgm, which is not on the database server, or which the operator may not create: \
             install Postgres' contrib modules (postgresql-contrib), have a superuser run `create extension pg_trgm`, or use tier 2",
        )),
    }
}

/// The Postgres schema that has it, or will.
pub(super) fn home(live: &Live) -> Ident {
    match &live.trigrams {
        Trigrams::In(schema) => Ident::fitted(schema),
        Trigrams::Available | Trigrams::Unavailable => Ident::fixed(HOME),
    }
}
