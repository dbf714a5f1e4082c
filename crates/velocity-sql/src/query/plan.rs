//! A list against a schema: everything that it names exists and is allowed.

use velocity_schema::field::FieldType;
use velocity_schema::schema::View;
use velocity_schema::{Schema, Value};

use super::access_path;
use super::condition::{Condition, find, how_to_allow};
use super::cursor::{self, CursorKey, QueryDigest, Refused};
use super::error::{PlanCode, PlanError};
use super::reading::{Reading, letters};
use super::request::{CountMode, ListRequest, RequestedSort};
use super::search::SearchPlan;
use crate::fragment::Fragment;
use crate::ident::Ident;

/// Most records of a light page.
const LIGHT_MAX: u32 = 100;

/// A list that can be rendered without further checks.
#[derive(Debug, Clone, PartialEq)]
pub struct ListPlan {
    /// The fields wanted, by position, in the order of the answer.
    pub(super) projection: Vec<usize>,
    /// The projection, then what the order needs besides.
    pub(super) fetched: Vec<usize>,
    pub(super) conditions: Vec<Condition>,
    pub(super) search: Option<SearchPlan>,
    /// What the schema asks of every record that the caller reads.
    pub(super) guard: Fragment,
    pub(super) keys: Vec<SortKey>,
    /// The keys of the last row of the page before.
    pub(super) after: Option<Vec<Value>>,
    pub(super) limit: u32,
    pub(super) offset: u32,
    pub(super) count: Option<CountMode>,
    is_light: bool,
    view: View,
    digest: QueryDigest,
}

/// A field of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortKey {
    /// Its position in the schema's fields.
    pub position: usize,
    /// From large to small; nulls first then.
    pub descending: bool,
}

/// How many records fit the conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// How many.
    pub total: u64,
    /// Whether it is a guess; without statistics the number up to which was counted.
    pub estimated: bool,
}

impl ListPlan {
    /// Plans a request of a caller who may read that much. What the caller does not see in clear can be named nowhere.
    pub fn plan(
        schema: &Schema,
        request: &ListRequest,
        key: &CursorKey,
        reading: &Reading<'_>,
    ) -> Result<Self, PlanError> {
        let view = reading.view;
        let projection = plan_fields(schema, view, request.fields.as_deref())?;
        let conditions = request
            .filters
            .iter()
            .map(|filter| Condition::plan(schema, view, filter))
            .collect::<Result<Vec<_>, _>>()?;
        let search =
            request.search.as_deref().map(|text| SearchPlan::plan(schema, view, text)).transpose()?;
        let guard = reading.guard(&|name| Fragment::ident(&Ident::from(name)));
        let keys = plan_sort(schema, view, &request.sort)?;
        let digest = digest(schema, view, request, &keys);
        let after = match &request.cursor {
            Some(cursor) => Some(open_cursor(schema, &keys, key, digest, cursor)?),
            None => None,
        };
        let is_light = request.limit <= LIGHT_MAX
            && request.count.is_none()
            && search.is_none()
            && guard.is_empty()
            && access_path::in_order(schema, &conditions, &keys);
        let mut fetched = projection.clone();
        for key in &keys {
            if !fetched.contains(&key.position) {
                fetched.push(key.position);
            }
        }
        Ok(Self {
            projection,
            fetched,
            conditions,
            search,
            guard,
            keys,
            after,
            limit: request.limit,
            offset: request.offset,
            count: request.count,
            is_light,
            view: view.clone(),
            digest,
        })
    }

    /// The fields of the answer, by their positions in the schema, in order.
    pub fn projection(&self) -> &[usize] {
        &self.projection
    }

    /// What the caller sees of the projection's fields.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The columns of the result: [`Self::projection`], then what the order needs besides.
    pub fn fetched(&self) -> &[usize] {
        &self.fetched
    }

    /// The order; it always tells any two records apart.
    pub fn keys(&self) -> &[SortKey] {
        &self.keys
    }

    /// Records on the page. One more is fetched, to know whether there is a next page.
    pub fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Whether and how to count.
    pub fn count(&self) -> Option<CountMode> {
        self.count
    }

