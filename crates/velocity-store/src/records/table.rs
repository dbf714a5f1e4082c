//! A schema made ready for requests: its statements, its encoders, its constraints.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use velocity_schema::schema::{MaskKey, View};
use velocity_schema::{Schema, SchemaPath, Value};
use velocity_sql::query::{Existing, OnConflict, Shape, Slot, TableSql};
use velocity_sql::{Rendered, SqlType, ddl};

use super::Records;
use super::constraints::Constraints;
use super::error::RecordError;
use super::shown::{Shown, ShownByView};
use crate::codec::{push_batch, push_bind, push_value};
use crate::wire::{Column, Params, ResultSet, Rows, Scope, Sql, Statement};

/// Most statement texts remembered per table, beyond the few that every request uses: patches of different fields.
const SHAPES_MAX: usize = 256;

const UNDECLARED: &str = "a column of the result is not of the type that the schema declares";

/// A schema made ready for requests. Made by [`Records::table`], shared by all of them.
pub struct Table {
    schema: Arc<Schema>,
    sql: TableSql,
    role: Arc<str>,
    scope: Scope,
    shown: ShownByView,
    types: Vec<SqlType>,
    version_at: usize,
    constraints: Constraints,
    /// Every combination of fields that is unique, the id first.
    keys: Vec<Vec<usize>>,
    read: Prepared,
    insert: Prepared,
    shapes: Mutex<HashMap<ShapeKey, Arc<Prepared>>>,
}

/// A statement's text, and what is bound where.
#[derive(Debug)]
pub(super) struct Prepared {
    sql: Sql,
    slots: Vec<(Slot, SqlType)>,
}

/// The statements that are made when they are first needed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum ShapeKey {
    Update(Vec<usize>, Existing),
    Replace(Vec<usize>),
    Delete(Existing),
    ReadDeleted,
    Undelete(Existing),
    InsertMany(OnConflict),
}

impl From<Shape> for Prepared {
    fn from(shape: Shape) -> Self {
        Self { sql: Sql::new(shape.sql), slots: shape.slots }
    }
}

impl Table {
    pub(super) fn new(schema: Arc<Schema>, scope: Scope, mask_key: &MaskKey) -> Self {
        let sql = TableSql::new(&schema);
        let mut keys = vec![vec![0]];
        for key in ddl::unique_fields(&schema) {
            keys.push(key.iter().filter_map(|name| schema.position(name.as_str())).collect());
        }
        Self {
            role: sql.names().role().as_str().into(),
            scope,
            shown: ShownByView::new(&schema, mask_key),
            types: schema.fields().iter().map(|field| SqlType::of(&field.kind)).collect(),
            version_at: schema.position("version").unwrap_or(0),
            constraints: Constraints::of(&schema, sql.names()),
            keys,
            read: sql.read().into(),
            insert: sql.insert().into(),
            shapes: Mutex::default(),
            sql,
            schema,
        }
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The table as SQL.
    pub fn sql(&self) -> &TableSql {
        &self.sql
    }

    /// The domain's role in Postgres.
    pub(super) fn role(&self) -> &Arc<str> {
        &self.role
    }

    /// What a view shows of the records.
    pub(super) fn shown(&self, view: &View) -> Arc<Shown> {
        self.shown.of(&self.schema, view)
    }

    pub(super) fn types(&self) -> &[SqlType] {
        &self.types
    }

    /// Whether a result begins with the fields at these positions, in the types that the schema gives them. Bytes of
    /// one type are never read as another's, whatever became of the table.
    pub(super) fn is_as_declared(
        &self,
        columns: &[Column],
        positions: impl IntoIterator<Item = usize>,
    ) -> bool {
        let mut columns = columns.iter();
        positions.into_iter().all(|at| {
            let wanted = self.types.get(at).map(|sql_type| sql_type.oid());
            columns.next().map(|column| column.oid) == wanted
        })
    }

    /// The rows of a read that begin with the fields at these positions.
    pub(super) fn rows_read(
        &self,
        result: ResultSet,
        positions: impl IntoIterator<Item = usize>,
    ) -> Result<Rows, RecordError> {
        if self.is_as_declared(result.columns(), positions) {
            Ok(result.into_rows())
        } else {
            Err(RecordError::shape_changed(self, UNDECLARED))
        }
    }

    /// The rows of a write that begin with every field. What was written stays, so this is a fault and no reason to
    /// write again.
    pub(super) fn rows_written(&self, result: ResultSet) -> Result<Rows, RecordError> {
        if self.is_as_declared(result.columns(), 0..self.types.len()) {
            Ok(result.into_rows())
        } else {
            Err(RecordError::internal(UNDECLARED))
        }
    }

    pub(super) fn version_at(&self) -> usize {
        self.version_at
    }

    pub(super) fn constraints(&self) -> &Constraints {
        &self.constraints
    }

    pub(super) fn keys(&self) -> &[Vec<usize>] {
        &self.keys
    }

    pub(super) fn read_statement(&self, id: &Value) -> Statement {
        self.bind(&self.read, id, &[], None)
    }

    pub(super) fn insert_statement(&self, values: &[Value]) -> Statement {
        self.bind(&self.insert, values.first().unwrap_or(&Value::Null), values, None)
    }

    /// A statement on one record. `values` has a value for every field.
    pub(super) fn statement(
        &self,
        key: ShapeKey,
        id: &Value,
        values: &[Value],
        version: Option<i64>,
    ) -> Statement {
        self.bind(&self.shape(key), id, values, version)
    }

    /// A statement on many records; each has a value for every field.
    pub(super) fn batch_statement(&self, conflict: OnConflict, records: &[&[Value]]) -> Statement {
        let shape = self.shape(ShapeKey::InsertMany(conflict));
        let mut params = Params::new();
        for (slot, _) in &shape.slots {
            if let Slot::Field(at) = slot {
                let column = records.iter().map(|record| record.get(*at).unwrap_or(&Value::Null));
                push_batch(&mut params, self.types[*at], column);
            }
        }
        Statement::new(shape.sql.clone(), params).scope(self.scope)
    }

    /// A rendered query as a statement.
    pub(super) fn query(&self, rendered: Rendered) -> Statement {
        let mut params = Params::new();
        for bind in &rendered.binds {
            push_bind(&mut params, bind);
        }
        Statement::new(rendered.sql, params).scope(self.scope)
    }

    fn shape(&self, key: ShapeKey) -> Arc<Prepared> {
        let mut shapes = self.shapes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shape) = shapes.get(&key) {
            return Arc::clone(shape);
        }
        if shapes.len() >= SHAPES_MAX {
            shapes.clear();
        }
        let shape = match &key {
            ShapeKey::Update(positions, existing) => self.sql.update(positions, *existing),
            ShapeKey::Replace(kept) => self.sql.replace(kept),
            ShapeKey::Delete(existing) => self.sql.delete(*existing),
            ShapeKey::ReadDeleted => self.sql.read_deleted(),
            ShapeKey::Undelete(existing) => self.sql.undelete(*existing),
            ShapeKey::InsertMany(conflict) => self.sql.insert_many(conflict),
        };
        let shape = Arc::new(Prepared::from(shape));
        shapes.insert(key, Arc::clone(&shape));
        shape
    }

