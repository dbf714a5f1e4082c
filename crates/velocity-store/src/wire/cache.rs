//! Which statements a connection has prepared, under which names.

use std::{collections::HashMap, sync::Arc};

use bytes::BytesMut;
use hashbrown::HashTable;
use postgres_protocol::message::frontend;

use super::{Column, Oid, Scope, Sql, params::Params};

/// Named statements per connection. A plan takes some tens of KiB in the server: this bounds a backend to
/// some MiB.
const CAPACITY: usize = 256;

/// How many schemas' generations are remembered; beyond it the oldest knowledge is dropped whole.
const MAX_SCOPES: usize = 16 * 1024;

/// A prepared statement's name on the server, as a number that is never used twice on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StatementId(u64);

impl StatementId {
    /// Appends the name and its terminating zero.
    pub(super) fn write(self, out: &mut BytesMut) {
        use std::fmt::Write as _;
        // Writing to a growing buffer cannot fail.
        let _ = write!(out, "v{}\0", self.0);
    }
}

/// How a statement can be run on this connection now.
#[derive(Debug)]
pub(super) enum Lookup {
    /// It is prepared.
    Ready(StatementId, Arc<[Column]>),
    /// It has to be prepared under this name.
    Prepare(StatementId),
    /// It has to be prepared without a name: somebody else's answer to the same is still on its way and
    /// may turn out to be an error, or the statement belongs to an outdated generation.
    Unnamed,
}

/// A statement's identity: a plan depends on the role, the text and the parameters' types.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    pub(super) role: Option<&'a Arc<str>>,
    pub(super) sql: &'a Sql,
    pub(super) params: &'a Params,
    pub(super) scope: Option<Scope>,
}

struct Entry {
    hash: u64,
    id: StatementId,
    role: Option<Arc<str>>,
    sql: Sql,
    types: Box<[Oid]>,
    scope: Option<Scope>,
    /// Set once the server has confirmed and described it.
    columns: Option<Arc<[Column]>>,
    used_at: u64,
}

impl Entry {
    fn is(&self, key: Key<'_>) -> bool {
        self.sql == *key.sql
            && self.role.as_ref() == key.role
            && *self.types == *key.params.types()
            && self.scope == key.scope
    }
}

/// The statements of one connection. It changes in the order in which requests are written, so that it
/// always says what the server will know when the next request arrives there.
#[derive(Default)]
pub(super) struct StatementCache {
    entries: HashTable<Entry>,
    generations: HashMap<u64, u64>,
    closing: Vec<StatementId>,
    next_id: u64,
    clock: u64,
    epoch: u32,
}

impl StatementCache {
    /// Finds a statement, or makes room for it.
    pub(super) fn lookup(&mut self, key: Key<'_>) -> Lookup {
        self.clock += 1;
        if let Some(scope) = key.scope
            && !self.admit_generation(scope)
        {
            return Lookup::Unnamed;
        }
        let hash = hash(key);
        if let Some(entry) = self.entries.find_mut(hash, |entry| entry.is(key)) {
            entry.used_at = self.clock;
            return match &entry.columns {
                Some(columns) => Lookup::Ready(entry.id, Arc::clone(columns)),
                None => Lookup::Unnamed,
            };
        }
        if self.entries.len() >= CAPACITY {
            self.evict_oldest();
        }
        self.next_id += 1;
        let id = StatementId(self.next_id);
        let entry = Entry {
            hash,
            id,
            role: key.role.cloned(),
            sql: key.sql.clone(),
            types: key.params.types().into(),
            scope: key.scope,
            columns: None,
            used_at: self.clock,
        };
        self.entries.insert_unique(hash, entry, |entry| entry.hash);
        Lookup::Prepare(id)
    }