    /// Whether it is answered in a few milliseconds at any size of the table: a page of up to 100 records, read in the
    /// order of an index from its first record on, without a count or a condition of the schema's that passes records
    /// over.
    pub fn is_light(&self) -> bool {
        self.is_light
    }

    /// The cursor behind a row, whose values are in the order of [`Self::keys`].
    pub fn cursor_after(&self, key: &CursorKey, values: &[Value]) -> Option<String> {
        cursor::seal(key, self.digest, values)
    }
}

fn plan_fields(schema: &Schema, view: &View, fields: Option<&[String]>) -> Result<Vec<usize>, PlanError> {
    match fields {
        None => Ok((0..schema.fields().len()).filter(|position| view.is_visible(*position)).collect()),
        Some(names) => names.iter().map(|name| Ok(find(schema, view, name, "fields")?.0)).collect(),
    }
}

/// The keys, with the id behind them where they do not tell all records apart. It goes in the last key's direction, so
/// that one index on (field, id) serves both directions.
fn plan_sort(schema: &Schema, view: &View, sort: &[RequestedSort]) -> Result<Vec<SortKey>, PlanError> {
    let mut keys: Vec<SortKey> = Vec::new();
    let mut tells_apart = false;
    for RequestedSort { field: name, descending } in sort {
        let (position, field) = find(schema, view, name, "sort")?;
        if !field.sortable
            || matches!(field.kind, FieldType::Json | FieldType::Array { .. } | FieldType::Bytes { .. })
        {
            return Err(PlanError::new(
                PlanCode::FieldNotFilterable,
                "sort",
                "sortable",
                format!("`{name}` cannot be sorted by; {}", how_to_allow(field, "sortable")),
            ));
        }
        if keys.iter().any(|key| key.position == position) {
            return Err(PlanError::malformed("sort", "duplicateField", format!("names `{name}` twice")));
        }
        // What comes after a unique key orders nothing.
        if !tells_apart {
            keys.push(SortKey { position, descending: *descending });
        }
        tells_apart = tells_apart || position == 0 || (field.unique && field.required);
    }
    if !tells_apart {
        let descending = keys.last().is_some_and(|key| key.descending);
        keys.push(SortKey { position: 0, descending });
    }
    Ok(keys)
}

/// Conditions in any order are the same query; their values count as they were written. Under another view it is another
/// query.
fn digest(schema: &Schema, view: &View, request: &ListRequest, keys: &[SortKey]) -> QueryDigest {
    let (path, letters) = (schema.path().to_string(), letters(schema, view));
    let mut filters: Vec<[&str; 3]> =
        request.filters.iter().map(|f| [f.field.as_str(), f.operator.as_str(), f.value.as_str()]).collect();
    filters.sort_unstable();
    let sort = keys.iter().flat_map(|key| {
        let name = schema.fields().get(key.position).map_or("", |field| field.name.as_str());
        [name, if key.descending { "desc" } else { "asc" }]
    });
    let head = request
        .search
        .as_deref()
        .map_or(vec!["list", path.as_str()], |text| vec!["search", path.as_str(), text]);
    let seen = letters.iter().flat_map(|letters| ["view", letters.as_str()]);
    let parts =
        head.into_iter().chain(filters.iter().flatten().copied()).chain(["sort"]).chain(sort).chain(seen);
    QueryDigest::of(parts)
}

fn open_cursor(
    schema: &Schema,
    keys: &[SortKey],
    key: &CursorKey,
    digest: QueryDigest,
    cursor: &str,
) -> Result<Vec<Value>, PlanError> {
    let kinds: Vec<&FieldType> =
        keys.iter().filter_map(|key| schema.fields().get(key.position)).map(|field| &field.kind).collect();
    cursor::open(key, digest, &kinds, cursor).map_err(refused_cursor)
}

pub(super) fn refused_cursor(why: Refused) -> PlanError {
    let message = match why {
        Refused::Forged => {
            "is not a cursor of ours; take pagination.nextCursor as it is, or start without a cursor"
        }
        Refused::OtherQuery => {
            "belongs to another query; keep filter, sort and q as they were on the first page, or start without a cursor"
        }
    };
    PlanError::malformed("cursor", "cursor", message)
}
