//! Statements on single records and on batches of them. Their texts depend on the schema and the shape only; the
//! values are bound by whoever runs them, slot by slot.
//!
//! Each names the table's shape function, which Postgres folds away while it plans: in the condition, or where there is
//! none, as the flag that comes back.
//!
//! No `on conflict`: the triggers see every row that is tried, and a deleted record must keep its place.

use velocity_schema::Value;

use super::table::TableSql;
use crate::frag;
use crate::fragment::Fragment;
use crate::sql_type::SqlType;

/// A statement without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The text.
    pub sql: String,
    /// What is bound, in the order of `$1 …`.
    pub slots: Vec<(Slot, SqlType)>,
}

/// What is bound at one place of a [`Shape`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The record's id.
    Id,
    /// The value of the field at that position; in a batch, the values of all records as an array. Of array fields
    /// a batch takes the elements' text form, since Postgres has no arrays of arrays.
    Field(usize),
    /// The version that the record must have.
    Version,
}

/// What a statement that needs a certain version does when the record has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Existing {
    /// Any version will do.
    Any,
    /// The version is [`Slot::Version`]; otherwise the record comes back as it is.
    Version,
}

/// What a batch does with a record whose key is taken.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OnConflict {
    /// The statement fails.
    Fail,
    /// Nothing, when any of these keys (fields by position) is taken.
    Skip(Vec<Vec<usize>>),
    /// The record with this key (fields by position) gets the values.
    Update(Vec<usize>),
}

/// Collects the pieces of a statement and what is bound where.
struct Draft {
    slots: Vec<(Slot, SqlType)>,
}

impl Draft {
    fn new() -> Self {
        Self { slots: Vec::new() }
    }

    /// Must be called in the order in which the slots stand in the text.
    fn slot(&mut self, slot: Slot, sql_type: SqlType) -> Fragment {
        self.slots.push((slot, sql_type));
        Fragment::bind(sql_type, Value::Null)
    }

    fn finish(self, sql: Fragment) -> Shape {
        Shape { sql: sql.render().sql, slots: self.slots }
    }
}

impl TableSql {
    /// One record by its id. Columns: every field.
    pub fn read(&self) -> Shape {
        self.read_where(" and deleted_at is null and \"id\" = ")
    }

    /// One deleted record by its id. Columns: every field.
    pub fn read_deleted(&self) -> Shape {
        self.read_where(" and deleted_at is not null and \"id\" = ")
    }

    fn read_where(&self, condition: &'static str) -> Shape {
        let mut draft = Draft::new();
        let id = draft.slot(Slot::Id, self.sql_type(0));
        draft.finish(frag![
            "select ",
            self.all(),
            " from ",
            self.from(),
            " where ",
            self.is_shape(),
            condition,
            id
        ])
    }

    /// A new record. Columns: every field, then `true`.
    pub fn insert(&self) -> Shape {
        let mut draft = Draft::new();
        let values = self.field_slots(&mut draft);
        draft.finish(frag![
            "insert into ",
            self.from(),
            " (",
            self.list(self.writable().iter().copied()),
            ") values (",
            values,
            ") returning ",
            self.all(),
            ", ",
            self.is_shape()
        ])
    }

    /// New values for the fields at `positions`. Columns: every field, then whether the record was changed; no row
    /// when there is no such record.
    pub fn update(&self, positions: &[usize], existing: Existing) -> Shape {
        let mut draft = Draft::new();
        let assignments = self.assignments(&mut draft, positions);
        let sql = self.change(&mut draft, assignments, existing, &self.all());
        draft.finish(sql)
    }

    /// All declared fields anew but those in `kept`, or a new record where there is none. Columns: every field, then
    /// whether it is new.
    pub fn replace(&self, kept: &[usize]) -> Shape {
        let mut draft = Draft::new();
        let assignments = self.assignments(&mut draft, &self.replaced(kept));
        let id = draft.slot(Slot::Id, self.sql_type(0));
        let values = self.field_slots(&mut draft);
        draft.finish(frag![
            "with changed as (update ",
            self.from(),
            " set ",
            assignments,
            " where ",
            self.is_shape(),
            " and \"id\" = ",
            id,
            " and deleted_at is null returning ",
            self.all(),
            "), added as (insert into ",
            self.from(),
            " (",
            self.list(self.writable().iter().copied()),
            ") select ",
            values,
            " where not exists (select from changed) returning ",
            self.all(),
            ") select ",
            self.all(),
            ", false from changed union all select ",
            self.all(),
            ", true from added"
        ])
    }