    /// The server has parsed and described the statement.
    pub(super) fn confirm(&mut self, id: StatementId, columns: &Arc<[Column]>) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) {
            entry.columns = Some(Arc::clone(columns));
        }
    }

    /// The statement was not prepared after all, or is of no use any more.
    pub(super) fn forget(&mut self, id: StatementId) {
        self.drop_where(|entry| entry.id == id);
    }

    /// The statement's result has changed; its next text differs, so that a pooler between us and the
    /// server cannot take it for the old one.
    pub(super) fn forget_stale(&mut self, key: Key<'_>) {
        self.drop_where(|entry| entry.is(key));
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Whatever the connection has prepared is in doubt: start anew.
    pub(super) fn forget_all(&mut self) {
        self.drop_where(|_| true);
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// How often the statements were in doubt; part of the text that is parsed.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Appends Close messages for what was dropped since the last request; returns how many.
    pub(super) fn write_closes(&mut self, out: &mut BytesMut) -> usize {
        for id in &self.closing {
            // Cannot fail: the name holds no zero byte.
            let _ = frontend::close(b'S', &format!("v{}", id.0), out);
        }
        let count = self.closing.len();
        self.closing.clear();
        count
    }

    /// Notes a generation; false if a newer one is known.
    fn admit_generation(&mut self, scope: Scope) -> bool {
        if self.generations.len() >= MAX_SCOPES && !self.generations.contains_key(&scope.schema) {
            self.generations.clear();
        }
        let known = self.generations.entry(scope.schema).or_insert(scope.generation);
        if *known > scope.generation {
            return false;
        }
        if *known < scope.generation {
            *known = scope.generation;
            self.drop_where(|entry| {
                entry.scope.is_some_and(|s| s.schema == scope.schema && s.generation < scope.generation)
            });
        }
        true
    }

    fn evict_oldest(&mut self) {
        if let Some(oldest) = self.entries.iter().min_by_key(|entry| entry.used_at).map(|entry| entry.id) {
            self.forget(oldest);
        }
    }

    fn drop_where(&mut self, doomed: impl Fn(&Entry) -> bool) {
        let closing = &mut self.closing;
        self.entries.retain(|entry| {
            let keep = !doomed(entry);
            if !keep {
                closing.push(entry.id);
            }
            keep
        });
    }
}

fn hash(key: Key<'_>) -> u64 {
    let role = key.role.map_or(0, |role| role.bytes().fold(0xcbf2_9ce4_8422_2325_u64, fold));
    let types = key.params.types().iter().fold(role, |hash, oid| fold_word(hash, u64::from(*oid)));
    let scope = key.scope.map_or(types, |scope| fold_word(types, scope.generation));
    fold_word(scope, key.sql.hash())
}

fn fold(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

fn fold_word(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_columns() -> Arc<[Column]> {
        Arc::new([])
    }

    fn prepare(cache: &mut StatementCache, key: Key<'_>) -> StatementId {
        let Lookup::Prepare(id) = cache.lookup(key) else { panic!("expected to prepare") };
        cache.confirm(id, &no_columns());
        id
    }

    fn key<'a>(role: Option<&'a Arc<str>>, sql: &'a Sql, params: &'a Params) -> Key<'a> {
        Key { role, sql, params, scope: None }
    }

    #[test]
    fn role_text_and_types_each_make_another_statement() {
        let mut cache = StatementCache::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let (one, two) = (Sql::new("select $1"), Sql::new("select $1 + 1"));
        let (mut int, mut text) = (Params::new(), Params::new());
        int.int4(1);
        text.text("1");
        let keys = [
            key(Some(&a), &one, &int),
            key(Some(&b), &one, &int),
            key(Some(&a), &two, &int),
            key(None, &one, &text),
        ];
        let ids: Vec<_> = keys.iter().map(|k| prepare(&mut cache, *k)).collect();
        for (key, id) in keys.iter().zip(&ids) {
            assert!(matches!(cache.lookup(*key), Lookup::Ready(found, _) if found == *id));
        }
    }

    #[test]
    fn an_unconfirmed_statement_is_not_relied_upon() {
        let mut cache = StatementCache::default();
        let (sql, none) = (Sql::new("select 1"), Params::new());
        let Lookup::Prepare(id) = cache.lookup(key(None, &sql, &none)) else { panic!() };
        assert!(matches!(cache.lookup(key(None, &sql, &none)), Lookup::Unnamed));
        cache.forget(id);
        assert!(matches!(cache.lookup(key(None, &sql, &none)), Lookup::Prepare(again) if again != id));
    }

    #[test]
    fn the_least_recently_used_statement_is_closed_when_the_cache_is_full() {
        let mut cache = StatementCache::default();
        let none = Params::new();
        let texts: Vec<Sql> = (0..=CAPACITY).map(|i| Sql::new(format!("select {i}"))).collect();
        for sql in &texts[..CAPACITY] {
            prepare(&mut cache, key(None, sql, &none));
        }
        assert!(matches!(cache.lookup(key(None, &texts[0], &none)), Lookup::Ready(..)));
        prepare(&mut cache, key(None, &texts[CAPACITY], &none));
        let mut out = BytesMut::new();
        assert_eq!(cache.write_closes(&mut out), 1);
        assert_eq!(&out[..], b"C\0\0\0\x08Sv2\0");
        assert_eq!(cache.write_closes(&mut out), 0);
        assert!(matches!(cache.lookup(key(None, &texts[0], &none)), Lookup::Ready(..)));
    }

    #[test]
    fn a_newer_generation_drops_its_schemas_statements_and_no_others() {
        let mut cache = StatementCache::default();
        let (sql, none) = (Sql::new("select 1"), Params::new());
        let at =
            |schema, generation| Key { scope: Some(Scope { schema, generation }), ..key(None, &sql, &none) };
        prepare(&mut cache, at(1, 1));
        prepare(&mut cache, at(2, 1));
        prepare(&mut cache, at(1, 2));
        assert_eq!(cache.write_closes(&mut BytesMut::new()), 1);
        assert!(matches!(cache.lookup(at(2, 1)), Lookup::Ready(..)));
        assert!(matches!(cache.lookup(at(1, 1)), Lookup::Unnamed), "an old generation is not kept");
    }
}