    fn bind(&self, shape: &Prepared, id: &Value, values: &[Value], version: Option<i64>) -> Statement {
        let mut params = Params::new();
        for (slot, sql_type) in &shape.slots {
            match slot {
                Slot::Id => push_value(&mut params, *sql_type, id),
                Slot::Field(at) => {
                    push_value(&mut params, *sql_type, values.get(*at).unwrap_or(&Value::Null));
                }
                Slot::Version => {
                    push_value(&mut params, *sql_type, &version.map_or(Value::Null, Value::Integer));
                }
            }
        }
        Statement::new(shape.sql.clone(), params).scope(self.scope)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("path", self.schema.path()).finish_non_exhaustive()
    }
}

/// The tables of the schemas that requests have asked for.
#[derive(Debug, Default)]
pub(super) struct Tables {
    by_path: RwLock<HashMap<SchemaPath, Arc<Table>>>,
    numbers: Mutex<HashMap<SchemaPath, u64>>,
    generation: AtomicU64,
}

impl Records {
    /// The schema made ready for requests: at once for one that is known, and known by its hash.
    pub fn table(&self, schema: &Arc<Schema>) -> Arc<Table> {
        let tables = &self.shared.tables;
        let current =
            |table: &&Arc<Table>| Arc::ptr_eq(&table.schema, schema) || table.schema.hash() == schema.hash();
        {
            let known = tables.by_path.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(table) = known.get(schema.path()).filter(current) {
                return Arc::clone(table);
            }
        }
        let scope = Scope {
            schema: tables.number(schema.path()),
            generation: tables.generation.fetch_add(1, Ordering::Relaxed),
        };
        let table = Arc::new(Table::new(Arc::clone(schema), scope, &self.shared.mask_key));
        let mut known = tables.by_path.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(schema.path().clone(), Arc::clone(&table));
        table
    }

    /// Forgets the table of a schema that is not served any more.
    pub fn forget_table(&self, path: &SchemaPath) {
        self.shared.tables.by_path.write().unwrap_or_else(PoisonError::into_inner).remove(path);
    }
}

impl Tables {
    /// A number that the path keeps for as long as the process lives.
    fn number(&self, path: &SchemaPath) -> u64 {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let next = numbers.len() as u64;
        *numbers.entry(path.clone()).or_insert(next)
    }
}