    /// The positions that a replacement sets: all declared fields but those in `kept`.
    pub fn replaced(&self, kept: &[usize]) -> Vec<usize> {
        self.writable()
            .iter()
            .copied()
            .filter(|position| *position != 0 && !kept.contains(position))
            .collect()
    }

    /// Soft deletion. Columns: version, then whether the record was changed; no row when there is no such record.
    pub fn delete(&self, existing: Existing) -> Shape {
        let mut draft = Draft::new();
        let version = Fragment::sql("\"version\"");
        let sql = self.change(&mut draft, Fragment::sql("deleted_at = now()"), existing, &version);
        draft.finish(sql)
    }

    /// Brings a deleted record back. Columns: every field, then whether it was deleted before; no row when there is no such
    /// record, or it is deleted in another version.
    pub fn undelete(&self, existing: Existing) -> Shape {
        let mut draft = Draft::new();
        let deleted = draft.slot(Slot::Id, self.sql_type(0));
        let version = match existing {
            Existing::Any => Fragment::empty(),
            Existing::Version => frag![" and \"version\" = ", draft.slot(Slot::Version, SqlType::Int8)],
        };
        let living = draft.slot(Slot::Id, self.sql_type(0));
        draft.finish(frag![
            "with changed as (update ",
            self.from(),
            " set deleted_at = null where ",
            self.is_shape(),
            " and \"id\" = ",
            deleted,
            " and deleted_at is not null",
            version,
            " returning ",
            self.all(),
            ") select ",
            self.all(),
            ", true from changed union all select ",
            self.all(),
            ", false from ",
            self.from(),
            " where \"id\" = ",
            living,
            " and deleted_at is null"
        ])
    }

    /// Many new records in one statement. Columns: id, version, the fields of the conflict's key where there is one,
    /// then whether the record is new.
    pub fn insert_many(&self, conflict: &OnConflict) -> Shape {
        let mut draft = Draft::new();
        let given = self.unnested(&mut draft);
        let insert = |guard: Fragment| {
            frag![
                "insert into ",
                self.from(),
                " as r (",
                self.list(self.writable().iter().copied()),
                ") select ",
                self.unpacked(),
                " from given g where ",
                self.is_shape(),
                guard,
                " order by g._n"
            ]
        };
        let sql = match conflict {
            OnConflict::Fail => {
                frag![
                    "with given as (",
                    given,
                    ") ",
                    insert(Fragment::empty()),
                    " returning ",
                    self.receipt("r", &[]),
                    ", true"
                ]
            }
            OnConflict::Skip(keys) => {
                let taken = keys.iter().map(|key| frag!["not exists (", self.holder(key), ")"]);
                let guard = frag![" and ", Fragment::join(taken, " and ")];
                frag![
                    "with given as (",
                    given,
                    ") ",
                    insert(guard),
                    " returning ",
                    self.receipt("r", &[]),
                    ", true"
                ]
            }
            OnConflict::Update(key) => {
                let declared = self.writable().iter().copied().filter(|at| *at != 0 && !key.contains(at));
                let mut assignments: Vec<Fragment> =
                    declared.map(|at| frag![self.column(at), " = ", self.unpacked_field(at)]).collect();
                if assignments.is_empty() {
                    let first = key.first().copied().unwrap_or(0);
                    assignments.push(frag![self.column(first), " = ", self.unpacked_field(first)]);
                }
                frag![
                    "with given as (",
                    given,
                    "), changed as (update ",
                    self.from(),
                    " as r set ",
                    Fragment::join(assignments, ", "),
                    " from given g where ",
                    self.is_shape(),
                    " and ",
                    self.same_key(key),
                    " and r.deleted_at is null returning ",
                    self.receipt("r", key),
                    ", false as _new), added as (",
                    insert(frag![" and not exists (", self.holder(key), ")"]),
                    " returning ",
                    self.receipt("r", key),
                    ", true as _new) select * from changed union all select * from added"
                ]
            }
        };
        draft.finish(sql)
    }

    /// An update of the record with [`Slot::Id`], which comes back as it is where its version is another.
    fn change(
        &self,
        draft: &mut Draft,
        assignments: Fragment,
        existing: Existing,
        returned: &Fragment,
    ) -> Fragment {
        let id = draft.slot(Slot::Id, self.sql_type(0));
        let update = frag![
            "update ",
            self.from(),
            " set ",
            assignments,
            " where ",
            self.is_shape(),
            " and \"id\" = ",
            id,
            " and deleted_at is null"
        ];
        if existing == Existing::Any {
            return frag![update, " returning ", returned.clone(), ", true"];
        }
        let version = draft.slot(Slot::Version, SqlType::Int8);
        let id = draft.slot(Slot::Id, self.sql_type(0));
        frag![
            "with changed as (",
            update,
            " and \"version\" = ",
            version,
            " returning ",
            returned.clone(),
            ") select ",
            returned.clone(),
            ", true from changed union all select ",
            returned.clone(),
            ", false from ",
            self.from(),
            " where \"id\" = ",
            id,
            " and deleted_at is null and not exists (select from changed)"
        ]
    }

    fn field_slots(&self, draft: &mut Draft) -> Fragment {
        let slots = self.writable().iter().map(|at| draft.slot(Slot::Field(*at), self.sql_type(*at)));
        Fragment::join(slots.collect::<Vec<_>>(), ", ")
    }

    fn assignments(&self, draft: &mut Draft, positions: &[usize]) -> Fragment {
        if positions.is_empty() {
            // A schema of nothing but an id: the record is written all the same, as an event.
            return Fragment::sql("deleted_at = null");
        }
        let all = positions
            .iter()
            .map(|at| frag![self.column(*at), " = ", draft.slot(Slot::Field(*at), self.sql_type(*at))]);
        Fragment::join(all.collect::<Vec<_>>(), ", ")
    }

    /// `select * from unnest($1, …) with ordinality as g("id", …, _n)`; field names never begin with an underscore.
    fn unnested(&self, draft: &mut Draft) -> Fragment {
        let arrays =
            self.writable().iter().map(|at| draft.slot(Slot::Field(*at), batch_type(self.sql_type(*at))));
        let arrays = Fragment::join(arrays.collect::<Vec<_>>(), ", ");
        let columns = self.list(self.writable().iter().copied());
        frag!["select * from unnest(", arrays, ") with ordinality as u(", columns, ", _n)"]
    }

    fn unpacked(&self) -> Fragment {
        Fragment::join(self.writable().iter().map(|at| self.unpacked_field(*at)), ", ")
    }

    fn unpacked_field(&self, position: usize) -> Fragment {
        let sql_type = self.sql_type(position);
        let column = self.qualified("g", position);
        if sql_type.element().is_some() { frag![column, "::", Fragment::type_name(sql_type)] } else { column }
    }

    /// The record that has the key, deleted ones included: they keep their keys.
    fn holder(&self, key: &[usize]) -> Fragment {
        frag!["select from ", self.from(), " r where ", self.same_key(key)]
    }

    fn same_key(&self, key: &[usize]) -> Fragment {
        let parts = key.iter().map(|at| frag![self.qualified("r", *at), " = ", self.qualified("g", *at)]);
        Fragment::join(parts, " and ")
    }

    fn receipt(&self, alias: &'static str, key: &[usize]) -> Fragment {
        let key = key.iter().map(|at| frag![", ", self.qualified(alias, *at)]);
        frag![self.qualified(alias, 0), ", ", Fragment::sql(alias), ".\"version\"", Fragment::join(key, "")]
    }
}

/// How a batch carries the values of a column: an array of its type, of array columns their text form.
fn batch_type(sql_type: SqlType) -> SqlType {
    if sql_type.element().is_some() { SqlType::TextArray } else { sql_type.array() }
}
